"""Plumbing: a ViT-B-32 with random weights as the teacher, from a video to a place in a frame.

No weights of CLIP can be downloaded on the machine of the benchmarks. This run shows that the path
of a vision transformer works at its real size, and what it costs; what is found has no meaning.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from report import heading, table, write
from torch import Tensor

from nerv_clip import Run
from nerv_clip.cli import Terminal, main_guard, parse, run_command
from nerv_clip.runs.inputs import dense_grid, load_run_teacher, load_run_video
from nerv_clip.search import load_run
from nerv_clip.teacher.dense import DenseTeacher

TEACHER = "--clip_model ViT-B-32 --clip_pretrained random:0"
FLAGS = (
    f"{TEACHER} --predict_clip --predict_dense --data_split 3_3_4 --modelsize 0.1 -e 4"
    " --preset fast --bits 8 --eval_freq 4 --pixel_loss_warmup_epochs 2 --overwrite"
)
TIMED = 4  # frames


def seconds(work: Callable[[Tensor], Tensor], frames: Tensor) -> float:
    """Seconds for each of some frames."""
    start = time.perf_counter()
    for frame in frames:
        work(frame[None])
    return (time.perf_counter() - start) / len(frames)


def main(argv: list[str]) -> None:
    """Train, search, and print what came out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("video", type=Path)
    parser.add_argument("--frames", type=int, default=48)
    parser.add_argument("--every", type=int, default=8)
    parser.add_argument("--query", default="a purple kettle")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        run, flags = Run(Path(folder) / "run"), f"{FLAGS} --clip_every {args.every}"
        part = ["--vid_end", f"{args.frames}", "--outf", str(run.path)]
        start = time.perf_counter()
        run_command(parse(["--data_path", str(args.video), *flags.split(), *part]))
        took = time.perf_counter() - start
        config, teacher = run.read_config(), load_run_teacher(run)
        frames = load_run_video(run, progress=Terminal()).read(range(TIMED))
        dense, grid = DenseTeacher(teacher), dense_grid(config.architecture.first)
        in_cells = partial(dense.maps, grid=grid)
        maps = in_cells(frames[:1])
        searched = load_run(run.path)
        moment = searched.search(args.query).moments[0]
        rows = {
            "teacher": teacher.name,
            "pooled embedding, seconds a frame": f"{seconds(teacher.images, frames):.2f}",
            "dense embeddings, seconds a frame": f"{seconds(in_cells, frames):.2f}",
            "dense embeddings of a frame": " x ".join(map(str, maps.shape[1:])),
            "frames with an embedding": f"{len(searched.embedded)} of {searched.frames}",
            "training and evaluation": f"{took:.0f} s",
            "checkpoint": f"{run.best.stat().st_size:,} bytes",
            f"best moment of '{args.query}'": f"frame {moment.frame}",
            "its place, in pixels": "none" if moment.where is None else _place(moment.where),
        }
    command = f"Training: `{flags} --vid_end {args.frames}`\n\n"
    lines = [{"what": name, "value": value} for name, value in rows.items()]
    write(args.out, heading(__doc__) + command + table(lines))


def _place(where: tuple[float, ...]) -> str:
    return ", ".join(f"{value:.0f}" for value in where)


if __name__ == "__main__":
    torch.manual_seed(0)
    main_guard(main)
