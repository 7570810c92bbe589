"""What training and evaluation work on: the video, its split, and the teacher's embeddings."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from nerv_clip.errors import InputError
from nerv_clip.models.config import Architecture
from nerv_clip.models.segments import VideoArchitecture
from nerv_clip.progress import SILENT, Progress
from nerv_clip.runs.run import Run
from nerv_clip.runs.same_video import check_video
from nerv_clip.teacher.dense import DenseTeacher, Grid
from nerv_clip.teacher.dense_maps import DenseMaps, map_video
from nerv_clip.teacher.embeddings import embed_video, frames_embedded
from nerv_clip.teacher.encoder import ClipEncoder
from nerv_clip.teacher.loading import load_clip_encoder
from nerv_clip.video.split import Split, embedded_frames, train_indices
from nerv_clip.video.video import Video, load_video


@dataclass(frozen=True)
class Inputs:
    """A video with the split of its frames, and with its teacher, if there is one.

    ``true`` are the true embeddings (T, dim), NaN for frames that the teacher does not embed; None
    without a teacher.
    """

    video: Video
    split: list[Split]
    teacher: ClipEncoder | None = None
    true: Tensor | None = None

    @property
    def embedded(self) -> list[int]:
        """The frames with a true embedding; all frames where none were computed."""
        return [*range(len(self.video))] if self.true is None else frames_embedded(self.true)


def embed(
    video: Video,
    split: list[Split],
    teacher: ClipEncoder | None,
    every: int = 1,
    progress: Progress = SILENT,
) -> Inputs:
    """Inputs with the true embeddings computed, or read from their cache.

    The teacher embeds one frame in ``every`` (`nerv_clip.video.split.embedded_frames`).
    """
    if teacher is None:
        return Inputs(video, split)
    frames = embedded_frames(split, every, video.shots)
    return Inputs(video, split, teacher, embed_video(teacher, video, frames, progress=progress))


def dense_inputs(
    inputs: Inputs, arch: VideoArchitecture, progress: Progress = SILENT
) -> list[DenseMaps] | None:
    """The true dense embeddings of each segment, for networks with a dense head; None without.

    They are computed for the frames with a true embedding, or read from their cache. Raises
    `InputError` where the teacher has no dense form.
    """
    if not arch.first.dense_dim or inputs.teacher is None:
        return None
    dense, embedded, found = DenseTeacher(inputs.teacher), inputs.embedded, []
    for segment in arch.segments:
        video = inputs.video.part(segment.seen.start, segment.seen.stop)
        frames = [i - segment.seen.start for i in embedded if i in segment.seen]
        known = set(frames)
        train = [i for i in train_indices(inputs.split[segment.rows]) if i in known]
        grid, rank = dense_grid(segment.network), segment.network.dense_rank
        found.append(map_video(dense, video, train, grid, rank, frames=frames, progress=progress))
    return found


def check_embedded(inputs: Inputs, arch: VideoArchitecture, every: int) -> None:
    """Raise `InputError` where a network has no train frame with a true embedding.

    Each has to have one among its own frames, and one in each shot that it has train frames of.
    ``every`` is the `clip_every` that the frames were chosen by.
    """
    train = set(train_indices(inputs.split))
    known = train.intersection(inputs.embedded)
    for segment in arch.segments:
        own = range(segment.first, segment.first + segment.frames)
        of_shots = [train.intersection(segment.seen, shot) for shot in inputs.video.shots.ranges()]
        if known.isdisjoint(own) or any(part and known.isdisjoint(part) for part in of_shots):
            raise InputError(
                f"`clip_every` {every} leaves too few true embeddings for the network of the "
                f"frames {own.start} to {own.stop - 1}: give a smaller number"
            )


def stand_in_maps(arch: VideoArchitecture) -> list[DenseMaps] | None:
    """Random maps in the place of `dense_inputs`, to measure how long training takes."""
    if not arch.first.dense_dim:
        return None
    found = []
    for segment in arch.segments:
        grid, rank = dense_grid(segment.network), segment.network.dense_rank
        one = np.random.default_rng(0).normal(size=(rank, grid.rows, grid.columns))
        same = np.broadcast_to(one.astype(np.float16), (segment.network.frames, *one.shape))
        found.append(DenseMaps(torch.eye(rank, segment.network.dense_dim), same))
    return found


def dense_grid(arch: Architecture) -> Grid:
    """The cells of a network's dense head."""
    scale = math.prod(arch.strides[: arch.dense_tap])
    (rows, columns), (height, width) = arch.grid, arch.padded
    return Grid(rows * scale, columns * scale, height / arch.height, width / arch.width)


def load_run_video(
    run: Run,
    path: Path | str | None = None,
    *,
    device: str = "cpu",
    progress: Progress = SILENT,
) -> Video:
    """The video that a run was trained on, from ``path`` or from where it was then.

    Raises `InputError` where it is another one (`check_video`), or cannot be read.
    """
    record = run.read_config().video
    spec = record.spec if path is None else replace(record.spec, path=Path(path))
    video = load_video(spec, shots=record.source_shots, device=device, progress=progress)
    check_video(video, run, progress)
    return video


def load_run_teacher(run: Run, device: str = "cpu") -> ClipEncoder:
    """The teacher that a run was trained with.

    Raises `InputError` where it has none, or where another one has its name now.
    """
    about = run.read_teacher()
    teacher = load_clip_encoder(about.model, about.pretrained, device)
    if teacher.id != about.id:
        raise InputError(
            f"{run.path} was trained with the teacher {about.id}, but {about.model} now loads "
            f"{teacher.id}: embeddings of different teachers cannot be compared; provide the "
            "original weights"
        )
    return teacher
