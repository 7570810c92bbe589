"""Bytes against PSNR: checkpoints of 32, 16 and 8 bits a weight, and video codecs.

Checkpoints and video files are written, read and decoded. The bytes that a codec needs for a
checkpoint's PSNR are interpolated between the two nearest settings of the codec. PSNR is computed
on 8-bit RGB. Each codec uses the best of its colour formats; "not reached" means that none reaches
the checkpoint's PSNR. The loss of each colour format without a codec is printed as well.
"""

from __future__ import annotations

import argparse
import math
import tempfile
from bisect import bisect_left
from collections.abc import Callable, Iterable
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, cast

import av
import numpy as np
import torch
from av.video.reformatter import Interpolation
from report import heading, table, write
from torch import Tensor
from tqdm import tqdm

from nerv_clip import InputError, load_model, load_video
from nerv_clip.cli import main_guard, parse
from nerv_clip.evaluation.decoding import decode
from nerv_clip.evaluation.evaluate import evaluate_checkpoint
from nerv_clip.metrics import psnr
from nerv_clip.models.checkpoint import export_model
from nerv_clip.models.config import BITS
from nerv_clip.video.video import Video


class Codec(NamedTuple):
    """An encoder at a slow preset: its name in FFmpeg, its options, its colour formats."""

    name: str
    options: dict[str, str]
    formats: tuple[str, ...]
    crfs: range


FORMATS = ("yuv420p10le", "yuv444p10le")  # 8 bits take more bytes for a PSNR, or don't reach it
CODECS = {
    "x264": Codec("libx264", {"preset": "veryslow", "tune": "psnr"}, FORMATS, range(1, 51)),
    "x265": Codec(
        "libx265",
        {"preset": "veryslow", "tune": "psnr", "x265-params": "log-level=error"},
        FORMATS,
        range(1, 51),
    ),
    "SVT-AV1": Codec(
        "libsvtav1", {"preset": "2", "svtav1-params": "tune=1"}, FORMATS[:1], range(1, 63)
    ),
}
# swscale's default conversion to 4:2:0 would lose 2 dB of chroma before any codec
CAREFUL = (
    Interpolation.BICUBIC
    | Interpolation.ACCURATE_RND
    | Interpolation.FULL_CHR_H_INT
    | Interpolation.FULL_CHR_H_INP
)


def main(argv: list[str]) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="+", type=Path, help="checkpoints, all of one video")
    parser.add_argument("--data_path", required=True, help="the video that they were trained on")
    parser.add_argument("--crop_list", default="640_1280")
    parser.add_argument("--resize_list", default="160_320")
    parser.add_argument("--out", type=Path, help="a Markdown file under bench/results")
    args = parser.parse_args(argv)
    cut = ["--crop_list", args.crop_list, "--resize_list", args.resize_list]
    video = load_video(parse(["--data_path", args.data_path, *cut]).data)
    frames = video.read(range(len(video)))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "m.pth"
        ours = [row for model in args.models for row in checkpoints(model, video, frames, file)]
        for name, codec in CODECS.items():
            needs = bytes_at(codec, frames, video.fps, Path(folder) / "v.mp4")
            for row in tqdm(ours, desc=name, unit="row"):
                needed = needs(row["PSNR"])
                less = f"{needed:.0f} ({row['bytes'] / needed:.1f}x less)"
                row[f"{name} at this PSNR"] = less if needed < math.inf else "not reached"
    for row in ours:
        row["PSNR"], row["MS-SSIM"] = f"{row['PSNR']:.2f}", f"{row['MS-SSIM']:.4f}"
    losses = ", ".join(f"{pixels} {converted(frames, pixels):.2f} dB" for pixels in FORMATS)
    about = "PSNR is a mean over frames of 8-bit RGB: decoded frames are rounded first.\n\n"
    about += f"Formats without a codec: {losses}.\n\n"
    write(args.out, heading(__doc__) + about + table(ours))


