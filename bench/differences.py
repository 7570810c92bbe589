"""The predecessor (CLIP as an input) beside prediction and the pixel-only baseline, measured."""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path
from typing import Any

from report import heading, table, write

from nerv_clip import ModelConfig, Run
from nerv_clip.cli import main_guard
from nerv_clip.models.encodings import input_widths
from nerv_clip.models.parameters import count


def column(run: Run) -> dict[str, str]:
    """What is to be said of one run, by aspect."""
    arch, metrics = run.read_architecture(), json.loads(run.metrics.read_text())
    seen, held, sizes = metrics["train"], metrics["val"], run.read_config()["parameters"]
    return {
        "input": " + ".join(f"{part}: {width}" for part, width in input_widths(arch).items()),
        "output": f"RGB{' + CLIP' if arch.clip_dim else ''}",
        "trained by": f"reconstruction{' + semantics' if arch.clip_dim else ''}",
        "widths": "-".join(map(str, arch.widths)),
        "parameters: decoder + CLIP head": f"{sizes['decoder']:,} + {sizes['clip_head']:,}",
        "of these, stored embeddings": f"{arch.table_steps * arch.clip_input:,}",
        "bytes on disk": f"{metrics['bytes']:,}",
        "PSNR seen / held out, dB": _both(seen, held, "psnr", 2),
        "blend of the train neighbours, dB": _number(held["blend_psnr"], 2),
        "MS-SSIM": _both(seen, held, "ms_ssim", 4),
        "CLIP similarity of the reconstruction": _both(seen, held, "teacher_similarity", 4),
        "CLIP similarity of the head": _both(seen, held, "clip_similarity", 4),
        "needed at test time": "an embedding for every t" if arch.clip_input else "t",
    }


def _both(seen: dict[str, Any], held: dict[str, Any], figure: str, digits: int) -> str:
    return f"{_number(seen[figure], digits)} / {_number(held[figure], digits)}"


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def wider(run: Run) -> float:
    """The --modelsize (M) at which the predecessor has the widths of a run without it."""
    arch = run.read_architecture()
    frames = json.loads(run.metrics.read_text())["frames"]["train"]
    dim = arch.clip_dim or ModelConfig().clip_dim
    same = dataclasses.replace(arch, clip_dim=0, clip_input=dim, table_steps=frames)
    return count(same) / 1e6


def main(argv: list[str]) -> None:
    """Print the table of the runs named, a column each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--size_of", action="store_true", help="print wider --modelsize and stop")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args(argv)
    runs = [Run(path) for path in args.runs]
    if args.size_of:
        for run in runs:
            print(f"{run.path}: --clip_input --modelsize {wider(run):.6f} has the same widths")
        return
    columns = {run.path.name: column(run) for run in runs}
    aspects = list(next(iter(columns.values())))
    rows = [{"aspect": a, **{name: c[a] for name, c in columns.items()}} for a in aspects]
    write(args.out, "# Key differences, measured\n\n" + heading(__doc__) + table(rows))


if __name__ == "__main__":
    main_guard(main)
