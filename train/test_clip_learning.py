"""Verify that a run learned the CLIP embeddings of its video: flags, and one call."""

from __future__ import annotations

from pathlib import Path

from nerv_clip import run_path, verify
from nerv_clip.cli import Parser, Terminal, main_guard
from nerv_clip.verification import store_in_run, summary, write_verification


def main(argv: list[str]) -> None:
    """Print the verdict and the tables, and write them with a report to --outf."""
    parser = Parser(
        prog="test_clip_learning.py",
        description="Verify that a run learned the CLIP embeddings of its video.",
    )
    parser.add_argument("--checkpoint", type=Path, required=True, help="model_best.pth of a run")
    parser.add_argument(
        "--data_path", type=Path, help="the source video; needed if the run stores no embeddings"
    )
    parser.add_argument(
        "--outf", default="clip_verification", help="output directory: NAME is output/NAME"
    )
    args = parser.parse_args(argv)
    terminal = Terminal()
    verification = verify(args.checkpoint, args.data_path, progress=terminal)
    folder = run_path(args.outf)
    write_verification(verification, folder)
    print(summary(verification))
    terminal.message(f"written to {folder}: open report.html in a browser")
    store_in_run(verification)


if __name__ == "__main__":
    main_guard(main)
