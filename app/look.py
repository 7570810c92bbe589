"""One palette and one manner for all pages; Okabe and Ito's colours, told apart by anyone."""

from __future__ import annotations

from PIL import Image, ImageDraw
from streamlit.delta_generator import DeltaGenerator

SPLIT_COLOURS = {"train": "#0072B2", "val": "#D55E00", "unused": "#8A8F98"}
SPLIT_NAMES = {"train": "seen", "val": "held out", "unused": "unused"}
SPLIT_SHAPES = {"train": "circle", "val": "diamond", "unused": "x"}
SERIES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
GREY = "#8A8F98"


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
