"""``config.json``, the description of a run: typed, versioned, and read only here.

The file is described in docs/run_directory.md. `RunConfig.from_json` reads the present format and
upgrades an older one; a newer one is refused.
"""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass
from typing import Any

import msgspec

from nerv_clip.errors import InputError
from nerv_clip.models.config import ModelConfig
from nerv_clip.models.segments import VideoArchitecture
from nerv_clip.runs.budget import Budget
from nerv_clip.runs.older_configs import upgrade
from nerv_clip.training.config import TrainConfig
from nerv_clip.video.shots import Shots
from nerv_clip.video.source_map import SourceMap
from nerv_clip.video.spec import VideoSpec
from nerv_clip.video.split import Split, parse_split, split_frames

FORMAT = 2
Json = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class ShotRecord:
    """A shot: indices of its first and last frame, and their timestamps in seconds."""

    first: int
    last: int
    start: float
    end: float


@dataclass(frozen=True, kw_only=True)
class VideoRecord:
    """The video that a run was trained on.

    ``path`` is the source as it was given; ``crop``, ``resize``, ``start``, ``end``, ``step``
    and ``stream`` are those of `VideoSpec`. ``hash`` (SHA-256 of the pixels), ``frames``,
    ``height``, ``width`` (pixels), ``fps`` and ``timestamps`` (seconds since the first frame of
    the source, one a frame) describe what was read. The source's own clock shows ``origin``
    seconds at its first frame. ``shots`` are the stretches between cuts; none stand in a file of
    a format before 2, whose video is one shot. ``source_map`` leads from places in a frame to
    pixels of the source; older files have none.
    """

    path: str
    crop: tuple[int, int] | None
    resize: tuple[int, int] | None
    start: int
    end: int | None
    step: int
    stream: int | None = None
    hash: str
    frames: int
    height: int
    width: int
    fps: float
    timestamps: tuple[float, ...]
    origin: float = 0.0
    shots: tuple[ShotRecord, ...] = ()
    source_map: SourceMap | None = None

    @property
    def cuts(self) -> Shots:
        """The shots, as the indices of their first frames."""
        return Shots(self.frames, tuple(shot.first for shot in self.shots) or (0,))

    @property
    def source_shots(self) -> tuple[int, ...]:
        """The shots as the indices of their first pictures in the source, for `load_video`."""
        return tuple(self.start + self.step * first for first in self.cuts.firsts)

    @property
    def spec(self) -> VideoSpec:
        """What to read to get the same video again."""
        return VideoSpec(**{f.name: getattr(self, f.name) for f in dataclasses.fields(VideoSpec)})

    @property
    def source_fps(self) -> float:
        """Frames a second of the source, before ``step`` left some out."""
        return self.fps * self.step


@dataclass(frozen=True, kw_only=True)
class SplitRecord:
    """How frames were split: HNeRV's rule ``a_b_c``, and whether they were shuffled before."""

    rule: str
    shuffled: bool


@dataclass(frozen=True, kw_only=True)
class TeacherRecord:
    """The teacher of a run.

    ``model`` and ``pretrained`` are what `load_clip_encoder` takes; ``name`` is for display;
    ``id`` also identifies the weights and the preprocessing; ``dim`` is an embedding's width.
    """

    model: str
    pretrained: str | None
    name: str
    id: str
    dim: int


