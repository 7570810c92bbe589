"""Render a video of a kitchen with labels, as a folder of images."""

from __future__ import annotations

from pathlib import Path

from nerv_clip.cli import Parser, Terminal, main_guard
from nerv_clip.demo import write_kitchen


def main(argv: list[str]) -> None:
    """Write the frames of a kitchen and their ``labels.json``."""
    parser = Parser(prog="render_kitchen.py", description=__doc__)
    parser.add_argument(
        "--out", type=Path, required=True, help="folder to write, such as data/Kitchen"
    )
    parser.add_argument("--seed", type=int, default=0, help="each seed gives another video")
    parser.add_argument("--frames", type=int, default=300, help="number of frames, at least 60")
    parser.add_argument(
        "--height", type=int, default=180, help="height in pixels; the width follows from 16:9"
    )
    parser.add_argument("--samples", type=int, default=9, help="rays per pixel, a square number")
    parser.add_argument(
        "--masks", action="store_true", help="also write masks.npz: which object each pixel shows"
    )
    args = parser.parse_args(argv)
    size = (args.height, round(args.height * 16 / 9))
    write_kitchen(
        args.out, args.seed, args.frames, size, args.samples, Terminal(), masks=args.masks
    )


if __name__ == "__main__":
    main_guard(main, {"size": "--height"})
