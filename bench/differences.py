"""The predecessor (CLIP as an input), the CLIP head, and the pixel-only baseline, compared."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

from report import both, heading, number, table, write

from nerv_clip import Run
from nerv_clip.cli import main_guard
from nerv_clip.models.encodings import input_widths
from nerv_clip.models.parameters import count


def column(run: Run) -> dict[str, str]:
    """The column of one run, by aspect."""
    config, metrics = run.read_config(), run.read_metrics()
    arch, sizes, seen, held = config.architecture, config.parameters, metrics.train, metrics.val
    return {
        "input": " + ".join(f"{part}: {width}" for part, width in input_widths(arch.first).items()),
        "output": f"RGB{' + CLIP' if arch.clip_dim else ''}",
        "trained by": f"reconstruction{' + semantics' if arch.clip_dim else ''}",
        "widths": arch.widths,
        "parameters: decoder + CLIP head + dense head": " + ".join(
            f"{count:,}" for count in (sizes.decoder, sizes.clip_head, sizes.dense_head)
        ),
        "of these, stored embeddings": f"{arch.first.table_steps * arch.clip_input:,}",
        "bytes on disk": f"{metrics.bytes:,}",
        "PSNR seen / held out, dB": both(seen.psnr, held.psnr, 2),
        "blend of the neighbouring train frames, dB": number(held.blend_psnr, 2),
        "MS-SSIM": both(seen.ms_ssim, held.ms_ssim, 4),
        "CLIP on the reconstructed frame": both(
            seen.teacher_similarity, held.teacher_similarity, 4
        ),
        "CLIP similarity of the head": both(seen.clip_similarity, held.clip_similarity, 4),
        "needed at test time": "an embedding for every t" if arch.clip_input else "t",
    }


def predecessor_size(run: Run) -> float:
    """The --modelsize (millions) at which the predecessor has the same widths as a run."""
    arch, frames = run.read_config().architecture, run.read_metrics().frames["train"]
    dim = arch.clip_dim or run.read_teacher().dim
    same = dataclasses.replace(arch.first, clip_dim=0, clip_input=dim, table_steps=frames)
    return count(same) / 1e6


def main(argv: list[str]) -> None:
    """Print the table of the named runs, a column each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument(
        "--size_of",
        action="store_true",
        help="print only the --modelsize of the predecessor with the widths of each run",
    )
    parser.add_argument("--out", type=Path)
    args = parser.parse_args(argv)
    runs = [Run(path) for path in args.runs]
    if args.size_of:
        for run in runs:
            size = predecessor_size(run)
            print(f"{run.path}: --clip_input --modelsize {size:.6f} has the same widths")
        return
    columns = {run.path.name: column(run) for run in runs}
    aspects = list(next(iter(columns.values())))
    rows = [{"aspect": a, **{name: c[a] for name, c in columns.items()}} for a in aspects]
    write(args.out, "# Key differences, measured\n\n" + heading(__doc__) + table(rows))


if __name__ == "__main__":
    main_guard(main)
