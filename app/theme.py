"""Colours, names of the splits, and styles of all pages.

The colours are those of Okabe and Ito, which colour-blind people can distinguish.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import streamlit as st
from PIL import Image, ImageDraw

SPLIT_NAMES = {"train": "train", "val": "held out", "unused": "unused"}
SPLIT_SHAPES = {"train": "circle", "val": "diamond", "unused": "x"}


class Palette(NamedTuple):
    """Colours of a theme.

    ``split`` has a colour for each split, ``held_out_text`` is that of the words "held out";
    ``series`` are the colours of lines.
    """

    split: dict[str, str]
    held_out_text: str
    series: tuple[str, ...]
    grey: str
    text: str
    grid: str


LIGHT = Palette(
    {"train": "#0072B2", "val": "#D55E00", "unused": "#8A8F98"},
    "#B34700",
    ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"),
    "#8A8F98",
    "#4A515C",
    "#E3E7ED",
)
DARK = Palette(
    {"train": "#4BA3E3", "val": "#F08040", "unused": "#8A8F98"},
    "#F08040",
    ("#4BA3E3", "#F08040", "#2CC295", "#E09BC4", "#F2B84B", "#8FD0F7"),
    "#8A8F98",
    "#C3C9D2",
    "#2E343D",
)


def palette() -> Palette:
    """The colours of the theme that the browser shows."""
    return DARK if st.context.theme.type == "dark" else LIGHT


LOGO = Path(__file__).parent / "logo.svg"
STYLE = """<style>
.stMainBlockContainer { padding-top: 2.75rem; }
[data-testid=stCaptionContainer] { color: inherit; opacity: .8; }
[data-testid=stSliderThumbValue], [role=tab][aria-selected=true] p,
button[role=radio][aria-checked=true] p { color: TEXT; }
.strip { display: grid; grid-auto-flow: column; grid-auto-columns: 1fr; gap: 3px; }
.strip img { width: 100%; display: block; }
.strip img:first-child { border-radius: 8px 0 0 8px; }
.strip img:last-child { border-radius: 0 8px 8px 0; }
@media (max-width: 640px) {
  .strip img:nth-child(2n) { display: none; }
  .stMainBlockContainer { padding-left: 1rem; padding-right: 1rem; }
  /* two metrics or pictures per row */
  [class*=st-key-pairs] [data-testid=stHorizontalBlock] > [data-testid=stColumn] {
    min-width: calc(50% - 1rem); flex: 1 1 calc(50% - 1rem); }
}
</style>"""


def style() -> str:
    """CSS for what Streamlit's theme settings do not cover: text contrast, and small screens."""
    return STYLE.replace("TEXT", palette().text)


def page_icon() -> Image.Image:
    """The icon of the browser tab, drawn here: a named icon is fetched from a font server."""
    image = Image.new("RGBA", (64, 64))
    pen = ImageDraw.Draw(image)
    pen.rounded_rectangle((2, 2, 61, 61), 14, LIGHT.split["train"])
    pen.polygon([(20, 16), (20, 48), (38, 32)], "white")
    pen.ellipse((41, 26, 53, 38), LIGHT.split["val"])
    return image
