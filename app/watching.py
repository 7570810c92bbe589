"""The player with the heat map of a query, as the pages Frames and Search show it."""

from __future__ import annotations

from pathlib import Path

import streamlit as st
from heat import Heat, Query, Spot, heat_of, more_like
from inference import draw_frame, source_frame
from moment_card import ACROSS, moment_card
from player import player
from run_view import RunView
from session import current_frame, write_url
from teacher_consent import allowed_to_load
from widgets import input_errors

from nerv_clip import frame_time


def watch(view: RunView, stream: Path, query: Query | None) -> int:
    """Show the player, to be called in a fragment; returns the current frame.

    When the player is paused, the network draws the exact frame.
    """
    st.session_state.frame = frame = current_frame(view.frames)
    write_url()
    heat: Heat | None = None
    if query is not None:
        wanted = st.toggle(
            "Teacher's map on the true frame",
            key=f"truth {view.key}",
            help="While the player is paused, the true frame has the map that the teacher computes "
            "from it. Otherwise, both pictures have the predicted map.",
        )
        with input_errors():  # the player stays
            if _may_compute(view, query, wanted):
                heat = heat_of(view, query, frame if wanted else None)
    drawn = draw_frame(view, frame_time(frame, view.frames))
    player(view, stream, frame, st.session_state.jump, source_frame(view, frame), drawn, heat)
    if isinstance(query, Spot):
        with input_errors():
            _moments_like(view, query)
    return frame


def _may_compute(view: RunView, query: Query, truth: bool) -> bool:
    """Whether the teacher may be loaded, where it is needed: for a text, and for its own map."""
    if isinstance(query, Spot) and not truth:
        return True
    teacher = view.config.teacher
    return teacher is not None and allowed_to_load(teacher)


def _moments_like(view: RunView, spot: Spot) -> None:
    """The other moments that show what is at a spot."""
    answer = more_like(view, spot, ACROSS)
    st.subheader("More like this spot")
    if not answer.match:
        st.caption("No other moment has a clear match.")
        return
    columns = st.columns(ACROSS)
    for index, moment in enumerate(answer.moments):
        with columns[index % ACROSS]:
            moment_card(view, st.session_state.run, moment, f"spot {index}", spot)
