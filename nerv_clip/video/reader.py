"""Decode a video file or a folder of images: picture by picture, upright, in RGB."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, cast

import av
import numpy as np
from av.stream import Disposition
from natsort import os_sorted
from numpy.typing import NDArray
from PIL import Image, ImageOps

from nerv_clip.errors import InputError
from nerv_clip.reading import read_bytes

IMAGE_SUFFIXES = frozenset(
    f".{name}"
    for name in "avif bmp jpeg jpg jp2 pbm pgm png pnm ppm tga tif tiff webp".split()  # noqa: SIM905
)
MAX_IMAGE_BYTES = 512 << 20  # such an image with 16 bits a channel, uncompressed
MAX_IMAGE_PIXELS = 2**26  # 8192 x 8192; a decoded image takes 3 to 16 bytes a pixel
IMAGE_FPS = 25.0  # images have no timestamps


class Picture(NamedTuple):
    """A decoded picture.

    ``pixels`` uint8 (H, W, 3); ``time`` in seconds; ``expected``, about how many pictures the
    source has, None where that is unknown.
    """

    pixels: NDArray[np.uint8]
    time: float
    expected: int | None


def pictures(path: Path) -> Iterator[Picture]:
    """All pictures of a video file, of a folder of images in natural order, or of one image.

    Raises `InputError` where the source does not exist or cannot be read completely.
    """
    if not path.exists():
        raise InputError(f"{path} does not exist: check `path`")
    if path.is_dir():
        files = [f for f in path.iterdir() if f.suffix.lower() in IMAGE_SUFFIXES and f.is_file()]
        if not files:
            raise InputError(f"{path} contains no image: give a video file, or a folder of images")
        return _images(os_sorted(files))
    return _images([path]) if path.suffix.lower() in IMAGE_SUFFIXES else _video(path)


def _images(files: list[Path]) -> Iterator[Picture]:
    for index, file in enumerate(files):
        yield Picture(read_image(file), index / IMAGE_FPS, len(files))


def read_image(path: Path) -> NDArray[np.uint8]:
    """An image file, rotated as its EXIF data say: uint8 (H, W, 3).

    Raises `InputError` where it cannot be read.
    """
    if not path.exists():
        raise InputError(f"{path} does not exist")
    # Pillow reads as many bytes as the file states; from memory, no more than there are
    content = io.BytesIO(read_bytes(path, MAX_IMAGE_BYTES, linked=True))
    try:
        with Image.open(content) as image:
            _check_size(image, path)
            return _rgb(ImageOps.exif_transpose(image))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        reason = str(error).splitlines()[0][:100] if str(error) else "unreadable"
        raise InputError(f"{path} cannot be read as an image ({reason})") from None


def _check_size(image: Image.Image, path: Path) -> None:
    """Raise `InputError` for an image that is too large; called before it is decoded."""
    if image.width * image.height > MAX_IMAGE_PIXELS:
        raise InputError(
            f"{path} has {image.width}x{image.height} pixels, more than {MAX_IMAGE_PIXELS:,}: make "
            "it smaller"
        )


def _rgb(image: Image.Image) -> NDArray[np.uint8]:
    if image.mode.startswith("I;16") or image.mode == "I":  # PIL's convert would clip 16-bit values
        grey = np.asarray(image).astype(np.float64) / 257
        pixels: NDArray[np.uint8] = grey.round().clip(0, 255).astype(np.uint8)
        return np.repeat(pixels[..., None], 3, axis=2)
    return np.asarray(image.convert("RGB"))


def _video(path: Path) -> Iterator[Picture]:
    try:
        expected = _packets(path)
        with av.open(str(path)) as container:
            stream = _stream(container, path)
            stream.thread_type = "AUTO"
            stream.codec_context.options = {"err_detect": "explode"}
            count = 0
            for count, frame in enumerate(container.decode(stream), start=1):
                if frame.is_corrupt:
                    raise _damaged(path, f"frame {count - 1} is corrupt")
                time = frame.time
                if time is None:
                    time = (count - 1) / float(stream.average_rate or IMAGE_FPS)
                yield Picture(_upright(frame), time, expected)
            if not count:
                raise InputError(f"{path} contains no frame")
    except av.error.FFmpegError as error:
        raise _damaged(path, error.strerror or str(error)) from None


def _packets(path: Path) -> int:
    """The number of packets of the video stream, about one for each frame.

    Raises `InputError` for a file that is incomplete. A demuxer only logs that a file ends early,
    so its log is read in a separate pass without decoding: PyAV's log callback deadlocks with a
    decoder's threads (github.com/PyAV-Org/PyAV/issues/751).
    """
    av.logging.set_level(av.logging.ERROR)
    av.logging.set_skip_repeated(False)
    try:
        with av.logging.Capture(local=False) as log, av.open(str(path)) as container:
            stream = _stream(container, path)
            count = sum(1 for packet in container.demux(stream) if packet.size)
            complaints = [text for _, name, text in log if name != stream.codec_context.name]
    finally:
        av.logging.set_level(None)
    if complaints:
        raise _damaged(path, complaints[0])
    return count


def _stream(container: av.container.InputContainer, path: Path) -> av.VideoStream:
    for stream in container.streams.video:
        if not stream.disposition & Disposition.attached_pic:  # cover art of an audio file
            return stream
    raise InputError(f"{path} contains no video stream")


def _damaged(path: Path, reason: str) -> InputError:
    reason = reason.strip().splitlines()[0][:120]
    return InputError(f"{path} is not a video, or it is damaged ({reason}): give an intact file")


def _upright(frame: av.VideoFrame) -> NDArray[np.uint8]:
    """The pixels, rotated and mirrored as the display matrix says: uint8 (H, W, 3)."""
    pixels = frame.to_ndarray(format="rgb24").astype(np.uint8, copy=False)
    matrix = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return pixels
    values = np.frombuffer(bytes(cast(Any, matrix)), dtype=np.int32)
    # x' = a x + c y, y' = b x + d y, in 16.16 fixed point; only the signs matter here
    a, b, c, d = (int(values[i]) for i in (0, 1, 3, 4))
    if abs(b) > abs(a):
        pixels, a, d = pixels.transpose(1, 0, 2), c, b
    return pixels[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]
