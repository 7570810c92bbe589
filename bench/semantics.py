"""What loss weight, warm-up, tap and arcs do to a CLIP head: finished runs, one to a line.

A difference in centred cosine is to spherical interpolation of the true neighbours on held-out
frames, paired by frame, with the 95 % interval of block bootstrap.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from report import heading, table, write

from nerv_clip import Run, load_model
from nerv_clip.cli import Terminal, main_guard
from nerv_clip.verification import gather, verify
from nerv_clip.verification.baselines import PREDICTION, SPHERICAL


def row(run: Run) -> dict[str, str]:
    """One line of the table."""
    flags = run.read_config()["flags"]
    metrics = json.loads(run.metrics.read_text())
    seen, held = metrics["train"], metrics["val"]
    v = verify(gather(run.best, Terminal()))
    near = {
        (candidate.name, part): f"{found.near.mean:.3f}"
        for candidate in v.rows
        for part, found in candidate.figures.items()
        if found is not None
    }
    own, other = near[PREDICTION, "val"], near[SPHERICAL, "val"]
    ahead = v.differences["val"][SPHERICAL]
    return {
        "λ": str(flags["clip_loss_weight"]),
        "warm-up": str(flags["pixel_loss_warmup_epochs"]),
        "tap": str(load_model(run.best).arch.clip_tap),
        "arcs": str(flags.get("arc_weight", "–")),
        "seed": str(flags["seed"]),
        "PSNR seen / held out": f"{seen['psnr']:.2f} / {held['psnr']:.2f}",
        "CLIP similarity": f"{seen['clip_similarity']:.4f} / {held['clip_similarity']:.4f}",
        "centred, to interpolation's": f"{ahead.mean:+.4f} ({ahead.low:+.4f} – {ahead.high:+.4f})",
        "R@±2 seen": near[PREDICTION, "train"],
        "R@±2 held out (interpolation's)": f"{own} ({other})",
    }


def main(argv: list[str]) -> None:
    """Print the table of the runs named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path, help="runs with held-out frames")
    parser.add_argument("--title", default="", help="a line above the table")
    parser.add_argument("--all", default="", help="the command that all share, printed")
    parser.add_argument("--out", type=Path, help="a Markdown file under bench/results")
    args = parser.parse_args(argv)
    rows = [row(Run(path)) for path in args.runs]
    common = f"Each row: `{args.all}`\n\n" if args.all else ""
    write(args.out, f"# {args.title}\n\n" + heading(__doc__) + common + table(rows))


if __name__ == "__main__":
    main_guard(main)
