"""Peak memory of large frames streamed from disk: 20 steps of batch 1, evaluation, comparison.

Each size runs in its own process, whose peak resident memory the system reports. Training reads
all frames; the first 12 are evaluated and written as ``comparison.mp4``.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from report import heading, number, table, write

from nerv_clip import Run, Trainer, load_video, solve, split_frames
from nerv_clip.cli import Terminal, main_guard, parse
from nerv_clip.models.checkpoint import export_model
from nerv_clip.models.parameters import decoder_parameters
from nerv_clip.runs.evaluation import evaluate_run
from nerv_clip.runs.inputs import Inputs
from nerv_clip.training.builder import build_network
from nerv_clip.video.writer import write_video

STEPS = 20
SHOWN = 12
SIZES = {"1080p": (1080, 1920, 8), "4K": (2160, 3840, 16)}  # height, width, GiB allowed


def synthetic(frames: int, height: int, width: int) -> NDArray[np.uint8]:
    """A wide picture of waves, (height, width + 2 · frames, 3), over which the frames pan."""
    y, x = np.mgrid[0:height, 0 : width + 2 * frames].astype(np.float32) / height
    waves = [np.sin(9 * x + 5 * y), np.sin(23 * x * y), np.cos(31 * y - 7 * x)]
    return (127.5 + 127.5 * np.stack(waves, axis=-1)).astype(np.uint8)


def train(path: Path, modelsize: float) -> dict[str, Any]:
    """Train, evaluate and decode in this process; returns a row of the table."""
    flags = ["--data_path", str(path), "--cache_gb", "1", "--modelsize", str(modelsize)]
    options = parse([*flags, "-b", "1", "-e", "1"])
    video = load_video(options.data, cache_gb=options.cache_gb)
    split = split_frames(len(video), options.split)
    arch = solve(options.model, len(video), len(video), video.height, video.width)
    trainer = Trainer(build_network(arch, split), video, split, options.train, max_steps=STEPS)
    start = time.perf_counter()
    list(trainer.fit())
    seconds = (time.perf_counter() - start) / STEPS
    with tempfile.TemporaryDirectory() as folder:
        run = Run(Path(folder))
        export_model(trainer.averaged(), run.best, {})
        first = load_video(replace(options.data, end=SHOWN), cache_gb=options.cache_gb)
        inputs = Inputs(first, split[:SHOWN])
        metrics = evaluate_run(run, run.best, inputs, progress=Terminal()).metrics
    return {
        "frames": len(video),
        "streamed": video.streamed,
        "parameters": decoder_parameters(trainer.model),
        "PSNR after 20 steps": number(metrics.all.psnr, 2),
        "s a step": f"{seconds:.2f}",
        "peak GiB": f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f}",
    }


def main(argv: list[str]) -> None:
    """Measure each size and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=600)
    parser.add_argument("--sizes", nargs="*", default=list(SIZES), choices=list(SIZES))
    parser.add_argument("--modelsize", type=float, default=1.5)
    parser.add_argument("--out", type=Path, help="a Markdown file under bench/results")
    args = parser.parse_args(argv)
    rows = []
    for name in args.sizes:
        height, width, allowed = SIZES[name]
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "synthetic.mp4"
            wide = torch.from_numpy(synthetic(args.frames, height, width)).permute(2, 0, 1)
            pans = (wide[:, :, 2 * i : 2 * i + width] for i in range(args.frames))
            write_video(path, pans, fps=25, crf=30)
            fresh = multiprocessing.get_context("spawn")
            with ProcessPoolExecutor(1, mp_context=fresh) as pool:
                row = pool.submit(train, path, args.modelsize).result()
        rows.append({"size": name, **row, "allowed GiB": allowed})
    write(args.out, heading(__doc__) + table(rows))


if __name__ == "__main__":
    main_guard(main)
