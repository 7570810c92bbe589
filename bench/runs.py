"""A table of finished runs: the flags of each, and the metrics of its last evaluation.

The flags are those whose value differs from the preset's; with ``train/train_nerv_clip.py`` before
them they are the command that made the run.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from report import both, heading, number, short, table, write

from nerv_clip import Metrics, Run, RunConfig
from nerv_clip.cli import main_guard
from nerv_clip.cli.options import defaults_of_config
from nerv_clip.cli.parser import build_parser, defaults_of

NEVER_SHOWN = {"eval_freq", "preset"}  # the preset is printed first


def flags_of(config: RunConfig, left_out: set[str]) -> str:
    """The flags that differ from the preset's defaults, as they would be typed.

    Flags are left out by their argument names, such as ``batch`` for ``--batchSize``, and those of
    cuts and segments where there is one.
    """
    arch = config.architecture
    left_out = left_out | ({"shots"} if len(arch.shots) == 1 else set())
    left_out |= {"segment_frames"} if len(arch.segments) == 1 else set()
    parts = [] if config.preset == "default" else [f"--preset {config.preset}"]
    defaults = build_parser(defaults_of(config.preset))
    for action in build_parser(defaults_of_config(config))._actions:
        value = action.default
        if action.dest in left_out or value == defaults.get_default(action.dest):
            continue
        values = value if isinstance(value, list) else [] if value is True else [value]
        name = action.option_strings[0]
        parts.append(" ".join([name, *(str(v) if v != "" else "''" for v in values)]))
    parts += ["--debug"] if config.debug else []
    parts += [f"--weight {config.weight[:12]}…"] if config.weight else []  # only its hash is kept
    return " ".join(parts)


def row(run: Run, left_out: set[str]) -> dict[str, str]:
    """One line of the table."""
    config, metrics, history = run.read_config(), run.read_metrics(), run.read_history()
    parameters = config.parameters
    heads = (("CLIP", parameters.clip_head), ("dense", parameters.dense_head))
    head = "".join(f" + {count} {name} head" for name, count in heads if count)
    seconds = number(history["seconds"].median(), 1) if len(history) else "–"
    return {
        "flags": f"`{flags_of(config, left_out)}`",
        "parameters": f"{parameters.decoder}{head}",
        "PSNR seen / held out (blend)": f"{_pair(metrics, 'psnr', 2)} "
        f"({number(metrics.val.blend_psnr, 2)})",
        "MS-SSIM": _pair(metrics, "ms_ssim"),
        "CLIP": _pair(metrics, "clip_similarity"),
        "CLIP on the reconstructed frame": _pair(metrics, "teacher_similarity"),
        "s an epoch": seconds,
        "bytes": str(metrics.bytes),
        "bpp": f"{metrics.bpp:.3f}",
        "frames/s": f"{metrics.decoded_fps:.0f}",
        "commit": short(config.commit),
    }


def _pair(metrics: Metrics, name: str, digits: int = 4) -> str:
    return both(getattr(metrics.train, name), getattr(metrics.val, name), digits)


def main(argv: list[str]) -> None:
    """Print the table of the named runs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path, help="run directories")
    parser.add_argument("--title", default="", help="a line above the table")
    parser.add_argument(
        "--same", nargs="*", default=[], help="flags to leave out, by their names in config.json"
    )
    parser.add_argument("--all", default="", help="the command that all runs share, to be printed")
    parser.add_argument(
        "--untimed", action="store_true", help="leave out times: the runs shared their machine"
    )
    parser.add_argument("--out", type=Path, help="a Markdown file under bench/results")
    args = parser.parse_args(argv)
    runs = [Run(path) for path in args.runs]
    rows = [row(run, NEVER_SHOWN | set(args.same)) for run in runs]
    columns = [c for c in rows[0] if any(r[c].strip("– /") for r in rows)]
    columns = [c for c in columns if not (args.untimed and c in ("s an epoch", "frames/s"))]
    rows = [{c: r[c] for c in columns} for r in rows]
    common = f"Each row: `{args.all} FLAGS`\n\n" if args.all else ""
    write(args.out, f"# {args.title}\n\n" + heading(__doc__) + common + table(rows))


if __name__ == "__main__":
    main_guard(main)