def checkpoints(model: Path, video: Video, frames: Tensor, path: Path) -> list[dict[str, Any]]:
    """The rows of a network: written with each number of bits a weight, then evaluated."""
    rows = []
    for bits in BITS:
        network = load_model(model)
        if max(network.arch.first.motion_steps, network.arch.first.table_steps) not in (
            0,
            len(video),
        ):
            raise InputError(f"{model} held frames out: give networks of --data_split 1_1_1")
        export_model(network, path, {}, bits)
        metrics = evaluate_checkpoint(path, video, ["train"] * len(video)).metrics
        drawn = torch.cat([f for _, f, _, _ in decode(load_model(path), list(range(len(video))))])
        rows.append(
            {
                "network": model.stem,
                "bits a weight": bits,
                "bytes": metrics.bytes,
                "bpp": f"{metrics.bpp:.3f}",
                "PSNR": mean_psnr(drawn.mul(255).round(), frames),
                "MS-SSIM": metrics.train.ms_ssim,
            }
        )
    return rows


def bytes_at(codec: Codec, frames: Tensor, fps: float, path: Path) -> Callable[[float], float]:
    """A function from PSNR in dB to the bytes that a codec needs with its best colour format."""

    @cache
    def point(crf: int, pixels: str) -> tuple[float, int]:
        return encoded(codec, crf, pixels, frames, fps, path)

    def between(quality: float, pixels: str) -> float:
        worse = bisect_left(codec.crfs, True, key=lambda crf: point(crf, pixels)[0] < quality)
        if worse in (0, len(codec.crfs)):
            return math.inf
        high, large = point(codec.crfs[worse - 1], pixels)
        low, small = point(codec.crfs[worse], pixels)
        share = (quality - low) / (high - low)
        return math.exp((1 - share) * math.log(small) + share * math.log(large))

    return lambda quality: min(between(quality, pixels) for pixels in codec.formats)


def encoded(
    codec: Codec, crf: int, pixels: str, frames: Tensor, fps: float, path: Path
) -> tuple[float, int]:
    """Encode a video; returns the mean PSNR in dB of the decoded file, in RGB, and its bytes."""
    with av.open(str(path), "w") as container:
        rate = Fraction(fps).limit_denominator(1001)
        stream = cast(av.VideoStream, container.add_stream(codec.name, rate=rate))
        stream.options = {**codec.options, "crf": str(crf)}
        stream.height, stream.width = frames.shape[-2:]
        stream.pix_fmt = pixels
        for frame in frames:
            container.mux(stream.encode(coloured(frame, pixels)))
        container.mux(stream.encode())
    with av.open(str(path)) as container:
        return scored(container.decode(video=0), frames), path.stat().st_size


def converted(frames: Tensor, pixels: str) -> float:
    """Mean PSNR in dB of frames that were converted to a colour format and back to RGB."""
    return scored((coloured(frame, pixels) for frame in frames), frames)


def coloured(frame: Tensor, pixels: str) -> av.VideoFrame:
    picture = np.ascontiguousarray(frame.permute(1, 2, 0).numpy())
    shown = av.VideoFrame.from_ndarray(picture, format="rgb24")
    return shown.reformat(format=pixels, interpolation=CAREFUL)


def scored(shown: Iterable[av.VideoFrame], frames: Tensor) -> float:
    back = [f.reformat(format="rgb24", interpolation=CAREFUL).to_ndarray() for f in shown]
    return mean_psnr(torch.from_numpy(np.stack(back)).permute(0, 3, 1, 2), frames)


def mean_psnr(shown: Tensor, frames: Tensor) -> float:
    """Mean PSNR in dB of frames (T, 3, H, W) with values from 0 to 255."""
    return psnr(shown.float() / 255, frames.float() / 255).mean().item()


if __name__ == "__main__":
    main_guard(main)
