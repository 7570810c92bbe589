"""A moment that a search found, as a card."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st
from heat import Query, highlight
from PIL import Image, ImageDraw
from run_view import Pixels, RunView, stored_true_frame
from session import go_to, open_page
from widgets import picture_url

if TYPE_CHECKING:
    from nerv_clip.search import Moment

ACROSS = 4  # moments in a row, two on a phone
FRAME_COLOUR = (252, 255, 164)  # of the box, the brightest of the heat map


def moment_card(
    view: RunView, name: str, moment: Moment, key: str, query: Query | None = None
) -> None:
    """A moment of a run: picture, times, scores, and a link to its frame.

    With a ``query``, the link takes it along, so that the player lights up its places.
    """
    with st.container(border=True):
        picture = stored_true_frame(view, moment.frame)
        if picture is None:
            st.caption("No stored picture. Open the frame to draw it.")
        else:
            st.image(picture_url(_with_box(view, moment, picture)), width="stretch")
        split = ":orange[◆ held out]" if moment.held_out else ":blue[● train]"
        st.markdown(
            f"**{moment.start_seconds:.2f} – {moment.end_seconds:.2f} s**, best at "
            f"{moment.peak_seconds:.2f} s  \n{split}"
        )
        true = "" if moment.true_relevancy is None else f" (true {moment.true_relevancy:.2f})"
        st.caption(f"relevancy {moment.relevancy:.2f}{true}")
        open_it = partial(_open, view, name, moment.frame, query)
        if st.button(f"Go to frame {moment.frame}", key=f"go {key}", on_click=open_it):
            st.rerun()  # reached in a fragment only: otherwise, the callback opened the page


def _open(view: RunView, name: str, frame: int, query: Query | None) -> None:
    """Open a frame of a run; called before the page is drawn, so that it may set text boxes."""
    st.session_state.run = name
    if query is not None:
        highlight(view, query)
    go_to(frame)
    open_page("screens/frames.py")


def _with_box(view: RunView, moment: Moment, picture: Pixels) -> Pixels:
    """The picture with the box of the moment's place; without one, the picture itself."""
    source = view.config.video.source_map
    if moment.where is None or source is None:
        return picture
    where, (height, width) = moment.where, picture.shape[:2]
    left, top, right, bottom = source.frame_box(where.left, where.top, where.right, where.bottom)
    image = Image.fromarray(picture)
    left, top, right, bottom = left * width, top * height, right * width, bottom * height
    corners = (left, top, max(left, right - 1), max(top, bottom - 1))
    ImageDraw.Draw(image).rectangle(corners, outline=FRAME_COLOUR, width=max(1, width // 160))
    return np.asarray(image)
