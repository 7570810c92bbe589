"""The player: true frames beside what the network draws."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import streamlit as st
from comparison_stream import playable
from inference import draw, predicted_embedding, true_frame
from player import player, resting
from run_view import View, read_view
from session import remember
from theme import picture_url, refusals

from nerv_clip import Run, frame_time


@st.fragment
@refusals()
def stage(view: View, path: Path) -> None:
    """The player; where it rests, the exact frame is drawn by the network."""
    frame = min(resting(view, st.session_state.frame), view.frames - 1)
    st.session_state.frame = frame
    remember()
    exact = (frame, true_frame(view, frame), draw(view, frame_time(frame, view.frames)))
    player(view, path, frame, st.session_state.jump, exact)
    if view.frames > 1:
        between(view, frame)


def between(view: View, frame: int) -> None:
    """What the network draws at any time, between the frames too, beside its neighbours."""
    st.subheader("Decode here")
    st.caption(
        "The network is continuous in time: it draws any t in [0, 1], also where the video has "
        "no frame. Beside it, the frames before and after, as the network draws them."
    )
    last = view.frames - 1
    left, right = st.columns([1, 3])
    place = left.number_input(
        "Frame index, fractions allowed",
        0.0,
        float(last),
        min(frame + 0.5, last - 0.5),
        0.25,
        format="%.2f",
        key=f"between {view.key} {frame}",
    )
    left.caption(f"t = {place / last:.5f}")
    before = min(int(place), last - 1)
    columns = right.columns(3)
    for column, index in zip(columns, (before, place, before + 1), strict=True):
        picture = picture_url(draw(view, index / last))
        column.image(picture, caption=f"{np.round(index, 2):g}", width="stretch")
    if view.has_head:
        here, *beside = (predicted_embedding(view, i / last) for i in (place, before, before + 1))
        near, far = (float(here @ other) for other in beside)
        left.caption(
            f"Its embedding has cosine {near:.3f} with that of frame {before}, {far:.3f} with "
            f"that of {before + 1}."
        )


def main(run: Run) -> None:
    """The page."""
    view = read_view(run)
    st.title("Frames")
    stage(view, playable(view))
    st.caption(
        "Keys: ← → step, space plays, h goes to the next held-out frame, Home and End to the "
        "ends; [ ] move the wipe, + − zoom. Moving pictures come from one H.264 stream; once the "
        "player rests, the reconstruction is what the network draws, exactly, and so is the true "
        "frame where the source video is on this machine."
    )


main(st.session_state.path)
