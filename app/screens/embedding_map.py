"""Embedding map: predicted and true embeddings in two dimensions."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import charts
import numpy as np
import pandas as pd
import streamlit as st
from inference import reconstruction
from numpy.typing import NDArray
from player import hover_card
from run_view import RunView, Stamp, embeddings, read_view, similarities, stamp, stored_true_frame
from session import current_frame, go_to_selected, persistent
from theme import SPLIT_NAMES
from widgets import has_clip_head, picture_url

from nerv_clip import Run
from nerv_clip.evaluation.projection import Method, Projection
from nerv_clip.runs.embedding_map import load_map
from nerv_clip.similarity import present

DEFAULT = Projection()
LONG = 5000  # frames above which UMAP takes many minutes, so that PCA is the default


@st.cache_data(max_entries=16, show_spinner="Fitting the map…")
def points_of(
    path: Path, stamps: tuple[Stamp, ...], projection: Projection
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Points (T, 2) of true and predicted embeddings, fitted together with a fixed seed."""
    return load_map(Run(path), projection)


def settings(view: RunView, points: int) -> tuple[Projection, str, bool]:
    """The controls: projection of so many points, colour, and whether a frame's are connected."""
    columns = st.columns(5, vertical_alignment="center")
    methods = get_args(Method)
    long = view.frames > LONG
    key = persistent(f"map method{long * ' of a long video'}", "PCA" if long else DEFAULT.method)
    method = columns[0].selectbox("Method", methods, key=key)
    most = max(2, min(100, points - 1))
    neighbours = columns[1].slider(
        "Neighbours",
        2,
        most,
        disabled=method != "UMAP",
        help="UMAP n_neighbors: small values preserve local structure, large values global "
        "structure",
        key=persistent(f"map neighbours {most}", min(DEFAULT.neighbours, most)),
    )
    min_distance = columns[2].slider(
        "Minimum distance",
        0.0,
        1.0,
        step=0.05,
        disabled=method != "UMAP",
        help="UMAP min_dist: smaller values pack similar points more tightly",
        key=persistent("map minimum distance", DEFAULT.min_distance),
    )
    colour = columns[3].selectbox(
        "Colour", ["time", "split", "similarity"], key=persistent("map colour", "time")
    )
    connected = columns[4].toggle("Connect pairs", key=persistent("map connected", False))
    return Projection(method, neighbours, min_distance), colour, connected


def coordinates(true: NDArray[np.float64], predicted: NDArray[np.float64]) -> pd.DataFrame:
    """The points as a table, a row for each frame."""
    return pd.DataFrame(
        {
            "frame": np.arange(len(true)),
            **{f"true_{axis}": true[:, i] for i, axis in enumerate("xy")},
            **{f"predicted_{axis}": predicted[:, i] for i, axis in enumerate("xy")},
        }
    )


def pictures(view: RunView, frame: int, selected: list[int]) -> None:
    """The current frame and its reconstruction, and a table of the selected frames."""
    true = stored_true_frame(view, frame)
    if true is not None:
        st.image(picture_url(true), caption=f"frame {frame}, true", width="stretch")
    drawn = picture_url(reconstruction(view, frame))
    st.image(drawn, caption=f"frame {frame}, reconstruction", width="stretch")
    if len(selected) > 1:
        table = view.per_frame.loc[selected, ["frame", "split", "psnr", "clip_similarity"]]
        table = table.replace({"split": SPLIT_NAMES}).round(3)
        table.columns = pd.Index(["frame", "split", "PSNR", "CLIP"])
        st.dataframe(table, hide_index=True, height=220)
    else:
        st.caption(
            "Click a point to go to its frame. To list several frames, select them with the lasso "
            "in the chart's toolbar."
        )


def main(run: Run) -> None:
    """The page."""
    view = read_view(run)
    st.title("Embedding map")
    if not has_clip_head(view):
        return
    embedded = present(embeddings(view)[0])  # raises if the run has none
    projection, colour, connected = settings(view, view.frames + int(embedded.sum()))
    stamps = (stamp(view.run.true), stamp(view.run.predicted))
    true, predicted = points_of(run.path, stamps, projection)
    colours = {
        "time": view.per_frame["t"].to_numpy(),
        "similarity": similarities(view)["prediction"].to_numpy(),
    }
    frame = current_frame(view.frames)
    figure = charts.embedding_map(
        predicted,
        true,
        colours.get(colour),
        "t" if colour == "time" else "cosine",
        view.per_frame["split"].tolist(),
        connected=connected,
        current=frame,
    )
    left, right = st.columns([3, 1])
    with left:
        if view.frames > charts.MOST_POINTS:
            each = -(-view.frames // charts.MOST_POINTS)
            st.caption(f"One of {each} frames is drawn. The map is fitted to all of them.")
        table = coordinates(true, predicted)
        selected = charts.show_selectable(figure, f"map {view.key}", table, lasso=True)
    go_to_selected(selected)
    with right:
        pictures(view, frame, selected)
    hover_card(view)


main(st.session_state.selected_run)
