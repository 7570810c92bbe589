"""Segments against one network: PSNR by shot from finished runs, and the time of an epoch.

The first run is one network (--shots off), the others are segments, all of the same film, frame
size, split and number of epochs. The time of an epoch is measured alternately, on one thread and
on two; decoding on one thread.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from report import heading, number, short, table, write

from nerv_clip import InputError, Run, load_model
from nerv_clip.cli import main_guard
from nerv_clip.cli.terminal import Terminal
from nerv_clip.evaluation.decoding import decode
from nerv_clip.runs.config import RunConfig
from nerv_clip.training.builder import build_video_network
from nerv_clip.training.segments import SegmentTraining
from nerv_clip.video.shots import Shots
from nerv_clip.video.video import Video, load_video

HARD = 32.0  # dB: a held-out frame whose blend is below shows motion


def main(argv: list[str]) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("one", type=Path)
    parser.add_argument("segments", nargs="+", type=Path)
    parser.add_argument("--epochs", type=int, default=0, help="epochs to time, 0: none")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args(argv)
    runs = {path.name: Run(path) for path in (args.one, *args.segments)}
    tables = {name: run.read_per_frame() for name, run in runs.items()}
    cut = runs[args.segments[0].name]
    shots = cut.read_config().video.cuts
    blend = tables[cut.path.name]["blend_psnr"]
    text = heading(__doc__) + _commands(runs) + "\n"
    text += table(
        [row for shot in (None, *range(len(shots))) for row in rows(tables, shots, shot, blend)]
    )
    if args.epochs:
        text += "\n" + table(list(times(runs, args.epochs)))
    write(args.out, text)


def _commands(runs: dict[str, Run]) -> str:
    from runs import flags_of

    lines = []
    for name, run in runs.items():
        config = run.read_config()
        sizes = [f"{segment.frames} frames" for segment in config.architecture.segments]
        networks = f"{len(sizes)} networks ({', '.join(sizes)})"
        flags = flags_of(config, {"shots"}) + " --shots off" * (len(config.video.cuts) == 1)
        lines.append(
            f"- {name}: `{flags}`, {config.parameters.decoder:,} parameters in "
            f"{networks}, commit {short(config.commit)}\n"
        )
    return "".join(lines)


def rows(
    tables: dict[str, pd.DataFrame], shots: Shots, shot: int | None, blend: pd.Series[float]
) -> Iterator[dict[str, Any]]:
    """Metrics of each run in a shot, or in the whole film."""
    own = range(shots.frames) if shot is None else shots.span(shot)
    for name, frames in tables.items():
        inside = frames.iloc[own.start : own.stop]
        seen, held = (inside[inside["split"] == split] for split in ("train", "val"))
        within = blend[held.index]
        hard = within < HARD
        yield {
            "frames": f"{own.start}–{own.stop - 1}",
            "run": name,
            "PSNR seen": number(seen["psnr"].mean(), 2),
            "held out": number(held["psnr"].mean(), 2),
            "blend within the shot": number(within.mean(), 2),
            f"held out where the blend is under {HARD:.0f} dB": _mean(held["psnr"][hard]),
            "blend there": _mean(within[hard]),
            "frames there": int(hard.sum()),
            "MS-SSIM seen": number(seen["ms_ssim"].mean(), 4),
        }


def _mean(values: pd.Series[float]) -> str:
    return number(values.mean(), 2) if len(values) else "–"


def times(runs: dict[str, Run], epochs: int) -> Iterator[dict[str, Any]]:
    """Median seconds of an epoch on one and on two threads, and frames decoded a second."""
    configs = {name: run.read_config() for name, run in runs.items()}
    first = next(iter(configs.values()))
    video = load_video(first.video.spec, shots="off", progress=Terminal())
    spent: dict[tuple[str, int], list[float]] = {}
    for _ in range(epochs):
        for threads in (1, 2):
            for name, config in configs.items():
                torch.set_num_threads(threads)
                training = fresh(config, video)
                start = time.perf_counter()
                next(training.fit())
                spent.setdefault((name, threads), []).append(time.perf_counter() - start)
    torch.set_num_threads(1)
    one = next(iter(runs))
    base = {threads: statistics.median(spent[one, threads]) for threads in (1, 2)}
    for name, run in runs.items():
        each = {threads: statistics.median(spent[name, threads]) for threads in (1, 2)}
        yield {
            "run": name,
            "s an epoch, 1 thread": number(each[1], 1),
            "ratio": number(each[1] / base[1], 2),
            "s an epoch, 2 threads": number(each[2], 1),
            "ratio to one network on 2": number(each[2] / base[2], 2),
            "ratio to one network on 1": number(each[2] / base[1], 2),
            "all epochs on 1 and 2 threads, min": " and ".join(
                number(each[threads] * configs[name].train.epochs / 60, 1) for threads in (1, 2)
            ),
            "decoded frames/s, 1 thread": number(decoded(run, len(video)), 1),
            "bytes": run.read_metrics().bytes,
        }


def fresh(config: RunConfig, video: Video) -> SegmentTraining:
    """The training of a run from its start, with one epoch."""
    video.shots = config.video.cuts
    split = config.split_frames()
    if config.model.predict_clip:
        raise InputError("give runs without a CLIP head")
    torch.manual_seed(config.train.seed)
    network = build_video_network(config.architecture, split)
    return SegmentTraining(network, video, split, config.train)


def decoded(run: Run, frames: int) -> float:
    """Frames that a run's networks decode a second, one at a time."""
    model = load_model(run.best)
    start = time.perf_counter()
    for _ in decode(model, range(0, frames, 5)):
        pass
    return len(range(0, frames, 5)) / (time.perf_counter() - start)


if __name__ == "__main__":
    main_guard(main)
