"""Decoding: the pictures of a video file or of a folder of images, one by one, upright, in RGB."""

from __future__ import annotations

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

IMAGE_SUFFIXES = frozenset(
    f".{name}"
    for name in "avif bmp jpeg jpg jp2 pbm pgm png pnm ppm tga tif tiff webp".split()  # noqa: SIM905
)
IMAGE_FPS = 25.0  # images carry no time of their own


class Picture(NamedTuple):
    """A decoded picture: uint8 (H, W, 3), its time in seconds, and how many there may be."""

    pixels: NDArray[np.uint8]
    time: float
    expected: int | None


def pictures(path: Path) -> Iterator[Picture]:
    """Every picture of a video file, a folder of images, or one image.

    Raises `InputError` for whatever cannot be read whole.
    """
    if not path.exists():
        raise InputError(f"{path} does not exist: check `path`")
    if path.is_dir():
        files = [f for f in path.iterdir() if f.suffix.lower() in IMAGE_SUFFIXES and f.is_file()]
        if not files:
            raise InputError(f"{path} holds no image: give a video file, or a folder of images")
        return _images(os_sorted(files))
    return _images([path]) if path.suffix.lower() in IMAGE_SUFFIXES else _video(path)


def _images(files: list[Path]) -> Iterator[Picture]:
    for index, file in enumerate(files):
        yield Picture(read_image(file), index / IMAGE_FPS, len(files))


def read_image(path: Path) -> NDArray[np.uint8]:
    """An image file, upright: uint8 (H, W, 3); raises `InputError` where it cannot be read."""
    try:
        with Image.open(path) as image:
            return _rgb(ImageOps.exif_transpose(image))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        reason = str(error).splitlines()[0][:100] if str(error) else "unreadable"
        raise InputError(f"{path} cannot be read as an image ({reason})") from None


def _rgb(image: Image.Image) -> NDArray[np.uint8]:
    if image.mode.startswith("I;16") or image.mode == "I":  # PIL's convert would video 16 bits
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
                    raise _damaged(path, f"frame {count - 1} is broken")
                time = frame.time
                if time is None:
                    time = (count - 1) / float(stream.average_rate or IMAGE_FPS)
                yield Picture(_upright(frame), time, expected)
            if not count:
                raise InputError(f"{path} holds no frame")
    except av.error.FFmpegError as error:
        raise _damaged(path, error.strerror or str(error)) from None


def _packets(path: Path) -> int:
    """Packets of the video stream, about one a frame, once the file is known to be whole.

    A demuxer only logs that a file ends early. Its log is read in a pass without decoding: PyAV's
    log callback deadlocks with a decoder's threads (github.com/PyAV-Org/PyAV/issues/751).
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
        if not stream.disposition & Disposition.attached_pic:  # the cover of a song is no video
            return stream
    raise InputError(f"{path} holds no video stream")


def _damaged(path: Path, reason: str) -> InputError:
    reason = reason.strip().splitlines()[0][:120]
    return InputError(f"{path} is no video, or a damaged one ({reason}): give an intact file")


def _upright(frame: av.VideoFrame) -> NDArray[np.uint8]:
    """Pixels as they are meant to be seen: rotated and mirrored as the display matrix says."""
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
