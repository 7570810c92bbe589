"""Speed of training and decoding with several sets of flags, an epoch of each in turn.

The machine's noise affects all alike, so compare the ratios, which are relative to the first set.
With ``--public`` the first is the public HNeRV, with the loss and learning rate that suit it best;
with ``--hinerv`` the public HiNeRV is measured as well, trained by its recipe and by ours. Frames
are decoded one at a time; multiply-adds are those of the convolutions and matrix products that
draw one frame.
"""

from __future__ import annotations

import argparse
import shlex
import statistics
from pathlib import Path
from typing import NamedTuple

import torch
from hinerv import HinervTraining, load_hinerv
from ours import OurTraining, alternate, spread
from public import RATES, PublicTraining, load_public
from report import heading, table, write
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from nerv_clip import load_video
from nerv_clip.cli import Options, main_guard, parse
from nerv_clip.training.distributed import resolve_device

Training = PublicTraining | HinervTraining | OurTraining


def main(argv: list[str]) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--public", type=Path, help="a checkout of haochen-rye/HNeRV")
    parser.add_argument("--hinerv", type=Path, help="a checkout of hmkx/HiNeRV")
    parser.add_argument("--shared", default="", help="flags of all sets")
    parser.add_argument(
        "--way", dest="sets", action="append", required=True, help="a set of flags; repeatable"
    )
    parser.add_argument("--epochs", type=int, default=5, help="epochs of each set")
    parser.add_argument("--decodes", type=int, default=3, help="decodes of each set")
    parser.add_argument(
        "--threads", type=int, nargs="+", help="CPU threads to decode with, by default those set"
    )
    parser.add_argument("--out", type=Path, help="a Markdown file under bench/results")
    args = parser.parse_args(argv)
    common = [*shlex.split(args.shared), "-e", str(args.epochs)]
    options = parse(common)
    trainings: dict[str, Training] = {}
    if args.public:
        trainings["public HNeRV"] = public(args.public, options)
    if args.hinerv:
        trainings |= hinerv(args.hinerv, options)
    for flags in args.sets:
        trainings[f"`{flags}`"] = OurTraining([*common, *shlex.split(flags)])
    seconds = alternate({name: t.fit() for name, t in trainings.items()}, args.epochs)
    first, own = next(iter(trainings)), torch.get_num_threads()
    rows = {
        name: {
            "flags": name,
            "parameters": f"{training.parameters}",
            "M multiply-adds a frame": f"{multiply_adds(training) / 1e6:,.0f}",
            "s an epoch": f"{statistics.median(seconds[name]):.2f}",
            "ratio (quartiles)": ratios(seconds[name], seconds[first]),
        }
        for name, training in trainings.items()
    }
    for threads in args.threads or [own]:
        torch.set_num_threads(threads)
        where = f", {threads} thread{'s' * (threads > 1)}" if args.threads else ""
        for name, rates in decoded(trainings, args.decodes).items():
            rows[name][f"frames/s decoded{where}"] = f"{statistics.median(rates.own):.0f}"
            rows[name][f"ratio of frames/s{where}"] = ratios(rates.own, rates.first)
    torch.set_num_threads(own)
    device = resolve_device(options.device)
    write(args.out, heading(__doc__, device) + table([*rows.values()]))


class Rates(NamedTuple):
    """Frames a second of each decoding of a set, and of the first set at about the same time."""

    own: list[float]
    first: list[float]


def decoded(trainings: dict[str, Training], times: int) -> dict[str, Rates]:
    """Frames a second of all sets, by name; they are decoded in turn."""
    rates: dict[str, list[float]] = {name: [] for name in trainings}
    for _ in range(times):
        for name, training in trainings.items():
            rates[name].append(training.decode()[1])
    first = next(iter(rates.values()))
    return {name: Rates(own, first) for name, own in rates.items()}


def multiply_adds(training: Training) -> int:
    """Multiply-adds of the convolutions and matrix products that draw one frame."""
    draw = training.drawer()
    with FlopCounterMode(display=False) as counter:
        draw()
    return int(counter.get_total_flops()) // 2


def ratios(values: list[float], first: list[float]) -> str:
    return spread([a / b for a, b in zip(values, first, strict=True)])


def read(options: Options) -> Tensor:
    """All frames of the video, on the device."""
    video = load_video(options.data, device=resolve_device(options.device))
    return video.read(range(len(video)))


def public(checkout: Path, options: Options) -> PublicTraining:
    size, train = options.model.modelsize, options.train
    modules, frames, rate = load_public(checkout), read(options), RATES["Fusion6"]
    return PublicTraining(
        modules, frames, size, "Fusion6", rate, train.epochs, train.batch, train.seed
    )


def hinerv(checkout: Path, options: Options) -> dict[str, Training]:
    """Trainings of HiNeRV by its recipe and by ours, by name."""
    size, train = options.model.modelsize, options.train
    modules, frames = load_hinerv(checkout), read(options)
    return {
        "public HiNeRV": HinervTraining(modules, frames, size, "own", train.epochs, train.seed),
        "HiNeRV, our recipe": HinervTraining(
            modules, frames, size, "ours", train.epochs, train.seed
        ),
    }


if __name__ == "__main__":
    main_guard(main)
