"""Predicted and true embeddings on one map."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import charts
import numpy as np
import pandas as pd
import streamlit as st
from inference import drawn
from numpy.typing import NDArray
from player import peek
from run_view import View, embeddings, read_view, similarities, stamp, true_picture
from session import current, go_to, kept
from theme import SPLIT_NAMES, embeds, picture_url

from nerv_clip import Run
from nerv_clip.evaluation.projection import Method, Projection
from nerv_clip.runs.embedding_map import load_map

DEFAULT = Projection()


@st.cache_data(max_entries=16, show_spinner="fitting the map…")
def fitted(
    path: Path, stamps: tuple[tuple[str, int, int], ...], how: Projection
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Points of true and of predicted embeddings, fitted together with a fixed seed."""
    return load_map(Run(path), how)


def chosen_map(view: View) -> tuple[Projection, str, bool]:
    """The controls: method with its parameters, colour, and whether pairs are joined."""
    columns = st.columns([1, 1, 1, 1, 1])
    method = columns[0].selectbox("Map", get_args(Method), key=kept("map method", DEFAULT.method))
    most = max(2, min(100, 2 * view.frames - 1))
    neighbours = columns[1].slider(
        "Neighbours",
        2,
        most,
        disabled=method != "UMAP",
        help="UMAP's n_neighbors: few keep what is near, many the whole",
        key=kept(f"map neighbours {most}", min(DEFAULT.neighbours, most)),
    )
    spread = columns[2].slider(
        "Least distance",
        0.0,
        1.0,
        step=0.05,
        disabled=method != "UMAP",
        help="UMAP's min_dist: how tightly points may lie",
        key=kept("map spread", DEFAULT.spread),
    )
    colour = columns[3].selectbox(
        "Colour", ["time", "split", "similarity"], key=kept("map colour", "time")
    )
    joined = columns[4].toggle("Join pairs", key=kept("map joined", False))
    return Projection(method, neighbours, spread), colour, joined


def main(run: Run) -> None:
    """The page."""
    view = read_view(run)
    st.title("Embedding map")
    if not embeds(view):
        return
    for which in ("true", "predicted"):
        embeddings(view, which)  # or it says what is missing
    how, colour, joined = chosen_map(view)
    stamps = (stamp(view.run.true), stamp(view.run.predicted))
    true, predicted = fitted(run.path, stamps, how)
    shades = {
        "time": view.per_frame["t"].to_numpy(),
        "similarity": similarities(view)["prediction"].to_numpy(),
    }
    frame = current(view.frames)
    figure = charts.scatter_map(
        predicted,
        true,
        shades.get(colour),
        "t" if colour == "time" else "cosine",
        view.per_frame["split"].tolist(),
        joined=joined,
        current=frame,
    )
    left, right = st.columns([3, 1])
    numbers = pd.DataFrame(
        {
            "frame": np.arange(view.frames),
            **{f"true_{a}": true[:, i] for i, a in enumerate("xy")},
            **{f"predicted_{a}": predicted[:, i] for i, a in enumerate("xy")},
        }
    )
    with left:
        event = charts.show(
            figure, f"map {view.key}", numbers, on_select="rerun",
            selection_mode=("points", "lasso"), config=charts.LASSO,
        )  # fmt: skip
    picked = sorted({int(p["customdata"]) for p in event.selection.points if "customdata" in p})
    if len(picked) == 1 and picked[0] != frame:
        go_to(picked[0])
        st.rerun()
    with right:
        shown = true_picture(view, frame)
        if shown is not None:
            st.image(picture_url(shown), caption=f"frame {frame}, true", width="stretch")
        reconstruction = picture_url(drawn(view, frame))
        st.image(reconstruction, caption=f"frame {frame}, reconstruction", width="stretch")
        if len(picked) > 1:
            listed = view.per_frame.loc[picked, ["frame", "split", "psnr", "clip_similarity"]]
            listed = listed.replace({"split": SPLIT_NAMES}).round(3)
            listed.columns = pd.Index(["frame", "", "PSNR", "CLIP"])
            st.dataframe(listed, hide_index=True, height=220)
        else:
            st.caption(
                "Click a point to go to its frame; the lasso, in the chart's toolbar, lists frames."
            )
    peek(view)


main(st.session_state.path)
