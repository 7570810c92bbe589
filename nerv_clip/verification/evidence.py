"""What a verification compares: a checkpoint's predicted embeddings, and the true ones."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nerv_clip.errors import InputError
from nerv_clip.evaluation.decoding import embed_times
from nerv_clip.evaluation.evaluate import evaluate_checkpoint
from nerv_clip.files import file_hash
from nerv_clip.models.checkpoint import load_model
from nerv_clip.models.nerv_clip import NeRVClip
from nerv_clip.progress import SILENT, Progress
from nerv_clip.runs.arrays import read_array, read_arrays
from nerv_clip.runs.config import RunConfig
from nerv_clip.runs.inputs import embedded, load_run_teacher, load_run_video
from nerv_clip.runs.run import Run
from nerv_clip.similarity import Array, unit
from nerv_clip.video.split import Split
from nerv_clip.video.times import frame_time

TRUE = "true"
OTHERS = ("reconstruction", "blend", "perturbed")  # the arrays of baselines.npz


@dataclass(frozen=True)
class Evidence:
    """A run's predicted and true unit embeddings (T, D), and the teacher's of other frames.

    ``predicted`` are computed from the checkpoint, whose only input is the time. ``stored`` holds
    the teacher's embeddings (T, D) of frames other than the true ones, under the names of
    `OTHERS`; those that the run did not store are absent.
    """

    checkpoint: Path
    checkpoint_hash: str
    config: RunConfig
    model: NeRVClip
    split: list[Split]
    times: Array
    true: Array
    predicted: Array
    stored: dict[str, Array]

    @property
    def train(self) -> list[int]:
        """Indices of the train frames."""
        return self.part("train")

    def part(self, name: str) -> list[int]:
        """Indices of the frames of a split, or of ``"all"``."""
        return [i for i, split in enumerate(self.split) if name in ("all", split)]


def gather(
    checkpoint: Path, data_path: Path | None = None, progress: Progress = SILENT
) -> Evidence:
    """The evidence for a checkpoint in its run directory.

    With ``data_path``, the source video, what the run did not store is computed; it has to be the
    video that the run was trained on. Raises `InputError` where there is nothing to verify.
    """
    model, digest = load_model(checkpoint), file_hash(checkpoint)
    before = ""
    while digest != before:  # a training may replace the file meanwhile: read until both agree
        before = digest
        model, digest = load_model(checkpoint), file_hash(checkpoint)
    run = Run(checkpoint.parent)
    config = run.read_config()
    _check(checkpoint, model, config)
    frames = model.arch.frames
    known = _stored(run, (frames, model.arch.clip_dim))
    if data_path is not None:
        missing = {TRUE, *OTHERS} - known.keys()
        known |= _computed(run, checkpoint, data_path, missing, progress)
    if TRUE not in known:
        raise InputError(
            f"{run.path} has no {run.true.name}, the embeddings to compare with: name the source "
            "video (`data_path`)"
        )
    times = np.array([frame_time(i, frames) for i in range(frames)])
    predicted = embed_times(model, times, progress=progress, label="predicting")
    return Evidence(
        checkpoint=checkpoint,
        checkpoint_hash=digest,
        config=config,
        model=model,
        split=config.split_frames(),
        times=times,
        true=known.pop(TRUE),
        predicted=predicted.double().numpy(),
        stored=known,
    )


def _check(checkpoint: Path, model: NeRVClip, config: RunConfig) -> None:
    if model.arch.clip_input:
        raise InputError(
            f"{checkpoint} was trained with `clip_input`: true embeddings are its input, so a "
            "comparison with them would be circular; verify a run trained with `predict_clip`"
        )
    if not model.arch.clip_dim:
        raise InputError(f"{checkpoint} has no CLIP head: verify a run trained with `predict_clip`")
    if config.architecture != model.arch:
        raise InputError(f"{checkpoint} does not belong to the config.json beside it")
    if model.arch.frames < 2:
        raise InputError(f"{checkpoint} has a single frame: there is nothing to compare it with")


def _stored(run: Run, shape: tuple[int, int]) -> dict[str, Array]:
    """True and other embeddings that the run's evaluation stored, scaled to unit length."""
    found = {TRUE: read_array(run.true)} if run.true.exists() else {}
    if run.baselines.exists():
        file = read_arrays(run.baselines)
        found |= {name: file[name] for name in OTHERS if name in file}
    for name, values in found.items():
        if values.shape != shape:
            raise InputError(
                f"{run.path}: its embeddings '{name}' have the shape {values.shape}, those of its "
                f"checkpoint {shape}; evaluate the run again (`eval_only`)"
            )
    return {name: unit(values.astype(np.float64)) for name, values in found.items()}


def _computed(
    run: Run, checkpoint: Path, data_path: Path, missing: set[str], progress: Progress
) -> dict[str, Array]:
    """What is missing, from the frames and the teacher; the video is checked in any case."""
    config = run.read_config()
    video = load_run_video(config, data_path, progress)
    if not missing:
        return {}
    teacher = load_run_teacher(run)
    inputs = embedded(video, config.split_frames(), teacher, progress)
    assert inputs.true is not None  # noqa: S101 - there is a teacher
    found = {TRUE: inputs.true}
    if missing & set(OTHERS):
        evaluation = evaluate_checkpoint(
            checkpoint,
            video,
            inputs.split,
            true_embeddings=inputs.true,
            teacher=teacher,
            progress=progress,
        )
        others = (evaluation.reconstructed, evaluation.blended, evaluation.perturbed)
        found |= {n: v for n, v in zip(OTHERS, others, strict=True) if v is not None}
    return {name: unit(found[name].double().numpy()) for name in missing}
