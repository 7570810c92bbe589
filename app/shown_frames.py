"""The part of a long video that the charts over time show."""

from __future__ import annotations

import streamlit as st
from charts import MOST_POINTS, width_for
from session import current_frame, persistent

AROUND = (10_000, 1_000)  # frames around the current one; the last are drawn one by one
MEANS = (
    "A point stands for up to {} neighbouring frames: it is at their mean, and the area behind "
    "reaches from the lowest to the highest."
)
HIGHEST = "A point is the highest relevancy in up to {} neighbouring frames."


def shown_frames(frames: int, note: str = MEANS) -> range:
    """The frames that the charts of a page show; of a long video, a control selects some.

    ``note`` explains points that stand for several frames, whose number replaces ``{}``.
    """
    if frames <= MOST_POINTS:
        return range(frames)
    size = st.segmented_control(
        "Frames shown",
        [frames, *(size for size in AROUND if size < frames)],
        format_func=lambda size: f"all {size:,}" if size == frames else f"{size:,}",
        key=persistent(f"shown frames of {frames}", frames),
        required=True,
        help="Part of the frames are those around the current frame. A click on a mark makes its "
        "frame the current one.",
    )
    size = min(size or frames, frames)
    start = max(min(current_frame(frames) - size // 2, frames - size), 0)
    shown = range(start, start + size)
    width = width_for(size)
    if width > 1:
        st.caption(note.format(f"{width:,}"))
    return shown
