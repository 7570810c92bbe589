"""Write images, videos, and the comparison video that the app plays and seeks in."""

from __future__ import annotations

import io
import math
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction
from functools import partial
from itertools import chain, pairwise
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
import torch
from av.video.reformatter import ColorRange, Colorspace, Interpolation
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn.functional import avg_pool2d

from nerv_clip.files import atomic_write
from nerv_clip.video.comparison import MAX_SIDE, shrink_of

KEYFRAMES = 12  # maximum distance of key frames, so that a seek decodes few frames
QUALITY_DB = 45.0  # PSNR of a comparison against the frames that it shows
LOSSLESS_DB = 60.0
CRFS = (20, 16, 12, 8, 4, 1)
COARSEST = 40
GROUPS = 4  # of consecutive frames on which a setting is chosen
FEW, MANY = 4, KEYFRAMES  # frames of a group, to judge quality, and size in bytes
MARGIN_DB = 0.15  # by which the groups must exceed the quality: encoding all again takes long

Pixels = NDArray[np.uint8]


class Setting(NamedTuple):
    """How a comparison is encoded: ``crf`` of x264, and each pixel ``scale`` times as wide."""

    crf: int
    scale: int


def to_pixels(frame: Tensor) -> Pixels:
    """(3, H, W), uint8 or float in [0, 1], as uint8 (H, W, 3)."""
    if frame.is_floating_point():
        frame = frame.float().clamp(0, 1).mul(255).round().to(torch.uint8)
    pixels: Pixels = frame.permute(1, 2, 0).cpu().numpy()
    return np.ascontiguousarray(pixels)


def write_image(path: Path, frame: Tensor) -> None:
    """Write a frame (3, H, W), uint8 or float in [0, 1], in the format of the path's suffix."""
    with atomic_write(path) as temporary:
        Image.fromarray(to_pixels(frame)).save(temporary)


def write_video(path: Path, frames: Iterable[Tensor], fps: float, crf: int = 12) -> None:
    """Write frames (3, H, W), uint8 or float in [0, 1], as H.264; odd sides are padded by one."""
    with atomic_write(path) as temporary:
        _encode(temporary, (_even(to_pixels(frame)) for frame in frames), crf, fps=fps)


def write_comparison(
    path: Path,
    pairs: Callable[[Sequence[int]], Iterator[tuple[Tensor, Tensor]]],
    frames: int,
    fps: float,
    checkpoint: str = "",
    setting: Setting | None = None,
) -> float:
    """Write each true frame above its reconstruction, as one H.264 stream.

    ``pairs`` yields (true, reconstructed), (3, H, W) each, for the frame indices that it is called
    with; it is called more than once. Key frames every 12 frames, no B-frames, BT.709. Pictures
    are padded to even sides, and shrunk by a whole number if the stream would exceed `MAX_SIDE`.
    ``checkpoint``, the hash of the decoded checkpoint, is stored in the file, so that a stream of
    another checkpoint is recognised. ``setting`` is what `comparison_setting` returns, by default
    for these pairs; where it misses `QUALITY_DB`, finer ones are tried. Returns the mean PSNR in dB
    of the decoded stream, in RGB, with at most 60 dB for a frame.
    """
    first, scale = comparison_setting(pairs, frames) if setting is None else setting
    with atomic_write(path) as temporary:
        for crf in CRFS[CRFS.index(first) :]:
            stacked = map(_stacked, pairs(range(frames)))
            quality = _encode(temporary, stacked, crf, scale, fps=fps, comment=checkpoint)
            if quality >= QUALITY_DB:
                break
        return quality


def comparison_setting(
    pairs: Callable[[Sequence[int]], Iterator[tuple[Tensor, Tensor]]], frames: int
) -> Setting:
    """The setting with which groups of ``frames`` frames just exceed `QUALITY_DB`.

    4:2:0 halves the resolution of colour: if the quality cannot be reached with it and the size
    allows, each pixel is doubled, and a player shows the stream at half its size. ``pairs`` as in
    `write_comparison`.
    """
    sample = [*map(_stacked, pairs(_groups(frames, FEW)))]

    def reaches(crf: int, scale: int) -> bool:
        return _encode(None, sample, crf, scale, fps=25.0) >= QUALITY_DB + MARGIN_DB

    # if the finest setting does not reach the quality at a scale, no other does
    enough = reaches(CRFS[-1], 1)
    scale = 1 if enough or 2 * max(sample[0].shape) > MAX_SIDE else 2
    place = bisect_left(CRFS[:-1], True, key=partial(reaches, scale=scale))
    return Setting(CRFS[place], scale)


