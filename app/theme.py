"""One palette and one manner for all pages; Okabe and Ito's colours, told apart by anyone."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import streamlit as st
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from streamlit.delta_generator import DeltaGenerator

from nerv_clip import InputError

if TYPE_CHECKING:
    from run_view import View

SPLIT_NAMES = {"train": "seen", "val": "held out", "unused": "unused"}
SPLIT_SHAPES = {"train": "circle", "val": "diamond", "unused": "x"}


class Palette(NamedTuple):
    """Colours on one ground: of the splits, of a held-out frame's name, of series, of words."""

    split: dict[str, str]
    held: str
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


SUCCESS = "learned and generalises"  # the one verdict that is
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


@contextmanager
def refusals() -> Iterator[None]:
    """Bad input inside becomes one line on the page, and the page goes on; decorates, too.

    A fragment needs one of its own: Streamlit shows a traceback before the page could catch it.
    """
    try:
        yield
    except InputError as error:
        st.error(str(error), icon=":material/error:")


def style() -> str:
    """What the theme's settings cannot say: words are legible on either ground, phones fit."""
    return STYLE.replace("TEXT", palette().text)


def embeds(view: View) -> bool:
    """Whether a run predicts embeddings; where it does not, the page says so."""
    if view.has_head:
        return True
    name = view.run.path.name
    why = "has no CLIP head: it draws its video and predicts no embeddings"
    if view.config["architecture"]["clip_input"]:
        why = "is given true embeddings as its input, and predicts none"
    st.info(
        f"**{name}** {why}. Pick another run at the left, or train one that predicts them "
        "(`--predict_clip`) on the **Train** page.",
        icon=":material/visibility_off:",
    )
    return False


def icon() -> Image.Image:
    """The page's icon, drawn here: a named one would be fetched from a font server."""
    image = Image.new("RGBA", (64, 64))
    pen = ImageDraw.Draw(image)
    pen.rounded_rectangle((2, 2, 61, 61), 14, LIGHT.split["train"])
    pen.polygon([(20, 16), (20, 48), (38, 32)], "white")
    pen.ellipse((41, 26, 53, 38), LIGHT.split["val"])
    return image


def strip(pictures: Iterable[tuple[int, NDArray[np.uint8]]]) -> str:
    """Frames over time as a row of pictures, in HTML; every other one on a phone."""
    images = []
    for frame, pixels in pictures:
        small = Image.fromarray(pixels).resize((240, 240 * pixels.shape[0] // pixels.shape[1]))
        images.append(f'<img src="{picture_url(small, 85)}" alt="frame {frame}">')
    return f'<div class="strip">{"".join(images)}</div>'


def picture_url(picture: NDArray[np.uint8] | Image.Image, quality: int = 90) -> str:
    """A picture (H, W, 3) as a data URL, for ``st.image``.

    Streamlit would hand out a file, and drop it with the next rerun: a browser that is slower than
    who drags a slider is then left with a broken picture.
    """
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    out = io.BytesIO()
    image.save(out, "JPEG", quality=quality)
    return f"data:image/jpeg;base64,{base64.b64encode(out.getvalue()).decode()}"
