"""Change in PSNR due to a flag: runs with it against runs without, paired by seed."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from report import heading, table, write
from scipy import stats

from nerv_clip import InputError, Run
from nerv_clip.cli import main_guard


def psnr(paths: list[Path]) -> dict[int, dict[str, float]]:
    """PSNR of the train and the held-out frames in dB, by seed and split."""
    found = {}
    for run in map(Run, paths):
        metrics = run.read_metrics()
        by_split = {split: metrics.of(split).psnr for split in ("train", "val")}
        seed = run.read_config().train.seed
        found[seed] = {split: value for split, value in by_split.items() if value is not None}
    return found


def interval(values: list[float]) -> tuple[float, float, float]:
    """Mean, and the ends of the 95 % interval by Student's t distribution."""
    mean = float(np.mean(values))
    half = float(stats.t.ppf(0.975, len(values) - 1) * stats.sem(values))
    return mean, mean - half, mean + half


def main(argv: list[str]) -> None:
    """Print the pairs and their mean difference."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", nargs="+", type=Path, required=True, help="with the flag")
    parser.add_argument("--against", nargs="+", type=Path, required=True, help="without it")
    parser.add_argument("--title", default="")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args(argv)
    ours, others = psnr(args.runs), psnr(args.against)
    if ours.keys() != others.keys() or len(ours) < 2:
        raise InputError("--runs and --against: give runs of the same seeds, two or more")
    pairs = [(ours[seed], others[seed]) for seed in sorted(ours)]
    rows = []
    for part, name in (("train", "seen"), ("val", "held out")):
        if part not in pairs[0][0]:
            continue
        differences = [a[part] - b[part] for a, b in pairs]
        mean, low, high = interval(differences)
        rows.append(
            {
                "frames": name,
                "with": " / ".join(f"{a[part]:.2f}" for a, _ in pairs),
                "without": " / ".join(f"{b[part]:.2f}" for _, b in pairs),
                "difference, dB": " / ".join(f"{d:+.3f}" for d in differences),
                "mean (95 % interval)": f"{mean:+.3f} ({low:+.3f} – {high:+.3f})",
            }
        )
    write(args.out, f"# {args.title}\n\n" + heading(__doc__) + table(rows))


if __name__ == "__main__":
    main_guard(main)