def _groups(frames: int, length: int) -> list[int]:
    """Indices of `GROUPS` groups of ``length`` consecutive frames, spread over all.

    They lie in the middle of each part, because a video often begins and ends in black.
    """
    parts = np.linspace(0, frames, GROUPS + 1).astype(int)
    starts = [max(int(a + b - length) // 2, 0) for a, b in pairwise(parts)]
    return sorted({i for start in starts for i in range(start, min(start + length, frames))})


def shrink_comparison(
    path: Path,
    pairs: Callable[[Sequence[int]], Iterator[tuple[Tensor, Tensor]]],
    frames: int,
    fps: float,
    most_bytes: int,
    checkpoint: str = "",
) -> float:
    """Write a comparison with the best quality that fits into ``most_bytes``.

    Other parameters and the returned quality in dB as in `write_comparison`. Both scales are tried
    on a few groups of pictures: doubled pixels keep colours sharp, plain ones need fewer bytes. If
    even the coarsest setting is larger, it is written all the same.
    """
    encode = partial(_encode, fps=fps, comment=checkpoint)
    chosen = _groups(frames, MANY)
    sample = [*map(_stacked, pairs(chosen))]
    share = len(chosen) / frames
    with atomic_write(path) as temporary:

        def fits(crf: int, scale: int) -> bool:
            encode(temporary, sample, crf, scale)
            return temporary.stat().st_size <= share * most_bytes

        options = []
        for scale in (1, 2):
            crf = bisect_left(range(COARSEST), True, key=partial(fits, scale=scale))
            options.append((encode(temporary, sample, crf, scale), scale, crf))
        _, scale, first = max(options)
        quality = encode(temporary, map(_stacked, pairs(range(frames))), first, scale)
        room = most_bytes / temporary.stat().st_size
        finer = max(first - int(6 * math.log2(room)), 0)  # 6 steps halve the size
        if room > 1 and finer == first:
            return quality
        for crf in range(finer, COARSEST + 1):
            quality = encode(temporary, map(_stacked, pairs(range(frames))), crf, scale)
            if temporary.stat().st_size <= most_bytes:
                break
        return quality


def _stacked(pair: tuple[Tensor, Tensor]) -> Pixels:
    true, drawn = pair
    shrink = shrink_of(*true.shape[1:])
    if shrink > 1:
        true, drawn = (avg_pool2d(_floats(frame), shrink) for frame in (true, drawn))
    return np.concatenate([_even(to_pixels(true)), _even(to_pixels(drawn))])


def _floats(frame: Tensor) -> Tensor:
    return frame if frame.is_floating_point() else frame.float() / 255


def _even(pixels: Pixels) -> Pixels:
    height, width = pixels.shape[:2]
    return np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")


def _grow(pixels: Pixels, scale: int) -> Pixels:
    return pixels.repeat(scale, axis=0).repeat(scale, axis=1)


def _encode(
    path: Path | None,
    pictures: Iterable[Pixels],
    crf: int,
    scale: int = 1,
    *,
    fps: float,
    comment: str = "",
) -> float:
    """Encode pictures, with doubled pixels if ``scale`` is 2; returns the stream's mean PSNR.

    The stream is decoded while it is written, so that each picture is produced only once. With
    None for ``path``, it is not kept.
    """
    pending: deque[Pixels] = deque()
    qualities: list[float] = []
    with _container(path) as container:
        container.metadata["comment"] = comment
        options = {"crf": str(crf), "preset": "medium", "tune": "psnr", "bf": "0"}
        rate = Fraction(fps).limit_denominator(1001)
        stream = container.add_stream("libx264", rate=rate, options=options)
        stream.pix_fmt, stream.gop_size = "yuv420p", KEYFRAMES
        codec = stream.codec_context
        codec.color_range, codec.colorspace = ColorRange.MPEG, Colorspace.ITU709
        codec.color_primaries = codec.color_trc = 1
        codec.thread_type = "FRAME"  # with slices, the bytes sometimes differed under load
        decoder = av.CodecContext.create("h264", "r")
        for picture in chain(pictures, [None]):
            if picture is None:
                packets = stream.encode()
            else:
                if not codec.is_open:
                    stream.height, stream.width = (scale * side for side in picture.shape[:2])
                pending.append(picture)
                packets = stream.encode(_yuv(_grow(picture, scale)))
            if decoder.extradata is None and codec.extradata is not None:
                decoder.extradata = codec.extradata
            for packet in packets:
                shown = decoder.decode(packet)
                container.mux(packet)
                qualities += [_quality(frame, pending.popleft(), scale) for frame in shown]
        qualities += [_quality(frame, pending.popleft(), scale) for frame in decoder.decode(None)]
    return float(np.mean(qualities))


def _container(path: Path | None) -> av.container.OutputContainer:
    """An open file; in memory if ``path`` is None."""
    if path is None:
        return av.open(io.BytesIO(), "w", format="matroska")
    return av.open(str(path), "w", options={"movflags": "faststart"})


def _yuv(picture: Pixels) -> av.VideoFrame:
    return av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(
        format="yuv420p",
        dst_colorspace=Colorspace.ITU709,
        dst_color_range=ColorRange.MPEG,
        interpolation=Interpolation.AREA
        | Interpolation.ACCURATE_RND
        | Interpolation.FULL_CHR_H_INP,
    )


def _quality(frame: av.VideoFrame, picture: Pixels, scale: int) -> float:
    """PSNR in dB of a decoded frame, reduced to the picture's size, against the picture.

    At most `LOSSLESS_DB`: black frames would raise a mean although the others look bad.
    """
    shown = frame.to_ndarray(format="rgb24").astype(np.float32)
    height, width = picture.shape[:2]
    if scale > 1:
        shown = shown.reshape(height, scale, width, scale, 3).mean(axis=(1, 3))
    error = float(np.square(shown - picture).mean())
    return float(min(10 * np.log10(255**2 / max(error, 1e-6)), LOSSLESS_DB))
