"""A GPU beside a CPU: the same decoded frames, decoded frames per second, and training steps.

The run must have been trained on the video. TF32 is PyTorch's default for convolutions on a GPU.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from ours import OurTraining
from report import heading, table, write
from torch import Tensor

from nerv_clip import Run, load_model
from nerv_clip.cli import main_guard
from nerv_clip.evaluation.decoding import decode, embed_times
from nerv_clip.metrics import psnr
from nerv_clip.models.video_network import VideoNetwork
from nerv_clip.runs.inputs import load_run_video
from nerv_clip.video.times import frame_time
from nerv_clip.video.video import Video

LARGE = "--resize_list 640_1280 --vid_end 132 --modelsize 1.5"  # 132 frames, as Big Buck Bunny
HEAD = "--predict_clip --clip_model demo --pixel_loss_warmup_epochs 50"
TRAININGS = (
    LARGE,
    f"{LARGE} --amp bf16",
    f"{LARGE} --preset best",
    f"{LARGE} --preset best --amp bf16",
    "--modelsize 0.5 --data_split 3_3_4",
    f"--preset fast --modelsize 0.5 --data_split 3_3_4 -e 100 {HEAD}",
)
WARM_UP, STEPS = 6, 20


class Decoded(NamedTuple):
    """All frames (T, 3, H, W) in [0, 1], and unit embeddings (T, D)."""

    frames: Tensor
    embeddings: Tensor


def main(argv: list[str]) -> None:
    """Print the three tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, default=Path("checkpoints/kitchen"))
    parser.add_argument("--data_path", type=Path, default=Path("data/Kitchen"))
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cuda")
    parser.add_argument("--trainings", nargs="*", default=TRAININGS, help="flags of each")
    parser.add_argument("--out", type=Path, help="a Markdown file under bench/results")
    args = parser.parse_args(argv)
    run = Run(args.run)
    video = load_run_video(run, args.data_path)
    text = heading(__doc__, args.device)
    text += table(list(decoded_rows(run, video, args.device))) + "\n"
    text += table([speed_row(run, video, device) for device in ("cpu", args.device)]) + "\n"
    steps = [step_row(flags, args.data_path, args.device) for flags in args.trainings]
    write(args.out, text + (table(steps) if steps else ""))


def decoded(model: VideoNetwork, frames: int, batch: int = 1) -> Decoded:
    parts = [part.frames.cpu() for part in decode(model, range(frames), batch)]
    times = [frame_time(i, frames) for i in range(frames)]
    return Decoded(torch.cat(parts), embed_times(model, times, batch))


def decoded_rows(run: Run, video: Video, device: str) -> list[dict[str, Any]]:
    """The CPU's frames, then those of ``device`` with and without TF32 and in batches."""
    first = decoded(load_model(run.best), len(video))
    model = load_model(run.best, device)
    ways = {"CPU": first, device: decoded(model, len(video))}
    ways[f"{device}, batches of 16"] = decoded(model, len(video), 16)
    torch.backends.cudnn.allow_tf32 = False
    ways[f"{device}, TF32 off"] = decoded(model, len(video))
    torch.backends.cudnn.allow_tf32 = True
    split = run.read_config().split_frames()
    return [{"device": name, **scores(way, first, video, split)} for name, way in ways.items()]


def scores(way: Decoded, first: Decoded, video: Video, split: Sequence[str]) -> dict[str, str]:
    """PSNR, and the differences to ``first``."""
    true = video.read(range(len(video)))
    each = torch.cat([psnr(way.frames[[i]], true[[i]] / 255) for i in range(len(video))])
    train, held = (each[[part == name for part in split]].mean() for name in ("train", "val"))
    rounded = [(x.frames * 255).round() for x in (way, first)]
    return {
        "PSNR train": f"{train:.4f}",
        "PSNR held out": f"{held:.4f}",
        "largest difference of 255": f"{255 * (way.frames - first.frames).abs().max():.4f}",
        "8-bit values that differ": f"{100 * (rounded[0] != rounded[1]).double().mean():.3f} %",
        "embeddings": f"{(way.embeddings - first.embeddings).abs().max():.1e}",
    }


def speed_row(run: Run, video: Video, device: str) -> dict[str, str]:
    """Frames per second of all frames in batches, and of train and held-out frames one by one."""
    model = load_model(run.best, device)
    split = run.read_config().split_frames()
    every = range(len(video))
    of = {name: [i for i in every if split[i] == name] for name in ("train", "val")}
    row = {"device": device}
    row |= {f"frames/s, {batch} at once": rates(model, every, batch) for batch in (1, 8, 32)}
    return row | {f"{name} frames/s": rates(model, of[name], 1) for name in of}


def rates(model: VideoNetwork, indices: Sequence[int], batch: int) -> str:
    """Frames per second of three passes, after a warm-up."""
    found = []
    for chosen in (indices[:batch], indices, indices, indices):
        start = time.perf_counter()
        for _ in decode(model, chosen, batch):
            pass
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        found.append(len(chosen) / (time.perf_counter() - start))
    return ", ".join(f"{rate:.0f}" for rate in found[1:])


def step_row(flags: str, data_path: Path, device: str) -> dict[str, str]:
    """Milliseconds of a step of two frames in the last epoch, and peak memory of a GPU."""
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    common = ["--data_path", str(data_path), "--device", device]
    trainer = OurTraining([*flags.split(), *common]).trainer
    trainer.order = list(trainer.train_frames)
    trainer.epoch = trainer.config.epochs - 1
    seconds = []
    for step in range(WARM_UP + STEPS):
        trainer.step = step % trainer.steps
        start = time.perf_counter()
        trainer.train_step()["psnr"].item()  # waits for a GPU
        seconds.append(time.perf_counter() - start)
    late = seconds[WARM_UP:]
    memory = torch.cuda.max_memory_allocated() / 2**30 if device == "cuda" else None
    return {
        "flags": f"`{flags}`",
        "mean, ms": f"{1e3 * statistics.fmean(late):.1f}",
        "minimum, ms": f"{1e3 * min(late):.1f}",
        "memory": "–" if memory is None else f"{memory:.1f} GiB",
    }


if __name__ == "__main__":
    main_guard(main)
