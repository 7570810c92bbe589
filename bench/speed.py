"""Speed of training and decoding with several sets of flags, an epoch of each in turn.

The machine's noise affects all alike, so compare the ratios, which are relative to the first set.
With ``--public`` the first is the public HNeRV, with the loss and learning rate that suit it best.
"""

from __future__ import annotations

import argparse
import shlex
import statistics
from pathlib import Path

from ours import OurTraining, alternate, spread
from public import RATES, PublicTraining, load_public
from report import heading, table, write

from nerv_clip import load_video
from nerv_clip.cli import main_guard, parse
from nerv_clip.training.distributed import resolve_device


def main(argv: list[str]) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--public", type=Path, help="a checkout of haochen-rye/HNeRV")
    parser.add_argument("--shared", default="", help="flags of all sets")
    parser.add_argument(
        "--way", dest="sets", action="append", required=True, help="a set of flags; repeatable"
    )
    parser.add_argument("--epochs", type=int, default=5, help="epochs of each set")
    parser.add_argument("--decodes", type=int, default=3, help="decodes of each set")
    parser.add_argument("--out", type=Path, help="a Markdown file under bench/results")
    args = parser.parse_args(argv)
    common = [*shlex.split(args.shared), "-e", str(args.epochs)]
    trainings: dict[str, PublicTraining | OurTraining] = {}
    if args.public:
        trainings["public HNeRV"] = public(args.public, common, args.epochs)
    for flags in args.sets:
        trainings[f"`{flags}`"] = OurTraining([*common, *shlex.split(flags)])
    seconds = alternate({name: t.fit() for name, t in trainings.items()}, args.epochs)
    rates: dict[str, list[float]] = {name: [] for name in trainings}
    for _ in range(args.decodes):
        for name, training in trainings.items():
            rates[name].append(training.decode()[1])
    first = next(iter(trainings))
    rows = [
        {
            "flags": name,
            "parameters": training.parameters,
            "s an epoch": f"{statistics.median(seconds[name]):.2f}",
            "ratio (quartiles)": ratios(seconds[name], seconds[first]),
            "frames/s decoded": f"{statistics.median(rates[name]):.0f}",
            "ratio of frames/s": ratios(rates[name], rates[first]),
        }
        for name, training in trainings.items()
    ]
    write(args.out, heading(__doc__, trainings[first].device) + table(rows))


def ratios(values: list[float], first: list[float]) -> str:
    return spread([a / b for a, b in zip(values, first, strict=True)])


def public(checkout: Path, flags: list[str], epochs: int) -> PublicTraining:
    options = parse(flags)
    video = load_video(options.data, device=resolve_device(options.device))
    frames = video.read(range(len(video)))
    size, batch, seed = options.model.modelsize, options.train.batch, options.train.seed
    modules = load_public(checkout)
    rate = RATES["Fusion6"]
    return PublicTraining(modules, frames, size, "Fusion6", rate, epochs, batch, seed)


if __name__ == "__main__":
    main_guard(main)
