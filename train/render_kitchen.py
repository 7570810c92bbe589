"""Render a kitchen with labels, to train on and to search: flags, and one call."""

from __future__ import annotations

from pathlib import Path

from nerv_clip.cli import Parser, Terminal, main_guard
from nerv_clip.demo import write_kitchen


def main(argv: list[str]) -> None:
    """Write the pictures of a seed's kitchen and their ``labels.json``."""
    parser = Parser(prog="render_kitchen.py", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="a folder, such as data/Kitchen")
    parser.add_argument("--seed", type=int, default=0, help="each seed is another kitchen")
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--height", type=int, default=180, help="pixels; 16:9 gives the width")
    parser.add_argument("--samples", type=int, default=9, help="rays a pixel, a square number")
    args = parser.parse_args(argv)
    size = (args.height, round(args.height * 16 / 9))
    write_kitchen(args.out, args.seed, args.frames, size, args.samples, Terminal())


if __name__ == "__main__":
    main_guard(main)
