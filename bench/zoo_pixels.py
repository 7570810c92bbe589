"""Kinds of pixels: codecs, formats, colours, interlacing, rotation and the shape of pixels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image
from zoo_writing import (
    BT601,
    BT601_FULL,
    BT709,
    BT709_FULL,
    BT2020_HLG,
    BT2020_PQ,
    HEIGHT,
    WIDTH,
    Colours,
    Kind,
    Pixels,
    Right,
    Track,
    encode,
    grey,
    options,
    scene,
    steady,
)

H265 = options(crf=8, x265_params="log-level=none")
RATE = options(b="4000k")
LOSSLESS = Track("ffv1", "yuv444p", ())


def kept(pictures: Pixels) -> Pixels:
    """The pictures, shown as they are stored."""
    return pictures


def plain(
    path: Path,
    track: Track,
    *,
    frames: int = 6,
    size: tuple[int, int] = (HEIGHT, WIDTH),
    shown: Callable[[Pixels], Pixels] = kept,
    format: str | None = None,
    error: float = 4.0,
) -> Right:
    """A file with one stream, of which all frames are shown."""
    true = scene(frames, *size)
    encode(path, true, track, format=format)
    return Right(shown(true), steady(frames, track.rate), error)


def made(file: str, track: Track, **settings: object) -> Kind:
    """A kind that `plain` writes."""
    return Kind(file, partial(plain, track=track, **settings))  # type: ignore[arg-type]


def stretched(pictures: Pixels, shape: Fraction) -> Pixels:
    """Pictures whose pixels have this shape (width / height), with square pixels."""
    height, width = pictures.shape[1:3]
    size = round(width * shape), height
    return np.stack(
        [np.asarray(Image.fromarray(p).resize(size, Image.Resampling.BICUBIC)) for p in pictures]
    )


def shaped(file: str, shape: Fraction, track: Track, width: int = WIDTH) -> Kind:
    """A video with pixels of this shape."""
    shown = partial(stretched, shape=shape)
    return made(file, replace(track, shape=shape), size=(HEIGHT, width), shown=shown, error=6.0)


# a, b, c, d of ISO/IEC 14496-12: x' = a x + c y, y' = b x + d y, with y down
CLOCKWISE, COUNTERCLOCKWISE = (0, 1, -1, 0), (0, -1, 1, 0)
TURNS: dict[str, tuple[tuple[int, int, int, int], Callable[[Pixels], Pixels]]] = {
    "turned clockwise": (CLOCKWISE, lambda p: np.rot90(p, -1, (1, 2))),
    "turned counterclockwise": (COUNTERCLOCKWISE, lambda p: np.rot90(p, 1, (1, 2))),
    "turned by 180 degrees": ((-1, 0, 0, -1), lambda p: p[:, ::-1, ::-1]),
    "mirrored": ((-1, 0, 0, 1), lambda p: p[:, :, ::-1]),
    "upside down, mirrored": ((1, 0, 0, -1), lambda p: p[:, ::-1]),
    "mirrored and turned clockwise": ((0, 1, 1, 0), lambda p: p.transpose(0, 2, 1, 3)),
    "mirrored and turned counterclockwise": (
        (0, -1, -1, 0),
        lambda p: p.transpose(0, 2, 1, 3)[:, ::-1, ::-1],
    ),
}


def turned_and_stretched(pictures: Pixels) -> Pixels:
    """Pixels become square in the stored picture; then it is turned."""
    return np.rot90(stretched(pictures, Fraction(4, 3)), -1, (1, 2))


MPEG2 = Track("mpeg2video", options=options(b="4000k", bf=2))
X264 = Track()


def constant_luminance(path: Path) -> Right:
    """A video with a YUV matrix that is not linear."""
    encode(path, scene(2), Track(colours=BT2020_PQ._replace(matrix_tag=10)))
    return Right(refused="has the YUV matrix 10, .* convert it to BT.709")


PIXELS: dict[str, Kind] = {
    # codecs
    "H.264 in MP4": made("v.mp4", X264),
    "HEVC in MP4": made("v.mp4", Track("libx265", options=H265)),
    "AV1 in MP4": made("v.mp4", Track("libsvtav1", options=options(crf=12, preset=8))),
    "VP8 in WebM": made("v.webm", Track("libvpx", options=RATE)),
    "VP9 in WebM": made("v.webm", Track("libvpx-vp9", options=options(crf=8, b=0))),
    "MJPEG in AVI": made("v.avi", Track("mjpeg", "yuvj420p", options(qmax=2), BT601_FULL)),
    "MPEG-4 in AVI": made("v.avi", Track("mpeg4", options=options(b="4000k", bf=2))),
    "H.264 with B-frames in AVI": made("v.avi", Track(options=options(crf=12, bf=3)), frames=20),
    "MPEG-4 with B-frames in AVI": made(
        "v.avi", Track("mpeg4", options=options(b="4000k", bf=2)), frames=20
    ),
    "MPEG-1 in a program stream": made("v.mpg", Track("mpeg1video", options=RATE), format="mpeg"),
    "WMV in ASF": made("v.wmv", Track("wmv2", options=RATE)),
    "Sorenson H.263 in FLV": made("v.flv", Track("flv", options=RATE)),
    "H.264 in FLV": made("v.flv", X264),
    "H.263 in 3GP": made(  # its small formats have pixels of 12:11
        "v.3gp",
        Track("h263", options=RATE),
        size=(96, 128),
        shown=partial(stretched, shape=Fraction(12, 11)),
        error=6.0,
    ),
    "VP8 in Ogg": made("v.ogv", Track("libvpx", options=RATE)),
    "FFV1 in Matroska": made("v.mkv", LOSSLESS),
    "FFV1 of 16 bits": made("v.mkv", replace(LOSSLESS, pix_fmt="yuv444p16le")),
    "DNxHR in MOV": made(
        "v.mov", Track("dnxhd", "yuv422p", options(profile="dnxhr_hq")), size=(128, 288)
    ),
    "ProRes 422 in MOV": made("v.mov", Track("prores_ks", "yuv422p10le", ())),
    "ProRes 4444 with alpha in MOV": made("v.mov", Track("prores_ks", "yuva444p10le", ())),
    "PNG with alpha in MOV": made("v.mov", Track("png", "rgba", ())),
    "QuickTime Animation in MOV": made("v.mov", Track("qtrle", "rgb24", ()), error=0.0),
    "Microsoft Video 1 in AVI": made("v.avi", Track("msvideo1", "rgb555le", ()), error=8.0),
    "Ut Video, RGB": made("v.avi", Track("utvideo", "gbrp", ()), error=0.0),
    "HuffYUV, 4:2:2": made("v.avi", Track("huffyuv", "yuv422p", ())),
    "H.264, RGB": made("v.mkv", Track("libx264rgb", "rgb24", options(crf=0)), error=0.0),
    "VP9 with alpha": made(
        "v.webm", Track("libvpx-vp9", "yuva420p", options(crf=8, b=0, auto_alt_ref=0))
    ),
    "DV, 4:3": made(
        "v.dv",
        Track("dvvideo", options=()),
        frames=2,
        size=(576, 720),
        shown=partial(stretched, shape=Fraction(16, 15)),
        error=6.0,
    ),
    "MPEG-2 in MXF": made("v.mxf", Track("mpeg2video", options=RATE)),
    "raw RGB in AVI": made("v.avi", Track("rawvideo", "bgr24", ()), error=0.0),
    "H.264 with periodic intra refresh": made(
        "v.mkv", Track(options=options(crf=12, x264_params="intra-refresh=1:keyint=10")), frames=30
    ),
    # elementary streams have no times
    "bare H.264": made("v.h264", X264, frames=20),
    "bare HEVC": made("v.hevc", Track("libx265", options=H265), format="hevc"),
    "bare MPEG-2": made("v.m2v", MPEG2, frames=20, format="mpeg2video"),
    "bare MPEG-4": made("v.m4v", Track("mpeg4", options=RATE), format="m4v"),
    "bare AV1": made("v.obu", Track("libsvtav1", options=options(crf=12, preset=8)), format="obu"),
    "VP9 in IVF": made("v.ivf", Track("libvpx-vp9", options=options(crf=8, b=0))),
    "Y4M": made("v.y4m", Track("wrapped_avframe", options=())),
    # formats of pixels
    "H.264, 4:2:2": made("v.mp4", Track(pix_fmt="yuv422p")),
    "H.264, 4:4:4": made("v.mp4", Track(pix_fmt="yuv444p")),
    "H.264, 10 bits": made("v.mp4", Track(pix_fmt="yuv420p10le")),
    "HEVC, 12 bits, 4:4:4": made("v.mp4", Track("libx265", "yuv444p12le", H265)),
    "FFV1, levels of grey": made("v.mkv", Track("ffv1", "gray", (), BT601_FULL), shown=grey),
    "H.264, levels of grey": made("v.mp4", Track(pix_fmt="gray", colours=BT601), shown=grey),
    "HEVC, levels of grey": made("v.mp4", Track("libx265", "gray", H265, BT601), shown=grey),
    "HEVC, levels of grey, full range": made(
        "v.mp4", Track("libx265", "gray", H265, BT601_FULL), shown=grey
    ),
    "HEVC, levels of grey, 10 bits": made(
        "v.mp4", Track("libx265", "gray10le", H265, BT601), shown=grey
    ),
    # colours
    "untagged: BT.601 is assumed": made("v.mp4", X264),
    "BT.601": made("v.mp4", Track(colours=BT601)),
    "BT.601, full range": made("v.mp4", Track(pix_fmt="yuvj420p", colours=BT601_FULL)),
    "BT.709": made("v.mp4", Track(colours=BT709)),
    "BT.709 in VP9": made("v.webm", Track("libvpx-vp9", "yuv420p", options(crf=8, b=0), BT709)),
    "BT.709, full range": made("v.mp4", Track(pix_fmt="yuvj420p", colours=BT709_FULL)),
    "BT.709, 10 bits, in a transport stream": made(
        "v.ts", Track("libx265", "yuv420p10le", H265, BT709)
    ),
    "BT.709, wide pixels": shaped("v.mp4", Fraction(4, 3), Track(colours=BT709)),
    "SMPTE 240M": made("v.mp4", Track(colours=Colours(0.212, 0.087, matrix_tag=7, range_tag=1))),
    "BT.2020 with constant luminance": Kind("v.mp4", constant_luminance),
    # signal values as they are: no tone mapping
    "HDR, PQ: signal values": made("v.mp4", Track("libx265", "yuv420p10le", H265, BT2020_PQ)),
    "HDR, HLG: signal values": made("v.mp4", Track("libx265", "yuv420p10le", H265, BT2020_HLG)),
    # interlaced: both fields in one picture
    "interlaced H.264 in MP4": made("v.mp4", Track(interlaced=True)),
    "interlaced H.264 in TS": made("v.ts", Track(interlaced=True), frames=20),
    "interlaced H.264 in Matroska": made("v.mkv", Track(interlaced=True)),
    "interlaced MPEG-2 in TS": made("v.ts", replace(MPEG2, interlaced=True), frames=20),
    "interlaced MPEG-2 in AVI": made(
        "v.avi", Track("mpeg2video", options=RATE, interlaced=True), frames=12
    ),
    "interlaced MPEG-2 in Matroska": made("v.mkv", replace(MPEG2, interlaced=True), frames=12),
    # a ninth of 720x576: MPEG-2 states the shape of the picture, not that of its pixels
    "DVD, 4:3": shaped("v.vob", Fraction(16, 15), replace(MPEG2, interlaced=True), width=80),
    "DVD, 16:9": shaped("v.vob", Fraction(64, 45), replace(MPEG2, interlaced=True), width=80),
    # turned, and with pixels that are not square
    **{
        f"H.264, {name}": made("v.mp4", Track(turn=turn), shown=shown)
        for name, (turn, shown) in TURNS.items()
    },
    "Matroska, turned clockwise": made(
        "v.mkv", Track(turn=CLOCKWISE), shown=TURNS["turned clockwise"][1]
    ),
    "phone, upright, full range": made(
        "v.mov",
        Track(
            "libx265",
            "yuvj420p",
            H265,
            colours=BT709_FULL,
            turn=CLOCKWISE,
            rate=30,
        ),
        shown=TURNS["turned clockwise"][1],
    ),
    "wide pixels, turned clockwise": made(
        "v.mp4",
        Track(shape=Fraction(4, 3), turn=CLOCKWISE),
        shown=turned_and_stretched,
        error=6.0,
    ),
    "wide pixels, odd width": shaped(
        "v.mp4", Fraction(4, 3), Track(pix_fmt="yuv444p"), width=WIDTH - 1
    ),
    "ProRes, wide pixels": shaped("v.mov", Fraction(16, 11), Track("prores_ks", "yuv422p10le", ())),
    "MPEG-4, wide pixels": shaped("v.avi", Fraction(16, 11), Track("mpeg4", options=RATE)),
    "transport stream, wide pixels": shaped("v.ts", Fraction(4, 3), X264),
    "narrow pixels": shaped("v.mkv", Fraction(3, 4), X264),
    "odd sides": made("v.mkv", Track(pix_fmt="yuv444p"), size=(HEIGHT - 1, WIDTH - 1)),
}
