"""Seconds an epoch of several sets of flags, an epoch of each in turn, as ratios to the first.

Each ``--way="FLAGS"`` is one training; ``--shared="FLAGS"`` belong to all.
"""

from __future__ import annotations

import argparse
import shlex
import statistics
from pathlib import Path

from ours import OurTraining, alternate, spread
from report import heading, table, write

from nerv_clip import main_guard


def main(argv: list[str]) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", default="")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--out", type=Path, help="a Markdown file under bench/results")
    parser.add_argument("--way", dest="ways", action="append", required=True)
    args = parser.parse_args(argv)
    common = [*shlex.split(args.shared), "-e", str(args.epochs)]
    trainings = {way: OurTraining([*common, *shlex.split(way)]) for way in args.ways}
    seconds = alternate({way: t.fit() for way, t in trainings.items()}, args.epochs)
    first = seconds[args.ways[0]]
    rows = [
        {
            "flags": f"`{way}`",
            "parameters": trainings[way].parameters,
            "s an epoch": f"{statistics.median(seconds[way]):.2f}",
            "ratio (quartiles)": spread([a / b for a, b in zip(seconds[way], first, strict=True)]),
        }
        for way in args.ways
    ]
    write(args.out, heading(__doc__) + table(rows))


if __name__ == "__main__":
    main_guard(main)
