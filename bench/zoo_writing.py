"""Write small videos whose right answer is known: pictures, their YUV values, their times.

The YUV values are computed here from the standards' formulas, not by FFmpeg, so that a reader that
takes the wrong matrix or range is noticed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple, cast

import av
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]

INTERLACED = av.codec.context.Flags.interlaced_dct | av.codec.context.Flags.interlaced_me
HEIGHT, WIDTH = 64, 96
COLOURS = np.array(
    [
        [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (0, 255, 255), (255, 0, 255)],
        [(255,) * 3, (0, 0, 0), (128,) * 3, (255, 128, 0), (64, 160, 255), (224, 172, 140)],
    ],
    np.uint8,
)


class Right(NamedTuple):
    """What a reader should give: pictures (N, H, W, 3) and their times in seconds.

    ``error`` is the largest mean absolute difference of a picture, in grey levels: what the codec
    loses. ``skipped`` frames before the first picture are reported as left out. If ``refused`` is
    not empty, the file is refused with a message that matches it, and there are no pictures.
    """

    pictures: Pixels = np.empty((0, 0, 0, 3), np.uint8)
    times: Sequence[float] = ()
    error: float = 4.0
    skipped: int = 0
    refused: str = ""


class Kind(NamedTuple):
    """A file's name, and the function that writes it and returns what is right."""

    file: str
    write: Callable[[Path], Right]


