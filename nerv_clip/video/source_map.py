"""From places in a frame to pixels of its source: what reading did to a picture, undone."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class SourceMap:
    """An affine map from places in a frame to pixels of the stored picture.

    A place (``x``, ``y``) runs from 0 to 1, to the right and downwards. Reading may have rotated,
    mirrored, stretched (to square pixels), cropped and resized the picture. Pixel ``x`` of the
    source is ``x[0] · x + x[1] · y + x[2]``, and so for ``y``; whole numbers are edges of pixels.
    Raises ValueError for numbers that are no such map.
    """

    x: tuple[float, float, float]
    y: tuple[float, float, float]

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, (*self.x, *self.y))) or self._area == 0:
            raise ValueError("the source map is singular")

    @property
    def _area(self) -> float:
        """The signed area of the frame in pixels of the source."""
        return self.x[0] * self.y[1] - self.x[1] * self.y[0]

    @classmethod
    def of(
        cls,
        height: int,
        width: int,
        *,
        transposed: bool = False,
        mirrored: bool = False,
        flipped: bool = False,
    ) -> SourceMap:
        """The map of an upright picture that is stored with ``height`` x ``width`` pixels.

        To be upright, it was ``transposed``, and then ``mirrored`` from left to right and
        ``flipped`` upside down.
        """
        right = (-1.0, 1.0) if mirrored else (1.0, 0.0)
        down = (-1.0, 1.0) if flipped else (1.0, 0.0)
        # slope and start of the stored x along the upright one, or along the upright y
        if transposed:
            return cls(
                (0.0, down[0] * width, down[1] * width), (right[0] * height, 0.0, right[1] * height)
            )
        return cls(
            (right[0] * width, 0.0, right[1] * width), (0.0, down[0] * height, down[1] * height)
        )

    def part(self, left: float, top: float, width: float, height: float) -> SourceMap:
        """The map of a part of the frame, which is given in shares of the frame's sides."""

        def within(row: tuple[float, float, float]) -> tuple[float, float, float]:
            start = row[0] * left + row[1] * top + row[2]
            return row[0] * width, row[1] * height, start

        return SourceMap(within(self.x), within(self.y))

    def pixel(self, x: float, y: float) -> tuple[float, float]:
        """The pixel (x, y) of the source at a place in the frame."""
        across, down = ((row[0] * x + row[1] * y + row[2]) for row in (self.x, self.y))
        return across, down

    def place(self, x: float, y: float) -> tuple[float, float]:
        """The place in the frame that a pixel of the source is at: the inverse of `pixel`."""
        (a, b, c), (d, e, f) = self.x, self.y
        x, y = x - c, y - f
        return (e * x - b * y) / self._area, (a * y - d * x) / self._area

    def frame_box(
        self, left: float, top: float, right: float, bottom: float
    ) -> tuple[float, float, float, float]:
        """The box in the frame that covers pixels of the source: the inverse of `box`."""
        across, down = zip(self.place(left, top), self.place(right, bottom), strict=True)
        return min(across), min(down), max(across), max(down)

    def box(
        self, left: float, top: float, right: float, bottom: float
    ) -> tuple[float, float, float, float]:
        """The pixels (left, top, right, bottom) of the source that a box in the frame covers."""
        across, down = zip(self.pixel(left, top), self.pixel(right, bottom), strict=True)
        return min(across), min(down), max(across), max(down)
