"""The player: true frames beside what the network draws."""

from __future__ import annotations

import streamlit as st
from network import draw, true_frame
from player import player, resting
from reading import View, read_view

from nerv_clip import Run, frame_time


@st.fragment
def stage(view: View) -> None:
    """The player; where it rests, the exact frame is drawn by the network."""
    frame = min(resting(view, st.session_state.frame), view.frames - 1)
    st.session_state.frame = frame
    st.query_params["frame"] = str(frame)
    exact = (frame, true_frame(view, frame), draw(view, frame_time(frame, view.frames)))
    player(view, frame, st.session_state.jump, exact)


@st.fragment
def between(view: View) -> None:
    """What the network draws at any time, between the frames too."""
    st.subheader("Decode here")
    st.caption(
        "The network is continuous in time: any t in [0, 1] can be drawn, also between frames."
    )
    last = max(view.frames - 1, 1)
    left, right = st.columns([1, 2])
    with left:
        place = st.number_input(
            "Frame index, fractions allowed",
            0.0,
            float(last),
            min(st.session_state.frame + 0.5, float(last)),
            0.25,
            format="%.2f",
            key=f"between {view.key}",
        )
        st.caption(f"t = {place / last:.5f}")
        wanted = st.button("Decode", type="primary", icon=":material/brush:")
    if wanted:
        with right:
            st.image(draw(view, place / last), caption=f"the network at frame index {place:.2f}")


def main(run: Run) -> None:
    """The page."""
    view = read_view(run)
    st.title("Frames")
    stage(view)
    st.caption(
        "← → step, space plays, h jumps to the next held-out frame. Moving pictures come from one "
        "H.264 stream; once the player rests, the reconstruction is what the network draws, "
        "exactly, and so is the true frame where the source video is on this machine."
    )
    between(view)


main(st.session_state.path)
