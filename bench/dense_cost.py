"""What the dense head costs: PSNR and bytes of runs with and without it, of equal width.

Both folders are those of `kitchen_library.py`, one with `--predict_dense`. A video is a seed.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from report import heading, table, write

from nerv_clip import InputError, Run
from nerv_clip.cli import main_guard


def main(argv: list[str]) -> None:
    """Print the table of the videos that both folders have."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dense", type=Path)
    parser.add_argument("plain", type=Path)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args(argv)
    rows = []
    for path in sorted(args.plain.iterdir()):
        if not path.name.isdecimal() or not (args.dense / path.name).exists():
            continue
        with_head, without = (Run(folder / path.name) for folder in (args.dense, args.plain))
        widths = {run.read_config().architecture.first.widths for run in (with_head, without)}
        if len(widths) > 1:
            raise InputError(f"{path} and {with_head.path} have decoders of different widths")
        found, base = with_head.read_metrics(), without.read_metrics()
        train, held_out = (
            f"{(new.psnr or 0) - (old.psnr or 0):.3f}"
            for new, old in ((found.train, base.train), (found.val, base.val))
        )
        rows.append(
            {
                "kitchen": path.name,
                "PSNR, train, without": f"{base.train.psnr:.2f}",
                "with minus without": train,
                "PSNR, held out, without": f"{base.val.psnr:.2f}",
                "with minus without, held out": held_out,
                "bytes without": f"{base.bytes:,}",
                "bytes with": f"{found.bytes:,}",
                "growth": f"{100 * (found.bytes / base.bytes - 1):.1f} %",
            }
        )
    write(args.out, heading(__doc__) + table(rows))


if __name__ == "__main__":
    main_guard(main)
