"""A kitchen at a glance: frames of a rendered video, each with what happens in it."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from nerv_clip.cli import main_guard

COLUMNS, MARGIN, TEXT = 4, 8, 34


def said(frame: dict[str, Any]) -> str:
    """The events of a frame in two short lines."""
    names = frame["events"] or ["nothing happens"]
    lines = [f"{frame['frame']}: {names[0]}", *names[1:2]]
    return "\n".join(lines)


def sheet(kitchen: Path, chosen: list[int], width: int) -> Image.Image:
    """The chosen frames as a grid, captioned."""
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
        draw.multiline_text((x + 2, y + height + 2), said(labels[index]), "#222", font, spacing=1)
    return page


def main(argv: list[str]) -> None:
    """Write the sheet of a kitchen as JPEG."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kitchen", type=Path, help="a folder of train/render_kitchen.py")
    parser.add_argument("--frames", type=int, nargs="+", default=list(range(5, 300, 19)))
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args(argv)
    sheet(args.kitchen, args.frames, args.width).save(args.out, quality=88)


if __name__ == "__main__":
    main_guard(main)
