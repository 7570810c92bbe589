"""Build everything in checkpoints/: the demo encoder and the shipped runs."""

from __future__ import annotations

import sys

from nerv_clip.cli import Parser, Terminal, main_guard
from nerv_clip.cli.demo_build import build, full, quick


def main(argv: list[str]) -> None:
    """Render, train the encoder, train the runs; exits with 130 after an interruption."""
    parser = Parser(prog="make_demo.py", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="a small build in build/demo-quick, to test the steps"
    )
    args = parser.parse_args(argv)
    if not build(quick() if args.quick else full(), Terminal()):
        sys.exit(130)


if __name__ == "__main__":
    main_guard(main)
