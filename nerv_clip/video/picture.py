"""A decoded picture of a source."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nerv_clip.errors import InputError
from nerv_clip.video.source_map import SourceMap

IMAGE_FPS = 25.0  # frames a second of images without timestamps
MAX_PIXELS = 2**26  # of a picture: 8192 x 8192; decoded, one takes 3 to 16 bytes a pixel


def check_size(path: Path, height: int, width: int) -> None:
    """Raise `InputError` for pictures that are too large; to be called before they are decoded."""
    if width * height > MAX_PIXELS:
        raise InputError(
            f"{path} has {width}x{height} pixels, more than {MAX_PIXELS:,}: make it smaller"
        )


def turned(
    pixels: NDArray[np.uint8],
    stored: tuple[int, int],
    *,
    transposed: bool = False,
    mirrored: bool = False,
    flipped: bool = False,
) -> tuple[NDArray[np.uint8], SourceMap]:
    """Pixels (H, W, 3) turned upright, and the map to the ``stored`` height and width.

    They are ``transposed``, then ``mirrored`` from left to right and ``flipped`` upside down.
    """
    source = SourceMap.of(*stored, transposed=transposed, mirrored=mirrored, flipped=flipped)
    if transposed:
        pixels = pixels.transpose(1, 0, 2)
    return pixels[:: -1 if flipped else 1, :: -1 if mirrored else 1], source


class Picture(NamedTuple):
    """A decoded picture.

    ``pixels`` uint8 (H, W, 3); ``time`` in seconds since the first picture; ``expected``, about
    how many pictures the source has, None where that is unknown. ``origin`` is the first
    picture's time on the source's own clock, in seconds; ``skipped`` the number of frames before
    the first picture that could not be decoded. ``source`` leads to the stored pixels.
    """

    pixels: NDArray[np.uint8]
    source: SourceMap
    time: float
    expected: int | None
    origin: float = 0.0
    skipped: int = 0
