"""The segments of a video, each drawn by a network of its own, and what they make together."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import msgspec

from nerv_clip.errors import InputError
from nerv_clip.models.config import MAX_FRAMES, Architecture, foreign_checkpoint
from nerv_clip.video.shots import Shots

MAX_SEGMENTS = 500
ALIKE = (  # in all segments
    "height", "width", "grid", "embed", "clip_dim", "clip_input", "dense_dim", "dense_rank",
    "dense_tap",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Segment:
    """A stretch of a video with a network of its own.

    The network draws ``frames`` frames, from frame ``first`` of the video on. It may have seen more
    (``network.frames``): those up to the first train frame of the next segment, so that the last
    frames have a train frame on both sides, if the next segment goes on with the same shot.
    """

    first: int
    frames: int
    network: Architecture

    @property
    def seen(self) -> range:
        """The frames of the video that the network knows."""
        return range(self.first, self.first + self.network.frames)

    @property
    def rows(self) -> slice:
        """`seen` as a slice of what the video has for each frame."""
        return slice(self.seen.start, self.seen.stop)


@dataclass(frozen=True, kw_only=True)
class VideoArchitecture:
    """All networks of a video.

    ``frames``, ``height`` and ``width`` are the video's; ``shots`` the indices of the first frames
    of its shots; ``segments`` are in order and cover every frame once.
    """

    frames: int
    height: int
    width: int
    shots: tuple[int, ...]
    segments: tuple[Segment, ...]

    @property
    def cuts(self) -> Shots:
        """The shots of the video."""
        return Shots(self.frames, self.shots)

    @property
    def first(self) -> Architecture:
        """The first network; what is `ALIKE` in all networks can be read from it."""
        return self.segments[0].network

    @property
    def clip_dim(self) -> int:
        """Width of the predicted embeddings, 0 without a CLIP head."""
        return self.first.clip_dim

    @property
    def clip_input(self) -> int:
        """Width of the embeddings at the input, 0 without."""
        return self.first.clip_input

    @property
    def widths(self) -> str:
        """Channels after the stem and each up-block, of every network, for people to read."""
        return " | ".join(" ".join(map(str, each.network.widths)) for each in self.segments)

    @classmethod
    def of(cls, network: Architecture) -> VideoArchitecture:
        """The architecture of a video that one network draws."""
        return cls(
            frames=network.frames,
            height=network.height,
            width=network.width,
            shots=(0, *network.cuts),
            segments=(Segment(first=0, frames=network.frames, network=network),),
        )

    def plain(self) -> dict[str, Any]:
        """As numbers, strings and tuples, for a checkpoint or JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_plain(cls, values: dict[str, Any]) -> VideoArchitecture:
        """The inverse of `plain`; also reads a single `Architecture`, as older files have it.

        Raises `InputError` for the values of another version, and for those out of range.
        """
        if "segments" not in values:
            return cls.of(Architecture.from_plain(values))
        try:
            segments = tuple(
                Segment(
                    first=msgspec.convert(each["first"], int),
                    frames=msgspec.convert(each["frames"], int),
                    network=Architecture.from_plain(each["network"]),
                )
                for each in values["segments"]
            )
            found = msgspec.convert({**values, "segments": ()}, cls)
            arch = dataclasses.replace(found, segments=segments)
        except (TypeError, ValueError, AttributeError, KeyError) as error:
            raise foreign_checkpoint(error) from None
        arch.check()
        return arch

    def check(self) -> None:
        """Raise `InputError` where the segments do not make up the video, or are out of range."""
        if not 1 <= self.frames <= MAX_FRAMES or not 1 <= len(self.segments) <= MAX_SEGMENTS:
            raise InputError(
                f"the video's frames {self.frames} or segments {len(self.segments)} is out of "
                f"range: 1 to {MAX_FRAMES} frames, 1 to {MAX_SEGMENTS} segments"
            )
        shots = self.cuts  # raises InputError for shots that are none
        for segment in self.segments:
            segment.network.check()
            seen = segment.seen
            if not (0 <= seen.start < seen.stop <= self.frames) or (
                segment.network.cuts != shots.part(seen.start, seen.stop).firsts[1:]
            ):
                raise InputError("the segments' frames or shots are not those of the video")
            if any(getattr(segment.network, n) != getattr(self.first, n) for n in ALIKE):
                raise InputError("the segments' networks do not fit each other")
            if segment.frames > segment.network.frames:
                raise InputError("a segment has more frames than its network draws")
        ends = [(s.first, s.first + s.frames) for s in self.segments]
        joined = all(end == first for (_, end), (first, _) in pairwise(ends))
        if not joined or ends[0][0] != 0 or ends[-1][1] != self.frames:
            raise InputError("the segments do not cover the frames of the video")
        if (self.height, self.width) != (self.first.height, self.first.width):
            raise InputError("the networks draw frames of another size than the video's")
