"""One palette and one manner for all pages; Okabe and Ito's colours, told apart by anyone."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from streamlit.delta_generator import DeltaGenerator

SPLIT_COLOURS = {"train": "#0072B2", "val": "#D55E00", "unused": "#8A8F98"}
SPLIT_NAMES = {"train": "seen", "val": "held out", "unused": "unused"}
SPLIT_SHAPES = {"train": "circle", "val": "diamond", "unused": "x"}
SERIES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
GREY = "#8A8F98"
SUCCESS = "learned and generalises"  # the one verdict that is
LOGO = Path(__file__).parent / "logo.svg"
STYLE = """<style>
.stMainBlockContainer { padding-top: 2.75rem; }
.strip { display: grid; grid-auto-flow: column; grid-auto-columns: 1fr; gap: 3px; }
.strip img { width: 100%; display: block; }
.strip img:first-child { border-radius: 8px 0 0 8px; }
.strip img:last-child { border-radius: 0 8px 8px 0; }
@media (max-width: 640px) {
  .strip img:nth-child(2n) { display: none; }
  .stMainBlockContainer { padding-left: 1rem; padding-right: 1rem; }
  /* figures and pictures stand two in a row */
  [class*=st-key-pairs] [data-testid=stHorizontalBlock] > [data-testid=stColumn] {
    min-width: calc(50% - 1rem); flex: 1 1 calc(50% - 1rem); }
}
</style>"""


def tile(
    place: DeltaGenerator, label: str, value: str, note: str = "", help_text: str | None = None
) -> None:
    """A figure in a box, with what belongs beside it below."""
    place.metric(
        label,
        value,
        note or None,
        delta_color="off",
        delta_arrow="off",
        border=True,
        help=help_text,
    )


def icon() -> Image.Image:
    """The page's icon, drawn here: a named one would be fetched from a font server."""
    image = Image.new("RGBA", (64, 64))
    pen = ImageDraw.Draw(image)
    pen.rounded_rectangle((2, 2, 61, 61), 14, SPLIT_COLOURS["train"])
    pen.polygon([(20, 16), (20, 48), (38, 32)], "white")
    pen.ellipse((41, 26, 53, 38), SPLIT_COLOURS["val"])
    return image


def strip(pictures: Iterable[tuple[int, NDArray[np.uint8]]]) -> str:
    """Frames over time as a row of pictures, in HTML; every other one on a phone."""
    images = []
    for frame, pixels in pictures:
        out = io.BytesIO()
        Image.fromarray(pixels).resize((240, 240 * pixels.shape[0] // pixels.shape[1])).save(
            out, "JPEG", quality=85
        )
        content = base64.b64encode(out.getvalue()).decode()
        images.append(f'<img src="data:image/jpeg;base64,{content}" alt="frame {frame}">')
    return f'<div class="strip">{"".join(images)}</div>'