def scene(frames: int, height: int = HEIGHT, width: int = WIDTH) -> Pixels:
    """Twelve colours above a white square that moves: each picture differs, as does each side."""
    top = COLOURS.repeat(height // 4, axis=0).repeat(-(-width // 6), axis=1)[:, :width]
    picture = np.full((height, width, 3), 40, np.uint8)
    picture[: len(top)] = top
    shown = np.stack([picture] * frames)
    for index in range(frames):
        at = 4 * (index % ((width - 16) // 4)), 8 * (index // ((width - 16) // 4) % 2)
        shown[index, height // 2 + at[1] :][:16, at[0] : at[0] + 16] = 230
    return shown


def grey(pictures: Pixels) -> Pixels:
    """The pictures without colour."""
    luma = pictures @ np.array([0.299, 0.587, 0.114])
    return np.repeat(luma.round().astype(np.uint8)[..., None], 3, axis=-1)


# --- YUV ----------------------------------------------------------------------------------------


class Colours(NamedTuple):
    """A YUV matrix (its weights of red and blue), a range, and what the file says of them.

    ``matrix_tag``, ``range_tag``, ``primaries`` and ``transfer`` are numbers of ISO/IEC 23091-2;
    2, or 0 for the range, is 'unspecified'.
    """

    red: float = 0.299
    blue: float = 0.114
    full: bool = False
    matrix_tag: int = 2
    range_tag: int = 0
    primaries: int = 2
    transfer: int = 2


UNTAGGED = Colours()
BT601 = Colours(matrix_tag=6, range_tag=1, primaries=6, transfer=6)
BT601_FULL = Colours(full=True, matrix_tag=5, range_tag=2)
BT709 = Colours(0.2126, 0.0722, matrix_tag=1, range_tag=1, primaries=1, transfer=1)
BT709_FULL = BT709._replace(full=True, range_tag=2)
BT2020_PQ = Colours(0.2627, 0.0593, matrix_tag=9, range_tag=1, primaries=9, transfer=16)
BT2020_HLG = BT2020_PQ._replace(transfer=18)


def _planes(picture: Pixels, colours: Colours, bits: int) -> list[NDArray[np.float64]]:
    """Y, U and V of a picture, as numbers of so many bits (ITU-R BT.601, BT.709, BT.2100)."""
    red, green, blue = (picture[..., i] / 255 for i in range(3))
    y = colours.red * red + (1 - colours.red - colours.blue) * green + colours.blue * blue
    u, v = (blue - y) / (2 - 2 * colours.blue), (red - y) / (2 - 2 * colours.red)
    top, unit = 2**bits - 1, 2 ** (bits - 8)
    if colours.full:
        planes = [top * y, top * u + 128 * unit, top * v + 128 * unit]
    else:
        planes = [unit * (219 * y + 16), unit * (224 * u + 128), unit * (224 * v + 128)]
    return [plane.round().clip(0, top) for plane in planes]


def to_frame(picture: Pixels, pix_fmt: str, colours: Colours = UNTAGGED) -> av.VideoFrame:
    """A picture as a frame of a YUV format by our formulas, or of an RGB format by FFmpeg."""
    height, width = picture.shape[:2]
    if "yuv" not in pix_fmt and "gray" not in pix_fmt:
        return av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format=pix_fmt)
    frame = av.VideoFrame(width, height, pix_fmt)
    bits = frame.format.components[0].bits
    values = [*_planes(picture, colours, bits), np.full((height, width), 2.0**bits - 1)]  # alpha
    for plane, value in zip(frame.planes, values, strict=False):
        high, wide = -(-height // plane.height), -(-width // plane.width)
        part = value[::high, ::wide].astype(np.uint8 if bits == 8 else "<u2")
        lines = np.zeros((plane.height, plane.line_size), np.uint8)
        lines[:, : part.shape[1] * part.itemsize] = part.view(np.uint8)
        plane.update(lines.tobytes())
    frame.colorspace, frame.color_range = colours.matrix_tag, colours.range_tag
    return frame


# --- files --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Track:
    """How pictures become a stream. ``times`` and ``start`` count frames of ``rate``."""

    codec: str = "libx264"
    pix_fmt: str = "yuv420p"
    options: tuple[tuple[str, str], ...] = (("crf", "12"),)
    colours: Colours = UNTAGGED
    rate: int = 25
    times: Sequence[int] | None = None
    start: int = 0
    shape: Fraction | None = None  # of a pixel, width / height
    turn: tuple[int, int, int, int] | None = None  # a, b, c, d of the display matrix
    interlaced: bool = False

    def add_to(self, container: av.container.OutputContainer, picture: Pixels) -> av.VideoStream:
        """A new stream of a container, for pictures of this size."""
        stream = cast(
            av.VideoStream,
            container.add_stream(self.codec, rate=self.rate, options=dict(self.options)),
        )
        stream.height, stream.width = picture.shape[:2]
        stream.pix_fmt = self.pix_fmt
        stream.codec_context.thread_count = 1
        stream.codec_context.time_base = Fraction(1, self.rate)
        if self.shape is not None:
            stream.sample_aspect_ratio = self.shape
        if self.turn is not None:
            a, b, c, d = (value << 16 for value in self.turn)
            stream.set_display_matrix([a, b, 0, c, d, 0, 0, 0, 1 << 30])
        if self.interlaced:
            stream.codec_context.flags |= INTERLACED
        codec = stream.codec_context
        codec.colorspace, codec.color_range = self.colours.matrix_tag, self.colours.range_tag
        codec.color_primaries, codec.color_trc = self.colours.primaries, self.colours.transfer
        return stream

    def frames(self, pictures: Iterable[Pixels]) -> Iterator[av.VideoFrame]:
        """The pictures as frames with their times."""
        for index, picture in enumerate(pictures):
            frame = to_frame(picture, self.pix_fmt, self.colours)
            frame.pts = self.start + (index if self.times is None else self.times[index])
            frame.time_base = Fraction(1, self.rate)
            yield frame


def encode(
    path: Path,
    pictures: Pixels,
    track: Track | None = None,
    *,
    format: str | None = None,
    options: dict[str, str] | None = None,
) -> None:
    """Write pictures as the only stream of a file."""
    track = track or Track()
    with av.open(str(path), "w", format=format, options=options or {}) as container:
        stream = track.add_to(container, pictures[0])
        for frame in track.frames(pictures):
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def options(**values: str | float) -> tuple[tuple[str, str], ...]:
    """Options of a codec, as a `Track` keeps them."""
    return tuple((name.replace("_", "-"), str(value)) for name, value in values.items())


def copy_packets(source: Path, out: Path, first: int) -> None:
    """Copy the packets of a video from the ``first`` one on, without decoding them."""
    with av.open(str(source)) as old, av.open(str(out), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for packet in [p for p in old.demux(old.streams.video[0]) if p.size][first:]:
            packet.stream = stream
            new.mux(packet)


def steady(frames: int, rate: float = 25) -> list[float]:
    """The times of frames at a constant rate."""
    return [index / rate for index in range(frames)]
