"""Parts that several pages use: metric tiles, error lines, pictures, progress bars."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st
from literal import literal, message
from numpy.typing import NDArray
from PIL import Image
from streamlit.delta_generator import DeltaGenerator

from nerv_clip import InputError

if TYPE_CHECKING:
    from run_view import RunView

    from nerv_clip.progress import Task


def metric_tile(
    place: DeltaGenerator, label: str, value: str, note: str = "", help_text: str | None = None
) -> None:
    """A metric in a box, with a note below it."""
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
def input_errors(*, as_flags: bool = False) -> Iterator[None]:
    """Show an `InputError` from the block as one line on the page; also works as a decorator.

    With ``as_flags``, arguments in the message are replaced by flags of the command line. A
    fragment needs its own: Streamlit shows a traceback before the page can catch the error.
    """
    try:
        yield
    except InputError as error:
        text = str(error)
        if as_flags:
            from nerv_clip.cli import with_flags

            text = with_flags(text)
        st.error(message(text), icon=":material/error:")


def has_clip_head(view: RunView) -> bool:
    """Whether a run predicts embeddings; if not, the page shows what to do."""
    if view.has_clip_head:
        return True
    reason = "has no CLIP head and predicts no embeddings"
    if view.config.architecture.clip_input:
        reason = "has no CLIP head: it reads true embeddings as input and predicts none"
    st.info(
        f"**{literal(view.name)}** {reason}. Select another run in the sidebar, or train one that "
        "predicts embeddings (`--predict_clip`) on the **Train** page.",
        icon=":material/visibility_off:",
    )
    return False


def picture_strip(pictures: Iterable[tuple[int, NDArray[np.uint8]]]) -> str:
    """Frames (index, picture) in a row, as HTML; every other one on a phone."""
    images = []
    for frame, pixels in pictures:
        small = Image.fromarray(pixels).resize((240, 240 * pixels.shape[0] // pixels.shape[1]))
        images.append(f'<img src="{picture_url(small, 85)}" alt="frame {frame}">')
    return f'<div class="strip">{"".join(images)}</div>'


def picture_url(picture: NDArray[np.uint8] | Image.Image, quality: int = 90) -> str:
    """A picture (H, W, 3) as a data URL, for ``st.image``.

    Streamlit serves an array as a file, which it deletes at the next rerun. While a slider is
    dragged, a slow browser then shows a broken picture.
    """
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    out = io.BytesIO()
    image.save(out, "JPEG", quality=quality)
    return f"data:image/jpeg;base64,{base64.b64encode(out.getvalue()).decode()}"


class _Bar:
    """A `Task` as a progress bar on the page."""

    def __init__(self, label: str, total: int | None, done: int) -> None:
        self.label, self.total, self.done = literal(f"{label[:1].upper()}{label[1:]}…"), total, done
        self.bar = st.progress(0.0, text=self.label)

    def advance(self, steps: int = 1, note: str = "") -> None:
        """Move the bar; the note is shown after its label."""
        self.done += steps
        fraction = min(self.done / self.total, 1.0) if self.total else 0.0
        self.bar.progress(fraction, text=f"{self.label} {literal(note)}".strip())

    def resize(self, total: int) -> None:
        """Show the same work as a share of another total."""
        self.total = total


class PageProgress:
    """Progress as bars on the page; each bar is removed when its task ends."""

    @contextmanager
    def task(
        self, label: str, total: int | None, unit: str = "step", done: int = 0
    ) -> Iterator[Task]:
        """Show a bar."""
        task = _Bar(label, total, done)
        try:
            yield task
        finally:
            task.bar.empty()

    def message(self, line: str) -> None:
        """Show one line in a corner of the page, for some seconds."""
        st.toast(literal(line))
