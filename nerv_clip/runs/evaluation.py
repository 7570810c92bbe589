"""Evaluate a run: write its metrics, its embeddings, and the videos that a browser shows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from nerv_clip.errors import InputError
from nerv_clip.evaluation.decoding import decode
from nerv_clip.evaluation.evaluate import evaluate_checkpoint
from nerv_clip.evaluation.results import Evaluation
from nerv_clip.files import atomic_write, file_hash, make_folder, sweep
from nerv_clip.models.video_network import VideoNetwork
from nerv_clip.progress import SILENT, Progress
from nerv_clip.runs.inputs import Inputs, dense_inputs, embed, load_run_teacher, load_run_video
from nerv_clip.runs.run import Run
from nerv_clip.runs.same_video import check_video
from nerv_clip.teacher.dense_maps import DenseMaps
from nerv_clip.training.distributed import resolve_device
from nerv_clip.video.video import Video, frame_store
from nerv_clip.video.writer import QUALITY_DB, write_comparison, write_image, write_video


def evaluate(
    run: Path | str,
    video: Video | None = None,
    *,
    device: str = "auto",
    progress: Progress = SILENT,
) -> Evaluation:
    """Evaluate ``model_best.pth`` of a run, and write the results into its directory.

    ``video`` is the one that the run was trained on; by default it is read from the path stored in
    the run. The teacher is loaded if the run has one. Raises `InputError` for another video,
    where there is nothing to evaluate, and while a training writes the directory.
    """
    target, place = Run(Path(run)), resolve_device(device)
    config = target.read_config()
    if video is None:
        video = load_run_video(target, device=place, progress=progress)
    else:
        check_video(video, target, progress)
        if video.shots != config.video.cuts:
            raise InputError(
                f"{target.path} was trained with other cuts than `video` has: load it with "
                f"`shots` {config.video.source_shots}"
            )
    teacher = None if config.teacher is None else load_run_teacher(target, place)
    inputs = embed(video, config.split_frames(), teacher, config.train.clip_every, progress)
    with target.locked(progress):
        dense = dense_inputs(inputs, config.architecture, progress)
        return evaluate_run(target, target.best, inputs, dense, device=place, progress=progress)


def evaluate_run(
    run: Run,
    checkpoint: Path,
    inputs: Inputs,
    dense: Sequence[DenseMaps] | None = None,
    *,
    device: torch.device | str = "cpu",
    images: bool = False,
    videos: bool = False,
    progress: Progress = SILENT,
) -> Evaluation:
    """Evaluate a checkpoint with its inputs, and write the result into a run directory.

    ``dense`` are the true maps of its segments, if it has a dense head.
    Every frame is decoded once, and kept in memory, or on disk where the video is, until all files
    are written. ``images`` and ``videos`` also write the decoded frames as PNG files and as MP4.
    """
    video, store = inputs.video, frame_store(inputs.video)
    evaluation = evaluate_checkpoint(
        checkpoint,
        video,
        inputs.split,
        true_embeddings=inputs.true,
        teacher=inputs.teacher,
        dense=dense,
        device=device,
        drawn=lambda frame: store.append(frame.mul(255).round().byte().cpu().contiguous()),
        progress=progress,
    )
    write_evaluation(run, evaluation, inputs.true)
    frames = range(len(video))

    def pairs(chosen: Sequence[int], label: str) -> Iterator[tuple[Tensor, Tensor]]:
        with progress.task(label, len(chosen), "frame") as task:
            for index in chosen:
                task.advance()
                yield video.read([index])[0], store.read([index])[0]

    quality = write_comparison(
        run.comparison,
        lambda chosen: pairs(chosen, run.comparison.name),
        len(frames),
        video.fps,
        file_hash(checkpoint),
    )
    if quality < QUALITY_DB:
        progress.message(
            f"{run.comparison.name}: the PSNR of the stored video is only {quality:.1f} dB; "
            "metrics are not affected"
        )
    if images:
        folder = make_folder(run.frames)
        sweep(folder)
        for index, (_, drawn) in enumerate(pairs(frames, "frames")):
            write_image(folder / f"{index:05d}.png", drawn)
    if videos:
        drawn_frames = (drawn for _, drawn in pairs(frames, run.reconstruction.name))
        write_video(run.reconstruction, drawn_frames, video.fps)
    return evaluation


def frame_pairs(
    video: Video,
    model: VideoNetwork,
    indices: Sequence[int],
    label: str,
    progress: Progress = SILENT,
) -> Iterator[tuple[Tensor, Tensor]]:
    """True and decoded frames at ``indices``: (3, H, W) in [0, 1] each.

    ``label`` names the work in ``progress``.
    """
    with progress.task(label, len(indices), "frame") as task:
        for decoded in decode(model, indices):
            task.advance()
            yield video.read(decoded.indices)[0].float() / 255, decoded.frames[0]


def write_evaluation(run: Run, evaluation: Evaluation, true: Tensor | None) -> None:
    """Write the per-frame table, the metrics and the embeddings (float16) of an evaluation."""
    with atomic_write(run.per_frame) as temporary:
        evaluation.per_frame.to_csv(temporary, index=False)
    run.write_json(run.metrics, evaluation.metrics.to_json())
    for path, values in ((run.true, true), (run.predicted, evaluation.predicted)):
        if values is not None:
            with atomic_write(path) as temporary, temporary.open("wb") as file:
                np.save(file, values.cpu().numpy().astype(np.float16))
    baselines = {
        "reconstruction": evaluation.reconstructed,
        "blend": evaluation.blended,
        "perturbed": evaluation.perturbed,
    }
    kept = {name: v.numpy().astype(np.float16) for name, v in baselines.items() if v is not None}
    if kept:
        with atomic_write(run.baselines) as temporary, temporary.open("wb") as file:
            np.savez(file, **kept)  # type: ignore[arg-type]
