"""Frames of a rendered kitchen as one picture, each with the events in it."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from nerv_clip.cli import main_guard

COLUMNS, MARGIN, TEXT = 4, 8, 34


def event_lines(frame: dict[str, Any]) -> str:
    """The first two events of a frame, a line each."""
    names = frame["events"] or ["no event"]
    lines = [f"{frame['frame']}: {names[0]}", *names[1:2]]
    return "\n".join(lines)


def sheet(kitchen: Path, chosen: list[int], width: int) -> Image.Image:
    """The chosen frames as a grid, with captions; ``width`` is that of one frame in pixels."""
    labels = json.loads((kitchen / "labels.json").read_text())["frames"]
    height = round(width * 9 / 16)
    rows = -(-len(chosen) // COLUMNS)
    size = (COLUMNS * (width + MARGIN) + MARGIN, rows * (height + TEXT + MARGIN) + MARGIN)
    page = Image.new("RGB", size, "white")
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(12)
    for place, index in enumerate(chosen):
        x = MARGIN + (place % COLUMNS) * (width + MARGIN)
        y = MARGIN + (place // COLUMNS) * (height + TEXT + MARGIN)
        picture = Image.open(kitchen / f"{index:04}.png").resize((width, height))
        page.paste(picture, (x, y))
        draw.multiline_text(
            (x + 2, y + height + 2), event_lines(labels[index]), "#222", font, spacing=1
        )
    return page


def main(argv: list[str]) -> None:
    """Write the picture as JPEG."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kitchen", type=Path, help="a folder written by train/render_kitchen.py")
    parser.add_argument("--frames", type=int, nargs="+", default=list(range(5, 300, 19)))
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args(argv)
    sheet(args.kitchen, args.frames, args.width).save(args.out, quality=88)


if __name__ == "__main__":
    main_guard(main)
