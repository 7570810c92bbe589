"""Describe a run for ``config.json``, and compare two descriptions."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from nerv_clip.errors import InputError
from nerv_clip.files import file_hash
from nerv_clip.models.config import ModelConfig
from nerv_clip.models.parameters import decoder_parameters, head_parameters, without_memory
from nerv_clip.models.segments import VideoArchitecture
from nerv_clip.runs.budget import Budget
from nerv_clip.runs.config import (
    ParameterCounts,
    RunConfig,
    ShotRecord,
    SplitRecord,
    TeacherRecord,
    VideoRecord,
)
from nerv_clip.runs.inputs import Inputs
from nerv_clip.runs.provenance import git_commit, versions
from nerv_clip.teacher.encoder import ClipEncoder
from nerv_clip.training.config import TrainConfig
from nerv_clip.video.video import Video


def describe(
    inputs: Inputs,
    arch: VideoArchitecture,
    *,
    split: SplitRecord,
    preset: str,
    model: ModelConfig,
    train: TrainConfig,
    debug: bool,
    weight: Path | None,
    processes: int,
    budget: Budget | None = None,
) -> RunConfig:
    """The description of a run, by this version of the program.

    ``weight`` is the checkpoint that training started from; the other parameters are fields of
    `RunConfig`.
    """
    return RunConfig(
        video=_video(inputs.video),
        split=split,
        teacher=None if inputs.teacher is None else _teacher(inputs.teacher),
        preset=preset,
        model=model,
        train=train,
        debug=debug,
        weight=None if weight is None else file_hash(weight),
        processes=processes,
        budget=budget,
        architecture=arch,
        parameters=_count(arch),
        versions=versions(),
        commit=git_commit(),
    )


def _video(video: Video) -> VideoRecord:
    return VideoRecord(
        **asdict(video.spec) | {"path": str(video.spec.path)},
        hash=video.hash,
        frames=len(video),
        height=video.height,
        width=video.width,
        fps=video.fps,
        timestamps=video.timestamps,
        origin=video.origin,
        source_map=video.source_map,
        shots=tuple(
            ShotRecord(
                first=own.start,
                last=own.stop - 1,
                start=video.timestamps[own.start],
                end=video.timestamps[own.stop - 1],
            )
            for own in video.shots.ranges()
        ),
    )


def _teacher(teacher: ClipEncoder) -> TeacherRecord:
    model, pretrained = teacher.source
    return TeacherRecord(
        model=model, pretrained=pretrained, name=teacher.name, id=teacher.id, dim=teacher.dim
    )


def _count(arch: VideoArchitecture) -> ParameterCounts:
    networks = [without_memory(segment.network) for segment in arch.segments]
    heads = head_parameters(*networks)
    return ParameterCounts(
        decoder=decoder_parameters(*networks), clip_head=heads["clip"], dense_head=heads["dense"]
    )


def check_same(
    stored: RunConfig, wanted: RunConfig, path: Path, names: tuple[str, ...] | None = None
) -> None:
    """Raise `InputError`, naming the arguments, where a run was trained with other values.

    Only ``names`` are compared, if given.
    """
    before, now = stored.identity, wanted.identity
    differing = [name for name in names or now if before.get(name) != now[name]]
    if "motion_weight" in differing:  # `motion` follows from it
        differing = [name for name in differing if name != "motion"]
    if "network" not in differing:  # how a video may be divided does not matter if it is not
        differing = [name for name in differing if name != "segment_frames"]
    if len(differing) > 1:  # the network follows from the other settings
        differing = [name for name in differing if name != "network"]
    if differing:
        named = ", ".join(f"`{name}`" for name in differing)
        raise InputError(
            f"{path} was trained with other values of {named}: use the same values, choose another "
            "folder (`out`), or start again (`resume=False`)"
        )
