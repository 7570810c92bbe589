"""Effect of loss weights, warm-up and tap on a CLIP head: a table of finished runs.

The difference in centred cosine is prediction minus spherical interpolation of the neighbouring
train frames' true embeddings, on held-out frames, paired by frame, with the 95 % interval of block
bootstrap.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from report import both, heading, table, write

from nerv_clip import Run, verify
from nerv_clip.cli import Terminal, main_guard
from nerv_clip.verification.baselines import PREDICTION, SPHERICAL


def row(run: Run) -> dict[str, str]:
    """One line of the table."""
    config, metrics = run.read_config(), run.read_metrics()
    settings, seen, held = config.train, metrics.train, metrics.val
    v = verify(run.best, progress=Terminal())
    near = {
        (compared.name, split): f"{found.near.mean:.3f}"
        for compared in v.rows
        for split, found in compared.measures.items()
        if found is not None
    }
    predicted, interpolated = near[PREDICTION, "val"], near[SPHERICAL, "val"]
    lead = v.differences["val"][SPHERICAL]
    return {
        "λ": str(settings.clip_loss_weight),
        "warm-up": str(settings.pixel_loss_warmup_epochs),
        "tap": str(config.architecture.first.clip_tap),
        "slerp weight": str(settings.slerp_loss_weight),
        "seed": str(settings.seed),
        "PSNR seen / held out": both(seen.psnr, held.psnr, 2),
        "CLIP similarity": both(seen.clip_similarity, held.clip_similarity, 4),
        "centred, minus interpolation": f"{lead.mean:+.4f} ({lead.low:+.4f} – {lead.high:+.4f})",
        "R@±2 seen": near[PREDICTION, "train"],
        "R@±2 held out (interpolation)": f"{predicted} ({interpolated})",
    }


def main(argv: list[str]) -> None:
    """Print the table of the named runs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path, help="runs with held-out frames")
    parser.add_argument("--title", default="", help="a line above the table")
    parser.add_argument("--all", default="", help="the command that all runs share, to be printed")
    parser.add_argument("--out", type=Path, help="a Markdown file under bench/results")
    args = parser.parse_args(argv)
    rows = [row(Run(path)) for path in args.runs]
    common = f"Each row: `{args.all}`\n\n" if args.all else ""
    write(args.out, f"# {args.title}\n\n" + heading(__doc__) + common + table(rows))


if __name__ == "__main__":
    main_guard(main)
