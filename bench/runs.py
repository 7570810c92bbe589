"""A table of finished runs: what was asked of each, and what its last evaluation measured.

The flags are those that differ from the defaults; with ``train/train_nerv_clip.py`` before them
they are the command that made the run.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pandas as pd
from report import heading, table, write

from nerv_clip import Run
from nerv_clip.cli import main_guard
from nerv_clip.cli.parser import build_parser
from nerv_clip.training.presets import PRESETS

PLACES = {"outf", "overwrite", "device", "data_path", "save_freq", "eval_freq", "suffix"}


def asked(flags: dict[str, Any], left_out: set[str]) -> str:
    """The flags that differ from the defaults, as they would be typed."""
    parts = []
    for action in build_parser()._actions:
        value = flags.get(action.dest)
        usual = PRESETS[flags["preset"]].get(action.dest, action.default)
        if action.dest in left_out or action.dest not in flags or value == usual:
            continue
        name = action.option_strings[0]
        values = value if isinstance(value, list) else [] if value is True else [value]
        parts.append(" ".join([name, *(str(v) if v != "" else "''" for v in values)]))
    return " ".join(parts)


def row(run: Run, left_out: set[str]) -> dict[str, str]:
    """One line of the table."""
    config = run.read_config()
    metrics = json.loads(run.metrics.read_text())
    history = pd.read_csv(run.history)
    parameters = config["parameters"]
    head = f" + {parameters['clip_head']} head" if parameters["clip_head"] else ""
    seen, held = metrics["train"], metrics["val"]
    return {
        "flags": f"`{asked(config['flags'], left_out)}`",
        "parameters": f"{parameters['decoder']}{head}",
        "PSNR seen / held out (blend)": f"{_number(seen['psnr'])} / {_number(held['psnr'])} "
        f"({_number(held['blend_psnr'])})",
        "MS-SSIM": f"{_number(seen['ms_ssim'], 4)} / {_number(held['ms_ssim'], 4)}",
        "CLIP": _pair(metrics, "clip_similarity"),
        "teacher on the reconstruction": _pair(metrics, "teacher_similarity"),
        "s an epoch": f"{history['seconds'].median():.1f}",
        "bytes": str(metrics["bytes"]),
        "bpp": f"{metrics['bpp']:.3f}",
        "frames/s": f"{metrics['decoded_fps']:.0f}",
        "commit": config["commit"][:9],
    }


def _pair(metrics: dict[str, Any], figure: str) -> str:
    return f"{_number(metrics['train'][figure], 4)} / {_number(metrics['val'][figure], 4)}"


def _number(value: float | None, digits: int = 2) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def main(argv: list[str]) -> None:
    """Print the table of the runs named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path, help="run directories")
    parser.add_argument("--title", default="", help="a line above the table")
    parser.add_argument("--same", nargs="*", default=[], help="flags that need no mention")
    parser.add_argument("--all", default="", help="the command that all share, printed")
    parser.add_argument("--untimed", action="store_true", help="the runs shared their machine")
    parser.add_argument("--out", type=Path, help="a Markdown file under bench/results")
    args = parser.parse_args(argv)
    runs = [Run(path) for path in args.runs]
    rows = [row(run, PLACES | set(args.same)) for run in runs]
    columns = [c for c in rows[0] if any(r[c].strip("– /") for r in rows)]
    columns = [c for c in columns if not (args.untimed and c in ("s an epoch", "frames/s"))]
    rows = [{c: r[c] for c in columns} for r in rows]
    common = f"Each row: `{args.all} FLAGS`\n\n" if args.all else ""
    write(args.out, f"# {args.title}\n\n" + heading(__doc__) + common + table(rows))


if __name__ == "__main__":
    main_guard(main)
