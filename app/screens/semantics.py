"""How near each predicted embedding is to the true one, and to what trivial guesses give."""

from __future__ import annotations

import charts
import numpy as np
import pandas as pd
import streamlit as st
from player import peek
from run_view import View, embeddings, read_view, similarities, true_picture
from session import current, go_to, kept
from theme import embeds, picture_url

from nerv_clip import Run


def frame_by_frame(view: View, table: pd.DataFrame, kind: str, with_psnr: bool) -> None:
    """The curve, raw or centred, with the guesses as lines; a click moves the shared time."""
    tail = ", centred" if kind == "centred" else ""
    split = view.per_frame["split"].tolist()
    now = current(view.frames)
    lines = {
        "interpolated neighbours": table[f"interpolation{tail}"].to_numpy(),
        "mean train embedding": table[f"mean{tail}"].to_numpy(),
    }
    figure = charts.over_time(
        table[f"prediction{tail}"].to_numpy(),
        split,
        f"Predicted with true: {kind} cosine",
        "cosine",
        current=now,
        lines=lines,
        height=420,
    )
    numbers = table.assign(frame=np.arange(len(table)), split=split)
    event = charts.show(
        figure, f"semantics {view.key} {kind}", numbers, on_select="rerun", selection_mode="points"
    )
    points = event.selection.points
    if points and int(points[0]["x"]) != st.session_state.frame:
        go_to(int(points[0]["x"]))
        st.rerun()
    if with_psnr:
        figure = charts.over_time(
            view.per_frame["psnr"].to_numpy(), split, "PSNR, frame by frame", "dB", current=now
        )
        charts.show(figure, f"psnr {view.key}", view.per_frame)


def now_shown(view: View, table: pd.DataFrame) -> None:
    """The frame at which the shared time stands, with its figures."""
    frame = current(view.frames)
    picture = true_picture(view, frame)
    if picture is not None:
        st.image(picture_url(picture), width="stretch")
    row = table.iloc[frame]
    st.caption(
        f"Frame {frame}: cosine {row['prediction']:.3f}, centred {row['prediction, centred']:.3f}; "
        f"interpolated neighbours {row['interpolation, centred']:.3f}, centred. "
        "Click a point to go to its frame."
    )


def matrices(view: View) -> None:
    """Frames with frames: the geometry that search and the map stand on."""
    true, predicted = embeddings(view, "true"), embeddings(view, "predicted")
    columns = st.columns(3)
    wanted = (
        ("True with true", true @ true.T, "true", "true"),
        ("Predicted with true", predicted @ true.T, "predicted", "true"),
        ("Predicted with predicted", predicted @ predicted.T, "predicted", "predicted"),
    )
    for column, (title, values, rows, across) in zip(columns, wanted, strict=True):
        with column:
            figure = charts.matrix(values, title, rows, across)
            name = title.lower().replace(" ", "_")
            charts.show(figure, f"{name} {view.key}", pd.DataFrame(np.round(values, 4)))


def main(run: Run) -> None:
    """The page."""
    view = read_view(run)
    st.title("Semantics")
    if not embeds(view):
        return
    table = similarities(view)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        kind = st.segmented_control(
            "Cosine", ["raw", "centred"], key=kept("semantics kind", "centred"),
            help="Centred: the mean train embedding is taken from both, so that what all frames "
            "share earns nothing.",
        ) or "raw"  # fmt: skip
        with_psnr = st.toggle("PSNR below", key=kept("semantics psnr", False))
    left, right = st.columns([3, 1])
    with left:
        frame_by_frame(view, table, kind, with_psnr)
    with right:
        now_shown(view, table)
    tail = ", centred" if kind == "centred" else ""
    figure = charts.distribution(
        table[f"prediction{tail}"].to_numpy(),
        view.per_frame["split"].tolist(),
        f"Distribution of the {kind} cosine",
        "cosine",
    )
    charts.show(figure, f"distribution {view.key}", table)
    st.subheader("Similarity of frames with frames")
    matrices(view)
    peek(view)


main(st.session_state.path)
