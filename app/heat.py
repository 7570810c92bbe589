"""Heat maps: where a text, or what is at a spot, is shown in the frames of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import streamlit as st
from inference import searchable_run
from numpy.typing import NDArray
from run_view import Pixels, RunView, stored_true_frame
from session import persistent

from nerv_clip import InputError

if TYPE_CHECKING:
    from nerv_clip.search import TrainedRun
    from nerv_clip.search.relevancy import EncodedQuery

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

    ``grid`` has the fields that heat.js reads, ``spot`` is the query where it is one. ``truth``
    (rows, columns) is the teacher's own map of ``truth_frame``, None if it is not wanted.
    """

    name: str
    maps: Relevancies
    grid: dict[str, float]
    spot: Spot | None = None
    truth: Relevancies | None = None
    truth_frame: int = 0


def heat_of(view: RunView, query: Query, truth_frame: int | None = None) -> Heat:
    """The heat map of a query; with the teacher's own map of ``truth_frame``, if it is given.

    Raises `InputError` for a text that the teacher cannot read.
    """
    maps, grid = _maps(view.key, view, query)
    heat = (
        Heat(query, maps, grid) if isinstance(query, str) else Heat(query.name, maps, grid, query)
    )
    if truth_frame is None:
        return heat
    return heat._replace(truth=_truth(view.key, view, query, truth_frame), truth_frame=truth_frame)


def shown_query(view: RunView, first: str = "") -> Query | None:
    """A text box for what the player lights up, or the spot that was clicked; None for neither.

    The box starts with the text ``first``.
    """
    key = persistent("where", first)
    spot = picked_spot()
    if spot is not None:
        st.session_state["spot"] = view.key, spot
        st.session_state[key] = ""

    def forget_spot() -> None:
        st.session_state["spot"] = None

    text = st.text_input(
        "Light up where the frames show",
        key=key,
        placeholder="a purple kettle, or click on a spot of a picture",
        on_change=forget_spot,
        help="The colours show relevancy, on the same scale in every frame and for every text: "
        "above 0.5 a place is a clear match.",
    )
    if text.strip():
        return text.strip()
    owner, spot = st.session_state.get("spot") or (None, None)
    return spot if owner == view.key else None


def picked_spot() -> Spot | None:
    """The spot that was just clicked in a player; None if none was."""
    found: Spot | None = st.session_state.pop("picked spot", None)
    return found


def encoded(run: TrainedRun, query: Query) -> EncodedQuery:
    """A query for the search of a run."""
    if isinstance(query, Spot):
        return run.encode_spot(*query)
    return run.query_encoder.encode_text(query)


def _bytes(relevancy: NDArray[np.float32]) -> Relevancies:
    return np.asarray((255 * relevancy).round(), np.uint8)


@st.cache_data(max_entries=16, show_spinner=False)
def _maps(key: str, _view: RunView, query: Query) -> tuple[Relevancies, dict[str, float]]:
    run = searchable_run(_view)
    scores, index = run.map_scores(encoded(run, query)), run.maps
    if scores is None or index is None:
        raise InputError(f"{_view.run.path} has no dense head: train with `predict_dense`")
    _, rows, columns = scores.relevancy.shape
    step = int(index.frames[1] - index.frames[0]) if len(index.frames) > 1 else 1
    grid = {"rows": rows, "columns": columns, "step": step}
    return _bytes(scores.relevancy), {
        **grid,
        "height": index.grid.height,
        "width": index.grid.width,
    }


@st.cache_data(max_entries=64, show_spinner="The teacher looks at the frame…")
def _truth(key: str, _view: RunView, query: Query, frame: int) -> Relevancies | None:
    run = searchable_run(_view)
    pixels: Pixels | None = stored_true_frame(_view, frame)
    if pixels is None:
        return None
    return _bytes(run.true_map_scores(encoded(run, query), frame, pixels).relevancy)
