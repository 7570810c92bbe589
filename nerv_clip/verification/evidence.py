"""The data of a verification: predicted, true and other embeddings of every frame."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nerv_clip.errors import InputError
from nerv_clip.evaluation.decoding import embed_times
from nerv_clip.evaluation.evaluate import evaluate_checkpoint
from nerv_clip.files import file_hash
from nerv_clip.models.checkpoint import load_model
from nerv_clip.models.video_network import VideoNetwork
from nerv_clip.progress import SILENT, Progress
from nerv_clip.runs.arrays import read_array, read_arrays
from nerv_clip.runs.config import RunConfig
from nerv_clip.runs.inputs import embed, load_run_teacher, load_run_video
from nerv_clip.runs.run import Run
from nerv_clip.similarity import Array, Values, present, unit
from nerv_clip.video.shots import Shots
from nerv_clip.video.split import Split
from nerv_clip.video.times import frame_time

TRUE = "true"
TEACHER_ARRAYS = ("reconstruction", "blend", "perturbed")  # in baselines.npz


@dataclass(frozen=True)
class Evidence:
    """Unit embeddings (T, D) of the frames of a run.

    ``predicted`` are computed by the network, whose only input is ``times`` (T,), in [0, 1].
    ``true`` are NaN for frames that the teacher did not embed; these are not compared.
    ``stored`` are the teacher's embeddings of reconstructed, blended and perturbed frames, by the
    names in `TEACHER_ARRAYS`, as the run stores them, not scaled to unit length. Arrays that are
    not available are absent. ``checkpoint_hash`` is the SHA-256 of the file.
    """

    checkpoint: Path
    checkpoint_hash: str
    config: RunConfig
    model: VideoNetwork
    split: list[Split]
    times: Array
    true: Array
    predicted: Values
    stored: dict[str, Values]

    @property
    def shots(self) -> Shots:
        """The shots of the video."""
        return self.config.video.cuts

    @property
    def train(self) -> list[int]:
        """Indices of the train frames with a true embedding."""
        return self.indices("train")

    def indices(self, name: str) -> list[int]:
        """Indices of the frames of the split ``name``, or of all frames for ``"all"``.

        Only those with a true embedding.
        """
        known = self.embedded
        return [i for i, split in enumerate(self.split) if name in ("all", split) and known[i]]

    @cached_property
    def embedded(self) -> NDArray[np.bool_]:
        """Which of the frames (T,) have a true embedding."""
        return present(self.true)


def gather(
    checkpoint: Path, data_path: Path | str | None = None, progress: Progress = SILENT
) -> Evidence:
    """Read or compute the embeddings of a checkpoint in its run directory.

    With ``data_path``, the source video, embeddings that the run does not store are computed.
    Raises `InputError` where the run has no CLIP head, has a single frame, was trained with
    `clip_input`, or stores no true embeddings while ``data_path`` is None, and where the video is
    not the one that the run was trained on.
    """
    model, digest = _load_with_hash(checkpoint)
    run = Run(checkpoint.parent)
    config = run.read_config()
    _check_checkpoint(checkpoint, model, config)
    frames = model.arch.frames
    known = _read_stored(run, (frames, model.arch.clip_dim))
    if data_path is not None:
        missing = {TRUE, *TEACHER_ARRAYS} - known.keys()
        known |= _compute_missing(run, checkpoint, data_path, missing, progress)
    if TRUE not in known:
        raise InputError(
            f"{run.path} has no {run.true.name}, the true embeddings: give the source video "
            "(`data_path`)"
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
        true=unit(known.pop(TRUE).astype(np.float64)),
        predicted=predicted.numpy(),
        stored=known,
    )


def _load_with_hash(checkpoint: Path) -> tuple[VideoNetwork, str]:
    """The networks of a checkpoint, and the SHA-256 of the file that it was loaded from.

    A training process may replace the file between the two steps: both are repeated until the
    hash stays the same.
    """
    before = ""
    while True:
        model, digest = load_model(checkpoint), file_hash(checkpoint)
        if digest == before:
            return model, digest
        before = digest


def _check_checkpoint(checkpoint: Path, model: VideoNetwork, config: RunConfig) -> None:
    if model.arch.clip_input:
        raise InputError(
            f"{checkpoint} was trained with `clip_input`: its input contains the true embeddings, "
            "so that the comparison would be circular; verify a run trained with `predict_clip`"
        )
    if not model.arch.clip_dim:
        raise InputError(f"{checkpoint} has no CLIP head: verify a run trained with `predict_clip`")
    if config.architecture != model.arch:
        raise InputError(f"{checkpoint} does not belong to the config.json beside it")
    if model.arch.frames < 2:
        raise InputError(
            f"{checkpoint} has a single frame: verification compares at least two frames"
        )


def _read_stored(run: Run, shape: tuple[int, int]) -> dict[str, Values]:
    """True and other embeddings that the run stores."""
    found = {TRUE: read_array(run.true, shape)} if run.true.exists() else {}
    if run.baselines.exists():
        found |= read_arrays(run.baselines, TEACHER_ARRAYS, shape)
    return found


def _compute_missing(
    run: Run, checkpoint: Path, data_path: Path | str, missing: set[str], progress: Progress
) -> dict[str, Values]:
    """The embeddings ``missing``, from the video and the teacher; always checks the video."""
    video = load_run_video(run, data_path, progress=progress)
    if not missing:
        return {}
    teacher = load_run_teacher(run)
    config = run.read_config()
    split, every = config.split_frames(), config.train.clip_every
    inputs = embed(video, split, teacher, every, progress)
    assert inputs.true is not None  # noqa: S101 - there is a teacher
    found = {TRUE: inputs.true}
    if missing & set(TEACHER_ARRAYS):
        evaluation = evaluate_checkpoint(
            checkpoint,
            video,
            inputs.split,
            true_embeddings=inputs.true,
            teacher=teacher,
            progress=progress,
        )
        arrays = (evaluation.reconstructed, evaluation.blended, evaluation.perturbed)
        found |= {n: v for n, v in zip(TEACHER_ARRAYS, arrays, strict=True) if v is not None}
    return {name: found[name].numpy() for name in missing}
