"""Frames: the player with true frames and reconstructions, and frames at times in between."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import streamlit as st
from comparison_stream import playable_stream
from heat import shown_query
from inference import draw_frame, predicted_embedding
from run_view import RunView, read_view
from watching import watch
from widgets import input_errors, picture_url

from nerv_clip import Run


@st.fragment
@input_errors()
def comparison(view: RunView, stream: Path) -> None:
    """The player, with the heat map of a text or a spot, and what is between frames."""
    query = shown_query(view) if view.has_dense_head else None
    frame = watch(view, stream, query)
    if view.frames > 1:
        between_frames(view, frame)


def between_frames(view: RunView, frame: int) -> None:
    """The network's output at any time, beside the frames before and after."""
    st.subheader("Look between frames")
    st.caption(
        "The network is continuous in time: it can draw any t in [0, 1], not only the frames of "
        "the video. The frames before and after are shown for comparison. The network draws all "
        "three pictures."
    )
    last = view.frames - 1
    left, right = st.columns([1, 3])
    place = left.number_input(
        "Frame index (fractions allowed)",
        0.0,
        float(last),
        min(frame + 0.5, last - 0.5),
        0.25,
        format="%.2f",
        key=f"between {view.key} {frame}",
    )
    left.caption(f"t = {place / last:.5f}")
    before = min(int(place), last - 1)
    if view.shots.of(before) != view.shots.of(before + 1):
        left.caption("There is a cut between these frames: the network draws the nearer one.")
    columns = right.columns(3)
    for column, index in zip(columns, (before, place, before + 1), strict=True):
        picture = picture_url(draw_frame(view, index / last))
        column.image(picture, caption=f"frame {np.round(index, 2):g}", width="stretch")
    if view.has_clip_head:
        here, *beside = (predicted_embedding(view, i / last) for i in (place, before, before + 1))
        first, second = (float(here @ other) for other in beside)
        left.caption(
            f"Cosine similarity of its predicted embedding: {first:.3f} with frame {before}, "
            f"{second:.3f} with frame {before + 1}."
        )


def main(run: Run) -> None:
    """The page."""
    view = read_view(run)
    st.title("Frames")
    comparison(view, playable_stream(view))
    st.caption(
        "Keys: ← and → step, space plays or pauses, h jumps to the next held-out frame, p and n "
        "to the previous and the next shot, Home and End to the first and the last frame, [ and ] "
        "move the wipe, + and − zoom. During "
        "playback, both pictures come from a compressed H.264 stream. When paused, the "
        "reconstruction is the exact output of the network, and the true frame is exact if the "
        "source video is on this machine."
    )


main(st.session_state.selected_run)
