"""Time of SSIM with its gradient: ours and pytorch-msssim's, measured alternately."""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import pytorch_msssim
import torch
from ours import spread
from report import heading, table, write
from torch import Tensor

from nerv_clip.cli import main_guard
from nerv_clip.metrics import ssim

SIZES = [(2, 160, 320), (2, 640, 1280), (1, 1080, 1920)]


def seconds(similarity: Callable[[Tensor, Tensor], Tensor], frames: Tensor, true: Tensor) -> float:
    """Seconds of one forward and backward pass."""
    frames.grad = None
    start = time.perf_counter()
    torch.autograd.backward(similarity(frames, true).mean())
    if frames.is_cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - start


def main(argv: list[str]) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, help="a Markdown file under bench/results")
    args = parser.parse_args(argv)

    def theirs(frames: Tensor, true: Tensor) -> Tensor:
        similarity: Tensor = pytorch_msssim.ssim(frames, true, data_range=1)
        return similarity

    rows = []
    for batch, height, width in SIZES:
        true = torch.rand(batch, 3, height, width, device=args.device)
        frames = torch.rand_like(true).requires_grad_()
        seconds(ssim, frames, true), seconds(theirs, frames, true)  # set-up
        pairs = [
            (seconds(ssim, frames, true), seconds(theirs, frames, true)) for _ in range(args.rounds)
        ]
        rows.append(
            {
                "batch": f"{batch} of {height}x{width}",
                "ours, ms": f"{1e3 * statistics.median(a for a, _ in pairs):.0f}",
                "pytorch-msssim, ms": f"{1e3 * statistics.median(b for _, b in pairs):.0f}",
                "ratio (quartiles)": spread([a / b for a, b in pairs]),
            }
        )
    write(args.out, heading(__doc__) + table(rows))


if __name__ == "__main__":
    main_guard(main)
