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

import torch
from hinerv import HinervTraining, Recipe, load_hinerv
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
    device = resolve_device(options.device)
    trainings: dict[str, Training] = {}
    if args.public or args.hinerv:
        video = load_video(options.data, device=device)
        frames = video.read(range(len(video)))
        if args.public:
            trainings["public HNeRV"] = public(args.public, frames, options)
        if args.hinerv:
            trainings |= hinerv(args.hinerv, frames, options)
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
        rates = decoded(trainings, args.decodes)
        for name, row in rows.items():
            row[f"frames/s decoded{where}"] = f"{statistics.median(rates[name]):.0f}"
            row[f"ratio of frames/s{where}"] = ratios(rates[name], rates[first])
    torch.set_num_threads(own)
    write(args.out, heading(__doc__, device) + table([*rows.values()]))


def decoded(trainings: dict[str, Training], times: int) -> dict[str, list[float]]:
    """Frames a second of all sets, by name; they are decoded in turn."""
    rates: dict[str, list[float]] = {name: [] for name in trainings}
    for _ in range(times):
        for name, training in trainings.items():
            rates[name].append(training.decode()[1])
    return rates


def multiply_adds(training: Training) -> int:
    """Multiply-adds of the convolutions and matrix products that draw one frame."""
    draw = training.drawer()
    with FlopCounterMode(display=False) as counter:
        draw()
    return int(counter.get_total_flops()) // 2


def ratios(values: list[float], first: list[float]) -> str:
    return spread([a / b for a, b in zip(values, first, strict=True)])


def public(checkout: Path, frames: Tensor, options: Options) -> PublicTraining:
    size, train = options.model.modelsize, options.train
    modules, rate = load_public(checkout), RATES["Fusion6"]
    return PublicTraining(
        modules, frames, size, "Fusion6", rate, train.epochs, train.batch, train.seed
    )


def hinerv(checkout: Path, frames: Tensor, options: Options) -> dict[str, Training]:
    """Trainings of HiNeRV by its recipe and by ours, by name."""
    size, train = options.model.modelsize, options.train
    modules = load_hinerv(checkout)
    recipes: dict[str, Recipe] = {"public HiNeRV": "own", "HiNeRV, our recipe": "ours"}
    return {
        name: HinervTraining(modules, frames, size, recipe, train.epochs, train.seed)
        for name, recipe in recipes.items()
    }


if __name__ == "__main__":
    main_guard(main)
