"""Decode a video file or a folder of images: picture by picture, upright, in RGB."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from natsort import os_sorted
from numpy.typing import NDArray
from PIL import Image

from nerv_clip.errors import InputError
from nerv_clip.reading import read_bytes
from nerv_clip.video.decoder import decode_runs, decode_video
from nerv_clip.video.picture import IMAGE_FPS, Picture, check_size, turned
from nerv_clip.video.source_map import SourceMap

IMAGE_SUFFIXES = frozenset(
    f".{name}"
    for name in "avif bmp jpeg jpg jp2 pbm pgm png pnm ppm tga tif tiff webp".split()  # noqa: SIM905
)
# what files of videos are usually called; any other file is tried as well
VIDEO_SUFFIXES = frozenset(
    f".{name}"
    for name in "3gp apng asf avi dv flv gif m2ts m2v m4v mkv mov mp4".split()  # noqa: SIM905
    + "mpeg mpg mts mxf ogv qt ts vob webm wmv y4m".split()  # noqa: SIM905
)
ANIMATION_SUFFIXES = frozenset({".avif", ".png", ".tif", ".tiff", ".webp"})
MAX_IMAGE_BYTES = 512 << 20  # such an image with 16 bits a channel, uncompressed
NO_DELAY = 100.0  # milliseconds for which a frame with a delay of 0 is shown, as in browsers
# formats whose files can hold an animation, or pages; others have a preview as second image
SEQUENCES = frozenset({"AVIF", "PNG", "TIFF", "WEBP"})
ORIENTATION = 0x0112  # the EXIF tag
# whether an image is transposed, and then mirrored and flipped, for each value of the tag
TURNS = {
    1: (False, False, False),
    2: (False, True, False),
    3: (False, True, True),
    4: (False, False, True),
    5: (True, False, False),
    6: (True, True, False),
    7: (True, True, True),
    8: (True, False, True),
}


def pictures(path: Path, stream: int | None = None) -> Iterator[Picture]:
    """All pictures of a video file, of a folder of images in natural order, or of one image.

    ``stream`` is that of `decode_video`. An animated image, or one of several pages, gives all of
    them, an animation with its delays. Files whose names begin with a dot are ignored. Raises
    `InputError` where the source does not exist or cannot be read completely.
    """
    if not path.exists():
        raise InputError(f"{path} does not exist: check `path`")
    if path.is_dir():
        return _images(_files(path))
    return _sequence(path) if path.suffix.lower() in IMAGE_SUFFIXES else decode_video(path, stream)


def runs_of_pictures(
    path: Path, stream: int | None, shares: Sequence[float], length: int
) -> Iterator[list[NDArray[np.uint8]]]:
    """Runs of ``length`` consecutive pictures about at ``shares`` in [0, 1] of a source.

    There may be fewer runs, and none of a source that can be read from its beginning only.
    """
    if path.is_dir():
        files = _files(path)
        for first in sorted({int(share * max(len(files) - length, 0)) for share in shares}):
            run = [picture.pixels for picture in _images(files[first : first + length])]
            if len(run) == length:
                yield run
    elif path.suffix.lower() not in IMAGE_SUFFIXES:
        yield from decode_runs(path, stream, shares, length)


def _files(folder: Path) -> list[Path]:
    """The images of a folder, in natural order; raises `InputError` where there are none."""
    files = [f for f in folder.iterdir() if f.suffix.lower() in IMAGE_SUFFIXES and f.is_file()]
    files = [f for f in files if not f.name.startswith(".")]  # macOS keeps notes in ._NAME
    if not files:
        raise InputError(f"{folder} contains no image: give a video file, or a folder of images")
    return os_sorted(files)


def _images(files: list[Path]) -> Iterator[Picture]:
    for index, file in enumerate(files):
        with _reading(file) as image:
            count = _length(image)
            if count > 1:
                raise InputError(
                    f"{file} holds {count} images: give this file alone as `path`, or a folder of "
                    "single images"
                )
            pixels = _upright(image)
        yield Picture(*pixels, index / IMAGE_FPS, len(files))


def _sequence(path: Path) -> Iterator[Picture]:
    """The images of one file, each with the sum of the delays before it."""
    time = 0.0
    with _reading(path) as image:
        count = _length(image)
        if image.format == "PNG" and count > 1:
            # Pillow 13.0 does not restore what was below a frame that goes away
            yield from decode_video(path)
            return
        for index in range(count):
            image.seek(index)
            check_size(path, image.height, image.width)
            yield Picture(*_upright(image), time, count)
            delay = float(image.info.get("duration", 1000 / IMAGE_FPS))
            time += (delay or NO_DELAY) / 1000


def _length(image: Image.Image) -> int:
    return int(getattr(image, "n_frames", 1)) if image.format in SEQUENCES else 1


def read_image(path: Path) -> NDArray[np.uint8]:
    """An image file, rotated as its EXIF data say: uint8 (H, W, 3); the first of an animation.

    Raises `InputError` where it cannot be read.
    """
    with _reading(path) as image:
        return _upright(image)[0]


@contextmanager
def _reading(path: Path) -> Iterator[Image.Image]:
    """An open image; whatever fails while it is read is one `InputError`."""
    # Pillow reads as many bytes as the file states; from memory, no more than there are
    content = io.BytesIO(read_bytes(path, MAX_IMAGE_BYTES, linked=True))
    try:
        with Image.open(content) as image:
            check_size(path, image.height, image.width)
            yield image
    except InputError:
        raise
    except (
        OSError,
        ValueError,
        SyntaxError,
        RuntimeError,
        EOFError,
        Image.DecompressionBombError,
    ) as error:
        reason = str(error).splitlines()[0][:100] if str(error) else "unreadable"
        raise InputError(f"{path} cannot be read as an image ({reason})") from None


def _upright(image: Image.Image) -> tuple[NDArray[np.uint8], SourceMap]:
    """The pixels, turned as the EXIF data say: uint8 (H, W, 3); other EXIF data may be damaged."""
    try:
        turn = TURNS.get(image.getexif().get(ORIENTATION, 1), TURNS[1])
    except (struct.error, ValueError, SyntaxError, TypeError):
        turn = TURNS[1]
    transposed, mirrored, flipped = turn
    return turned(
        _rgb(image),
        (image.height, image.width),
        transposed=transposed,
        mirrored=mirrored,
        flipped=flipped,
    )


def _rgb(image: Image.Image) -> NDArray[np.uint8]:
    if image.mode == "F" or (image.mode == "I" and image.format == "TIFF"):
        raise ValueError("32 bits a sample have no defined white: save it with 8 or 16 bits")
    if image.mode.startswith("I;16") or image.mode == "I":  # PIL's convert would clip 16-bit values
        grey = np.asarray(image).astype(np.float64) / 257
        pixels: NDArray[np.uint8] = grey.round().clip(0, 255).astype(np.uint8)
        return np.repeat(pixels[..., None], 3, axis=2)
    return np.asarray(image.convert("RGB"))
