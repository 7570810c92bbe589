"""Read ``comparison.mp4``: true frames and their reconstructions, as a browser shows them.

Needs neither torch nor the source video, so that the app's pages load fast.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, cast

import av
import numpy as np
from av import VideoStream
from av.container import InputContainer
from numpy.typing import NDArray
from PIL import Image

from nerv_clip.errors import InputError
from nerv_clip.reading import open_file, read_bytes

Pixels = NDArray[np.uint8]
MAX_SIDE = 4096  # pixels of a stream's side that decoders of browsers accept
MAX_STREAM = 8 << 30  # bytes


class Pair(NamedTuple):
    """A frame index, the true frame and its reconstruction, uint8 (h, w, 3) each."""

    frame: int
    true: Pixels
    drawn: Pixels


class Layout(NamedTuple):
    """Where the two pictures of a frame lie in the stream.

    ``width`` and ``height`` are the stream's, in pixels. The true frame is at the top left of the
    upper half, its reconstruction at the top left of the lower half; each of their pixels covers
    ``scale`` x ``scale`` pixels of the stream. ``shown`` is a picture's (height, width), smaller
    than the video's if the stream was shrunk. ``checkpoint`` is the hash of the checkpoint that
    was decoded, empty if unknown.
    """

    width: int
    height: int
    scale: int
    shown: tuple[int, int]
    fps: float
    frames: int
    checkpoint: str


def shrink_of(height: int, width: int) -> int:
    """The whole number that divides a frame's sides so that two frames fit into a stream."""
    return -(-max(2 * height, width) // MAX_SIDE)


def read_layout(path: Path, height: int, width: int) -> Layout:
    """The layout of a stream of ``height`` x ``width`` frames; raises `InputError` if damaged."""
    try:
        with _opened(path) as (container, stream):
            fps, frames = float(stream.average_rate or 25), stream.frames
            size, comment = (stream.width, stream.height), container.metadata.get("comment", "")
    except (OSError, av.error.FFmpegError) as error:
        raise _damaged(path, error) from None
    shrink = shrink_of(height, width)
    shown = (height // shrink, width // shrink)
    scale = max(1, size[0] // (shown[1] + shown[1] % 2))
    return Layout(*size, scale, shown, fps, frames, comment)


class Samples(NamedTuple):
    """Where the coded frames of a stream lie in its file, for WebCodecs in a browser.

    Frame i has ``sizes[i]`` bytes from the byte ``offsets[i]``; ``keys`` are the indices of key
    frames. ``codec`` and ``description`` (avcC) configure the decoder.
    """

    codec: str
    description: bytes
    offsets: list[int]
    sizes: list[int]
    keys: list[int]


@contextmanager
def _opened(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    with (
        open_file(path, MAX_STREAM) as file,
        # as another format, FFmpeg would open the files that a playlist names
        av.open(file, "r", format="mp4", metadata_errors="replace") as container,
    ):
        stream = next(iter(container.streams.video), None)
        if stream is None or cast(Any, stream.codec_context) is None:
            raise InputError(f"{path} contains no video: evaluate the run again (`evaluate`)")
        yield container, stream


def read_stream(path: Path) -> bytes:
    """The bytes of a stream, for a browser; raises `InputError` as `open_file` does."""
    return read_bytes(path, MAX_STREAM)


def read_samples(path: Path) -> Samples:
    """The coded frames of a stream; raises `InputError` if the file is damaged."""
    try:
        with _opened(path) as (container, stream):
            setup = bytes(stream.codec_context.extradata or b"")
            packets = [packet for packet in container.demux(stream) if packet.size]
    except (OSError, av.error.FFmpegError) as error:
        raise _damaged(path, error) from None
    return Samples(
        f"avc1.{setup[1:4].hex()}",
        setup,
        [int(packet.pos or 0) for packet in packets],
        [packet.size for packet in packets],
        [index for index, packet in enumerate(packets) if packet.is_keyframe],
    )


def read_pairs(path: Path, indices: Sequence[int], height: int, width: int) -> Iterator[Pair]:
    """The frames at ``indices``, in increasing order, of a stream of ``height`` x ``width`` frames.

    Raises `InputError` where the stream is damaged or does not contain all of them.
    """
    layout = read_layout(path, height, width)
    try:
        yield from _found(path, layout, sorted(set(indices)))
    except av.error.FFmpegError as error:
        raise _damaged(path, error) from None


def _found(path: Path, layout: Layout, wanted: list[int]) -> Iterator[Pair]:
    with _opened(path) as (container, stream):
        base = float(stream.time_base or 1)
        pictures, last = container.decode(stream), -1
        for index in wanted:
            if index != last + 1 or last < 0:
                container.seek(round(index / layout.fps / base), stream=stream)
                pictures = container.decode(stream)
            for picture in pictures:
                last = round(float(picture.pts or 0) * base * layout.fps)
                if last >= index:
                    pixels = picture.to_ndarray(format="rgb24").astype(np.uint8, copy=False)
                    yield Pair(index, *(_half(pixels, half, layout) for half in (0, 1)))
                    break
            else:
                raise InputError(
                    f"{path} ends before frame {index}: evaluate the run again (`evaluate`)"
                )


def _half(pixels: Pixels, half: int, layout: Layout) -> Pixels:
    part = pixels[half * layout.height // 2 :][: layout.height // 2]
    if layout.scale > 1:
        part = np.asarray(Image.fromarray(part).reduce(layout.scale))
    return np.ascontiguousarray(part[: layout.shown[0], : layout.shown[1]])


def _damaged(path: Path, error: Exception) -> InputError:
    return InputError(f"{path} cannot be read ({error}): evaluate the run again (`evaluate`)")
