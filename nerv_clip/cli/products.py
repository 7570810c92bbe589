"""What is made from a checkpoint: its figures, and the pictures that a browser shows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from torch import Tensor

from nerv_clip.cli.inputs import Inputs
from nerv_clip.cli.terminal import evaluation_line
from nerv_clip.evaluation.evaluate import Evaluation, decode, evaluate, write_evaluation
from nerv_clip.files import file_hash, make_folder
from nerv_clip.models.checkpoint import load_model
from nerv_clip.models.nerv_clip import NeRVClip
from nerv_clip.runs.run import Run
from nerv_clip.video.writer import QUALITY_DB, write_comparison, write_image, write_video


def score(inputs: Inputs, checkpoint: Path, with_teacher: bool) -> Evaluation:
    """`evaluate` under a bar; ``with_teacher`` lets it see reconstructions and blends (slow)."""
    with inputs.terminal.bar(len(inputs.video), "evaluating", "frame") as bar:
        return evaluate(
            checkpoint,
            inputs.video,
            inputs.split,
            true_embeddings=inputs.true,
            teacher=inputs.teacher if with_teacher else None,
            device=inputs.device,
            notice=lambda frames: bar.update(frames),
        )


def pairs(
    inputs: Inputs, model: NeRVClip, indices: Sequence[int], label: str
) -> Iterator[tuple[Tensor, Tensor]]:
    """True and decoded frames, (3, H, W) in [0, 1] each, under a bar."""
    with inputs.terminal.bar(len(indices), label, "frame") as bar:
        for chunk, drawn, _, _ in decode(model, list(indices)):
            bar.update()
            yield inputs.video.read(chunk)[0].float() / 255, drawn[0]


def write_products(
    inputs: Inputs, run: Run, checkpoint: Path, *, images: bool, videos: bool
) -> None:
    """Evaluate a checkpoint and write all that the run directory says of it.

    ``images`` and ``videos`` add the decoded frames as PNG files and as an MP4.
    """
    evaluation = score(inputs, checkpoint, with_teacher=True)
    write_evaluation(run, evaluation, inputs.true)
    model = load_model(checkpoint, inputs.device)
    frames = range(len(inputs.video))
    quality = write_comparison(
        run.comparison,
        lambda indices: pairs(inputs, model, indices, run.comparison.name),
        len(frames),
        inputs.video.fps,
        file_hash(checkpoint),
    )
    if quality < QUALITY_DB:
        inputs.terminal.say(f"{run.comparison.name} shows its pictures at {quality:.1f} dB only")
    if images:
        folder = make_folder(run.frames)
        for index, (_, drawn) in enumerate(pairs(inputs, model, frames, "frames")):
            write_image(folder / f"{index:05d}.png", drawn)
    if videos:
        decoded = (drawn for _, drawn in pairs(inputs, model, frames, run.reconstruction.name))
        write_video(run.reconstruction, decoded, inputs.video.fps)
    inputs.terminal.say(evaluation_line(checkpoint.name, evaluation.summary))
    inputs.terminal.say(f"written to {run.path}")
