"""Heat maps: where a text, or what is at a spot, is shown in the frames of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import streamlit as st
from inference import searchable_run, source_frame
from numpy.typing import NDArray
from run_view import RunView, stored_true_frame
from session import persistent

if TYPE_CHECKING:
    from nerv_clip.search import Answer, TrainedRun
    from nerv_clip.search.relevancy import EncodedQuery

BOX = "where"  # key of the text box on the page Frames
Relevancies = NDArray[np.uint8]  # (N, rows, columns): 255 times the relevancy of each cell


class Spot(NamedTuple):
    """A place in a frame: x and y from 0 to 1, to the right and downwards."""

    x: float
    y: float
    frame: int

    @property
    def name(self) -> str:
        """How the page calls it."""
        return f"like the spot of frame {self.frame}"


Query = str | Spot


class Heat(NamedTuple):
    """The relevancy of the cells of a run's frames to a query, for the player.

    ``map_of`` (T,) has the number of the map of each frame, ``grid`` the fields that heat.js reads;
    ``spot`` is the query where it is one. ``truth`` (rows, columns) is the teacher's own map of
    ``truth_frame``, None if it is not wanted.
    """

    name: str
    maps: Relevancies
    map_of: NDArray[np.intp]
    grid: dict[str, float]
    spot: Spot | None = None
    truth: Relevancies | None = None
    truth_frame: int = 0


def heat_of(view: RunView, query: Query, truth_frame: int | None = None) -> Heat:
    """The heat map of a query; with the teacher's own map of ``truth_frame``, if it is given.

    Raises `InputError` for a text that the teacher cannot read.
    """
    maps, map_of, grid = _maps(view.key, view, query)
    name, spot = (query, None) if isinstance(query, str) else (query.name, query)
    heat = Heat(name, maps, map_of, grid, spot)
    if truth_frame is None:
        return heat
    return heat._replace(truth=_truth(view.key, view, query, truth_frame), truth_frame=truth_frame)


def shown_query(view: RunView) -> Query | None:
    """A text box for what the player highlights, or the spot that was clicked; None for neither."""
    key = persistent(BOX, "")
    spot = picked_spot()
    if spot is not None:
        highlight(view, spot)
    text = st.text_input(
        "Highlight in the frames",
        key=key,
        placeholder="a purple kettle, or click on a spot of a picture",
        on_change=_forget_spot,
        help="The colours show relevancy. Above 0.5, at the mark of the scale, are 0.3 % of the "
        "cells for a text that the video does not show.",
    )
    if text.strip():
        return text.strip()
    owner, spot = st.session_state.get("spot") or (None, None)
    return spot if owner == view.key else None


def highlight(view: RunView, query: Query) -> None:
    """Make a query that of the page Frames; to be called before its text box is drawn."""
    spot = isinstance(query, Spot)
    st.session_state["spot"] = (view.key, query) if spot else None
    st.session_state[BOX] = st.session_state.persistent[BOX] = "" if spot else query


def _forget_spot() -> None:
    st.session_state["spot"] = None


def picked_spot() -> Spot | None:
    """The spot that was just clicked in a player; None if none was."""
    found: Spot | None = st.session_state.pop("picked spot", None)
    return found


def more_like(view: RunView, spot: Spot, top: int) -> Answer:
    """The moments that show what is at a spot."""
    return _more_like(view.key, view, spot, top)


@st.cache_data(max_entries=16, show_spinner=False)
def _more_like(key: str, _view: RunView, spot: Spot, top: int) -> Answer:
    return searchable_run(_view).search_spot(*spot, top=top)


def _encoded(run: TrainedRun, query: Query) -> EncodedQuery:
    """A query for the search of a run."""
    if isinstance(query, Spot):
        return run.encode_spot(*query)
    return run.query_encoder.encode_text(query)


def _bytes(relevancy: NDArray[np.float32]) -> Relevancies:
    return np.asarray((255 * relevancy).round(), np.uint8)


@st.cache_data(max_entries=16, show_spinner=False)
def _maps(
    key: str, _view: RunView, query: Query
) -> tuple[Relevancies, NDArray[np.intp], dict[str, float]]:
    run = searchable_run(_view)
    places = run.dense_places()
    maps, cells = _bytes(places.scores(_encoded(run, query)).relevancy), places.index.grid
    return maps, places.map_of, dict(cells._asdict())


@st.cache_data(max_entries=64, show_spinner="The teacher reads the frame…")
def _truth(key: str, _view: RunView, query: Query, frame: int) -> Relevancies | None:
    run = searchable_run(_view)
    pixels = source_frame(_view, frame)
    if pixels is None:  # the stream is compressed, but near
        pixels = stored_true_frame(_view, frame)
    if pixels is None:
        return None
    return _bytes(run.dense_places().true_scores(_encoded(run, query), frame, pixels).relevancy[0])
