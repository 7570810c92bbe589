"""Which frames of a source are read, and at what size."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nerv_clip.errors import InputError


@dataclass(frozen=True)
class VideoSpec:
    """A source and the part of it that is read.

    ``path`` is a video file, a folder of images, or one image. ``crop`` is the ``(height, width)``
    in pixels of a centre crop, taken before resizing; ``resize`` the ``(height, width)`` after a
    bicubic, antialiased resize; None for neither. ``start`` is the first frame of the source,
    ``end`` the frame after the last (None: to its end); every ``step``-th frame is kept. ``stream``
    counts a file's video streams from 0; None takes FFmpeg's choice.

    Raises `InputError` for values that no video can meet.
    """

    path: Path
    crop: tuple[int, int] | None = None
    resize: tuple[int, int] | None = None
    start: int = 0
    end: int | None = None
    step: int = 1
    stream: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", Path(self.path))
        for name, size in (("crop", self.crop), ("resize", self.resize)):
            if size is not None and min(size) < 1:
                raise InputError(f"`{name}` {size[0]}_{size[1]}: both sides must be at least 1")
        if self.start < 0:
            raise InputError(f"`start` {self.start}: give 0 or more")
        if self.step < 1:
            raise InputError(f"`step` {self.step}: give 1 or more")
        if self.end is not None and self.end <= self.start:
            raise InputError(
                f"`end` {self.end} leaves no frame: it must be above `start` {self.start}"
            )

    def check_reach(self, total: int) -> None:
        """Raise `InputError` where a source of ``total`` frames ends before the range does."""
        if self.start >= total or (self.end or 0) > total:
            value = f"`start` {self.start}" if self.end is None else f"`end` {self.end}"
            raise InputError(f"{value}: {self.path} has only {total} frames")

    def keeps(self, index: int) -> bool:
        """Whether frame ``index`` of the source is read."""
        inside = index >= self.start and (self.end is None or index < self.end)
        return inside and (index - self.start) % self.step == 0
