"""How near each predicted embedding is to the true one, and to what trivial guesses give."""

from __future__ import annotations

import charts
import numpy as np
import pandas as pd
import streamlit as st
from reading import View, embeddings, pair, read_view, similarities
from state import go_to

from nerv_clip import Run


def frame_by_frame(view: View, table: pd.DataFrame) -> None:
    """The curve, raw or centred, with the guesses as lines; a click moves the shared time."""
    left, right = st.columns([3, 1])
    with right:
        kind = st.segmented_control(
            "Cosine", ["raw", "centred"], default="centred", key="semantics kind",
            help="Centred: the mean train embedding is taken from both, so that what all frames "
            "share earns nothing.",
        ) or "raw"  # fmt: skip
        with_psnr = st.toggle("PSNR below", key="semantics psnr")
        frame = min(st.session_state.frame, view.frames - 1)
        if view.run.comparison.exists():
            st.image(pair(view, frame)[0], caption=f"frame {frame}")
    tail = ", centred" if kind == "centred" else ""
    split = view.per_frame["split"].tolist()
    lines = {
        "interpolation of train neighbours": table[f"interpolation{tail}"].to_numpy(),
        "mean train embedding": table[f"mean{tail}"].to_numpy(),
    }
    figure = charts.over_time(
        table[f"prediction{tail}"].to_numpy(),
        split,
        f"Predicted embedding with the true one, {kind} cosine",
        "cosine",
        lines=lines,
        height=400,
    )
    numbers = table.assign(frame=np.arange(len(table)), split=split)
    with left:
        event = charts.show(
            figure, f"semantics {view.key} {kind}", numbers, on_select="rerun",
            selection_mode="points",
        )  # fmt: skip
        points = event.selection.points
        if points and int(points[0]["x"]) != frame:
            go_to(int(points[0]["x"]))
            st.rerun()
        if with_psnr:
            figure = charts.over_time(
                view.per_frame["psnr"].to_numpy(), split, "PSNR of the reconstruction", "dB"
            )
            charts.show(figure, f"psnr {view.key}", view.per_frame)


def main(run: Run) -> None:
    """The page."""
    view = read_view(run)
    st.title("Semantics")
    table = similarities(view)
    frame_by_frame(view, table)
    figure = charts.distribution(
        table["prediction"].to_numpy(),
        view.per_frame["split"].tolist(),
        "Cosine of predicted with true embedding: its distribution",
        "cosine",
    )
    charts.show(figure, f"distribution {view.key}", table)
    true, predicted = embeddings(view, "true"), embeddings(view, "predicted")
    pictures = {
        "true with true": true @ true.T,
        "predicted with true": predicted @ true.T,
        "predicted with predicted": predicted @ predicted.T,
    }
    charts.show(
        charts.matrices(pictures, "Similarity of frames with frames"), f"matrices {view.key}"
    )


main(st.session_state.path)
