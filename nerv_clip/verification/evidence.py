"""What a verification looks at: a checkpoint's predictions, and what its run knows of the truth."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nerv_clip.cli.inputs import load_inputs
from nerv_clip.cli.options import parse
from nerv_clip.cli.terminal import Terminal
from nerv_clip.errors import InputError
from nerv_clip.evaluation.evaluate import embed_times, evaluate
from nerv_clip.files import file_hash
from nerv_clip.models.checkpoint import load_model
from nerv_clip.models.config import Architecture
from nerv_clip.models.nerv_clip import NeRVClip
from nerv_clip.runs.run import Run, read_array, read_arrays
from nerv_clip.similarity import Array, unit
from nerv_clip.video.split import Split, frame_time, split_frames
from nerv_clip.video.video import Video, load_video

TRUE = "true"
OTHERS = ("reconstruction", "blend", "disturbed")  # the arrays of baselines.npz


@dataclass(frozen=True)
class Evidence:
    """A run's predicted and true unit embeddings (T, D), and what else its teacher said.

    ``predicted`` are computed from the checkpoint, which is given times only. ``stored`` holds
    the teacher's embeddings (T, D) of other pictures than the true frames, under the names of
    `OTHERS`; those that the run did not store are absent.
    """

    checkpoint: Path
    checkpoint_hash: str
    config: dict[str, Any]
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


def gather(checkpoint: Path, terminal: Terminal, data_path: Path | None = None) -> Evidence:
    """The evidence for a checkpoint in its run directory.

    With ``data_path``, the source video, what the run did not store is computed; the video has to
    be the one that the run was trained on. Raises `InputError` where there is nothing to verify.
    """
    model, digest = load_model(checkpoint), file_hash(checkpoint)
    before = ""
    while digest != before:  # a training may replace it meanwhile: until two readings agree
        before = digest
        model, digest = load_model(checkpoint), file_hash(checkpoint)
    run = Run(checkpoint.parent)
    config = run.read_config()
    _check(checkpoint, model, config)
    frames, flags = model.arch.frames, config["flags"]
    known = _stored(run, (frames, model.arch.clip_dim))
    if data_path is not None:
        missing = {TRUE, *OTHERS} - known.keys()
        known |= _computed(run, checkpoint, data_path, missing, terminal)
    if TRUE not in known:
        raise InputError(
            f"{run.path} has no {run.true.name}, the embeddings to compare with: name the source "
            "video with --data_path"
        )
    times = np.array([frame_time(i, frames) for i in range(frames)])
    with terminal.bar(frames, "predicting", "frame") as bar:
        predicted = embed_times(model, times, notice=bar.update)
    return Evidence(
        checkpoint=checkpoint,
        checkpoint_hash=digest,
        config=config,
        model=model,
        split=split_frames(frames, flags["data_split"], flags["shuffle_data"]),
        times=times,
        true=known.pop(TRUE),
        predicted=predicted.double().numpy(),
        stored=known,
    )


def _check(checkpoint: Path, model: NeRVClip, config: dict[str, Any]) -> None:
    if model.arch.clip_input:
        raise InputError(
            f"{checkpoint} was trained with --clip_input: true embeddings are what it is given, so "
            "comparing with them would be circular; verify a run trained with --predict_clip"
        )
    if not model.arch.clip_dim:
        raise InputError(f"{checkpoint} has no CLIP head: verify a run trained with --predict_clip")
    if Architecture.from_plain(config["architecture"]) != model.arch:
        raise InputError(f"{checkpoint} is not of the run whose config.json lies beside it")
    if model.arch.frames < 2:
        raise InputError(f"{checkpoint} draws a single frame: there is nothing to compare it with")


def _stored(run: Run, shape: tuple[int, int]) -> dict[str, Array]:
    """True and other embeddings that the run's evaluation left, each row at unit length."""
    found = {TRUE: read_array(run.true)} if run.true.exists() else {}
    if run.baselines.exists():
        file = read_arrays(run.baselines)
        found |= {name: file[name] for name in OTHERS if name in file}
    for name, values in found.items():
        if values.shape != shape:
            raise InputError(
                f"{run.path}: its embeddings '{name}' are {values.shape}, its checkpoint gives "
                f"{shape}; evaluate the run again with --eval_only"
            )
    return {name: unit(values.astype(np.float64)) for name, values in found.items()}


def _computed(
    run: Run, checkpoint: Path, data_path: Path, missing: set[str], terminal: Terminal
) -> dict[str, Array]:
    """What is missing, from the frames and the teacher; the video is checked in any case."""
    config = run.read_config()
    flags = ["--data_path", str(data_path), "--outf", str(run.path.resolve()), "--eval_only"]
    options = parse(flags)
    if not missing:
        progress = not terminal.quiet
        _check_video(load_video(options.data, cache_gb=options.cache_gb, progress=progress), config)
        return {}
    inputs = load_inputs(options, "cpu", terminal)
    _check_video(inputs.video, config)
    if inputs.teacher is None or inputs.true is None:
        raise InputError(f"{run.path} names no teacher: it was trained without one")
    if inputs.teacher.id != config["teacher"]["id"]:
        raise InputError(
            f"{run.path} learned from the teacher {config['teacher']['id']}, but its name now "
            f"gives {inputs.teacher.id}: bring the weights that it was trained with"
        )
    found = {TRUE: inputs.true}
    if missing & set(OTHERS):
        with terminal.bar(len(inputs.video), "asking the teacher", "frame") as bar:
            evaluation = evaluate(
                checkpoint,
                inputs.video,
                inputs.split,
                true_embeddings=inputs.true,
                teacher=inputs.teacher,
                notice=bar.update,
            )
        asked = (evaluation.reconstructed, evaluation.blended, evaluation.perturbed)
        found |= {n: v for n, v in zip(OTHERS, asked, strict=True) if v is not None}
    return {name: unit(found[name].double().numpy()) for name in missing}


def _check_video(video: Video, config: dict[str, Any]) -> None:
    if video.hash != config["clip"]["hash"]:
        raise InputError(
            "--data_path gives another video than the run was trained on (at the run's crop, size "
            f"and range): name {config['clip']['path']}, or leave --data_path out"
        )
