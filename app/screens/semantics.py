"""Semantics: similarity of predicted and true embeddings, beside baselines."""

from __future__ import annotations

from functools import partial

import charts
import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray
from player import hover_card
from run_view import RunView, embeddings, read_view, similarities, stored_true_frame
from session import current_frame, go_to_selected, persistent
from shown_frames import shown_frames
from widgets import has_clip_head, picture_url

from nerv_clip import Run
from nerv_clip.similarity import Array, present

MOST_ROWS = 1000  # of a matrix as CSV


def each_frame(view: RunView, table: pd.DataFrame, kind: str, with_psnr: bool) -> None:
    """Raw or centred cosine of each frame, with baselines; a click goes to a frame."""
    suffix = ", centred" if kind == "centred" else ""
    split = view.per_frame["split"].tolist()
    current, shown = current_frame(view.frames), shown_frames(view.frames)
    figure = charts.per_frame(
        table[f"prediction{suffix}"].to_numpy(),
        split,
        f"Predicted vs. true: {kind} cosine",
        f"{kind} cosine",
        shots=view.shots,
        current=current,
        baselines={
            "spherical interpolation": table[f"interpolation{suffix}"].to_numpy(),
            "mean train embedding": table[f"mean{suffix}"].to_numpy(),
        },
        shown=shown,
        height=420,
    )
    numbers = table.assign(frame=np.arange(len(table)), split=split)
    go_to_selected(charts.show_selectable(figure, f"semantics {view.key} {kind}", numbers))
    if with_psnr:
        psnr = view.per_frame["psnr"].to_numpy()
        figure = charts.per_frame(
            psnr, split, "PSNR of each frame", "PSNR (dB)",
            shots=view.shots, current=current, shown=shown,
        )  # fmt: skip
        charts.show(figure, f"psnr {view.key}", view.per_frame)


def selected_frame(view: RunView, table: pd.DataFrame) -> None:
    """The current frame with its similarities."""
    frame = current_frame(view.frames)
    picture = stored_true_frame(view, frame)
    if picture is not None:
        st.image(picture_url(picture), width="stretch")
    row = table.iloc[frame]
    if np.isnan(row["prediction"]):
        st.caption(f"Frame {frame}: not compared, the teacher did not embed it.")
        return
    beside = f"interpolation: {row['interpolation, centred']:.3f}"
    if np.isnan(row["interpolation"]):
        beside = "no interpolation: the only train frame of its shot"
    st.caption(
        f"Frame {frame}: cosine {row['prediction']:.3f}, centred cosine "
        f"{row['prediction, centred']:.3f} ({beside}). Click a point to go to its frame."
    )


def matrices(view: RunView) -> None:
    """Cosine similarity of each pair of frames that have a true embedding."""
    true, predicted = embeddings(view)
    frames = np.flatnonzero(present(true))
    true, predicted = true[frames], predicted[frames]
    columns = st.columns(3)
    wanted = (
        ("True vs. true", true, true, "true", "true"),
        ("Predicted vs. true", predicted, true, "predicted", "true"),
        ("Predicted vs. predicted", predicted, predicted, "predicted", "predicted"),
    )
    for column, (title, first, second, rows, across) in zip(columns, wanted, strict=True):
        with column:
            figure = charts.similarity_matrix(first, second, frames, title, rows, across)
            name = f"{rows}_with_{across}"
            charts.show(figure, f"{name} {view.key}", partial(matrix_table, first, second, frames))


def matrix_table(first: Array, second: Array, frames: NDArray[np.intp]) -> pd.DataFrame:
    """Cosine similarity of each pair of ``frames``, at even intervals where there are many."""
    step = -(-len(first) // MOST_ROWS)
    table = pd.DataFrame(np.round(first[::step] @ second[::step].T, 4))
    names = frames[::step]
    return table.set_axis(names, axis=0).set_axis(names, axis=1)


def main(run: Run) -> None:
    """The page."""
    view = read_view(run)
    st.title("Semantics")
    if not has_clip_head(view):
        return
    table = similarities(view)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        kind = st.segmented_control(
            "Cosine", ["raw", "centred"], key=persistent("semantics kind", "centred"),
            help="Centred: the mean train embedding is subtracted from both embeddings, so that "
            "similarity shared by all frames does not count.",
        ) or "raw"  # fmt: skip
        with_psnr = st.toggle("Show PSNR", key=persistent("semantics psnr", False))
    left, right = st.columns([3, 1])
    with left:
        each_frame(view, table, kind, with_psnr)
    with right:
        selected_frame(view, table)
    suffix = ", centred" if kind == "centred" else ""
    figure = charts.histogram(
        table[f"prediction{suffix}"].to_numpy(),
        view.per_frame["split"].tolist(),
        f"Distribution of the {kind} cosine",
        f"{kind} cosine",
    )
    charts.show(figure, f"distribution {view.key}", table)
    st.subheader("Similarity between frames")
    matrices(view)
    hover_card(view)


main(st.session_state.selected_run)
