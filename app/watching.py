"""The player with the heat map of a query, as the pages Frames and Search show it."""

from __future__ import annotations

from pathlib import Path

import streamlit as st
from heat import Heat, Query, Spot, heat_of
from inference import draw_frame, searchable_run, source_frame
from moment_card import moment_card
from player import frame_of_player, player
from run_view import RunView
from session import write_url

from nerv_clip import frame_time

ACROSS = 4  # moments in a row


def watch(view: RunView, stream: Path, query: Query | None) -> int:
    """Show the player, to be called in a fragment; returns the current frame.

    When the player is paused, the network draws the exact frame.
    """
    frame = min(frame_of_player(view, st.session_state.frame), view.frames - 1)
    st.session_state.frame = frame
    write_url()
    heat: Heat | None = None
    if query is not None:
        wanted = st.toggle(
            "Teacher's map on the true frame",
            key=f"truth {view.key}",
            help="While the player is paused, the teacher itself looks at the true frame. "
            "Otherwise, both pictures show the predicted map.",
        )
        heat = heat_of(view, query, frame if wanted else None)
    drawn = draw_frame(view, frame_time(frame, view.frames))
    player(view, stream, frame, st.session_state.jump, source_frame(view, frame), drawn, heat)
    if isinstance(query, Spot):
        _moments_like(view, query)
    return frame


def _moments_like(view: RunView, spot: Spot) -> None:
    """The moments that show what is at a spot."""
    answer = searchable_run(view).search_spot(*spot, top=ACROSS)
    st.subheader("More like this spot")
    if not answer.match:
        st.caption("No other frame has a clear match.")
        return
    columns = st.columns(ACROSS)
    for index, moment in enumerate(answer.moments):
        with columns[index % ACROSS]:
            moment_card(view, st.session_state.run, moment, f"spot {index}", spot)