@dataclass(frozen=True, kw_only=True)
class ParameterCounts:
    """Parameters of the decoder (with stored latents), of the CLIP and of the dense head."""

    decoder: int
    clip_head: int
    dense_head: int = 0  # with its basis


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """The content of ``config.json``.

    ``model`` and ``train`` are the settings, ``architecture`` the networks that were solved
    for them. ``preset`` names the preset that the other values started from. ``weight`` is the
    SHA-256 of the checkpoint that training started from, None for a random start; ``processes``
    the number of processes; ``debug`` whether epochs were cut to ten steps. ``versions`` and
    ``commit`` identify the program that wrote the run. ``budget`` is the time that the training may
    take, None where it is not limited.
    """

    video: VideoRecord
    split: SplitRecord
    teacher: TeacherRecord | None
    preset: str
    model: ModelConfig
    train: TrainConfig
    debug: bool
    weight: str | None
    processes: int
    architecture: VideoArchitecture
    parameters: ParameterCounts
    versions: dict[str, str]
    commit: str
    budget: Budget | None = None

    @property
    def identity(self) -> Json:
        """All that makes two trainings the same, by argument name: a resume has to match it.

        A teacher that is only used to evaluate the run is not part of it.
        """
        trained_with_teacher = self.model.predict_clip or self.model.clip_input
        teacher = self.teacher if trained_with_teacher else None
        return {
            "video": self.video.hash,
            "shots": self.video.cuts.firsts,
            "data_split": self.split.rule + (" shuffled" if self.split.shuffled else ""),
            "teacher": None if teacher is None else teacher.id,
            **dataclasses.asdict(self.model),
            "clip_dim": self.model.clip_dim if trained_with_teacher else 0,
            **dataclasses.asdict(self.train),
            "clip_every": self.train.clip_every if trained_with_teacher else 1,
            "debug": self.debug,
            "weight": self.weight,
            "processes": self.processes,
            "network": dataclasses.asdict(self.architecture),
        }

    @property
    def planned_epochs(self) -> int:
        """The epochs that are planned by now: those of the settings, or of the last revision."""
        revisions = self.budget.revisions if self.budget else ()
        return revisions[-1][1] if revisions else self.train.epochs

    def split_frames(self) -> list[Split]:
        """The split of each frame."""
        video, split = self.video, self.split
        return split_frames(video.frames, split.rule, split.shuffled, video.cuts)

    def to_json(self) -> Json:
        """As JSON has it, with the format's number first."""
        content = {"format": FORMAT, **dataclasses.asdict(self)}
        return dict(json.loads(json.dumps(content)))

    @classmethod
    def from_json(cls, content: Json) -> RunConfig:
        """The inverse of `to_json`, for this format and older ones.

        Raises `InputError` for a newer format, and for content that is no run's.
        """
        found = content.get("format", 0)
        if not isinstance(found, int) or found < 0:
            raise _foreign(f"format {found}")
        if found > FORMAT:
            raise InputError(
                f"the run has format {found}, this version of NeRV-CLIP reads formats up to "
                f"{FORMAT}: update NeRV-CLIP"
            )
        try:
            fields = upgrade(content, found)
            fields.pop("format", None)
            config = msgspec.convert(fields, cls)
        except (msgspec.ValidationError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise _foreign(str(error).replace("`", "'")) from None
        unknown = _unknown(fields, config.to_json())
        if unknown:
            raise _foreign(f"unknown: {', '.join(unknown)}")
        config.check()
        if "origin" not in fields["video"] and not config.video.start:
            config = dataclasses.replace(config, video=_from_first_frame(config.video))
        return config

    def check(self) -> None:
        """Raise `InputError` where numbers are out of range, or do not fit each other."""
        video, arch = self.video, self.architecture
        arch.check()
        for name in ("frames", "height", "width"):
            if getattr(video, name) != getattr(arch, name):
                raise _foreign(f"the network draws another number of {name} than the video has")
        if video.cuts.firsts != arch.shots:
            raise _foreign("the network has other shots than the video")
        if video.shots and [(s.first, s.last) for s in video.shots] != [
            (own.start, own.stop - 1) for own in video.cuts.ranges()
        ]:
            raise _foreign("the shots are not those of the frames")
        if len(video.timestamps) != video.frames:
            raise _foreign(f"{len(video.timestamps)} timestamps for {video.frames} frames")
        if not (0 < video.fps < math.inf and all(map(math.isfinite, video.timestamps))):
            raise _foreign("a time is no finite number")
        _ = video.spec  # raises InputError for frames that cannot be chosen
        parse_split(self.split.rule)


def _from_first_frame(video: VideoRecord) -> VideoRecord:
    """The video with times since its first frame; older files have those of the source's clock."""
    origin = video.timestamps[0]
    times = tuple(time - origin for time in video.timestamps)
    return dataclasses.replace(video, timestamps=times, origin=origin)


def _foreign(reason: str) -> InputError:
    return InputError(
        f"config.json was written by another program or version ({reason}): train the run again"
    )


def _unknown(content: Json, read: Json) -> list[str]:
    """The keys of a JSON object, and of the objects in it, that were not read."""
    found = [key for key in content if key not in read]
    for key, value in content.items():
        if isinstance(value, dict) and isinstance(read.get(key), dict):
            found += [f"{key}.{inner}" for inner in _unknown(value, read[key])]
    return found
