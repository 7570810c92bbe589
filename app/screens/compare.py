"""Runs side by side: figures, curves, the same frame, and what sets them apart."""

from __future__ import annotations

from typing import Any

import charts
import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st
from inference import drawn
from numpy.typing import NDArray
from player import peek
from run_view import View, read_view, true_picture
from session import current, folders, kept, run_called, run_names
from theme import palette, picture_url, refusals

from nerv_clip.models.encodings import input_widths


def chosen() -> list[tuple[str, View]]:
    """The runs that are compared."""
    names = list(run_names(tuple(map(str, folders()))))
    first = [n for n in (st.session_state.run, *names) if n in names]
    key = kept("compared", list(dict.fromkeys(first))[:3])
    st.session_state[key] = [n for n in st.session_state[key] if n in names]  # some may be gone
    picked = st.multiselect("Runs", names, key=key)
    out = []
    for name in picked:
        run = run_called(name)
        with refusals():
            if run is not None:
                out.append((name, read_view(run)))
    return out


def aspects(view: View) -> dict[str, str]:
    """The rows of the table of key differences, measured."""
    arch, metrics, sizes = view.config["architecture"], view.metrics, view.config["parameters"]
    inputs = input_widths(view.run.read_architecture())

    def both(field: str, form: str) -> str:
        values = [metrics[part].get(field) for part in ("train", "val")]
        return " / ".join("–" if v is None else form.format(v) for v in values)

    return {
        "input": " + ".join(f"{part}: {width}" for part, width in inputs.items()),
        "output": "RGB" + (" + CLIP" if arch["clip_dim"] else ""),
        "trained by": "reconstruction" + (" + semantics" if arch["clip_dim"] else ""),
        "parameters, decoder": f"{sizes['decoder']:,}",
        "parameters, CLIP head": f"{sizes['clip_head']:,}",
        "widths": " ".join(map(str, arch["widths"])),
        "bytes": f"{metrics['bytes']:,}",
        "PSNR seen / held out, dB": both("psnr", "{:.2f}"),
        "MS-SSIM seen / held out": both("ms_ssim", "{:.4f}"),
        "CLIP similarity of the head": both("clip_similarity", "{:.4f}"),
        "teacher on the reconstruction": both("teacher_similarity", "{:.4f}"),
        "needed at test time": "an embedding for every t" if arch["clip_input"] else "t",
        "epochs, split, seed": f"{view.config['flags']['epochs']}, "
        f"{view.config['flags']['data_split']}, {view.config['seed']}",
    }


def lines(views: list[tuple[str, View]], field: str, title: str, y: str) -> go.Figure:
    """A figure of every frame, a line a run."""
    figure = go.Figure()
    series = palette().series
    shown = [index for index, (_, v) in enumerate(views) if v.per_frame[field].notna().any()]
    widths = (4.0, 2.5, 1.5)[-len(shown) :]  # so that one line does not hide another
    for place, index in enumerate(shown):
        name, view = views[index]
        figure.add_scatter(
            x=view.per_frame["frame"], y=view.per_frame[field], mode="lines", name=name,
            customdata=view.per_frame["frame"],
            line={"color": series[index % len(series)], "width": widths[min(place, 2)]},
        )  # fmt: skip
    return charts.dressed(figure, title, "frame index", y)


def of_one_video(views: list[tuple[str, View]]) -> bool:
    """Whether all runs have the same true frames."""
    return len({view.config["clip"]["hash"] for _, view in views}) == 1


@st.fragment
@refusals()
def same_frame(views: list[tuple[str, View]]) -> None:
    """One frame under every run of the same video."""
    st.subheader("The same frame")
    if not of_one_video(views):
        st.info("These runs are of different videos: pick runs of one to see a frame under each.")
        return
    frames = views[0][1].frames
    if frames > 1:
        key = "frame compared"
        st.session_state[key] = current(frames)

        def moved() -> None:
            st.session_state.frame = st.session_state[key]

        st.slider("Frame index", 0, frames - 1, key=key, on_change=moved)
    frame = current(frames)
    pictures: list[tuple[NDArray[np.uint8], str]] = []
    true = next((p for _, v in views if (p := true_picture(v, frame)) is not None), None)
    if true is not None:
        pictures.append((true, "true"))
    for name, view in views:
        pictures.append((drawn(view, frame), f"{name}: {view.per_frame['psnr'][frame]:.2f} dB"))
    columns = st.container(key="pairs compared").columns(len(pictures))
    for column, (picture, caption) in zip(columns, pictures, strict=True):
        column.image(picture_url(picture), caption=caption, width="stretch")


def main() -> None:
    """The page."""
    st.title("Compare")
    views = chosen()
    if len(views) < 2:
        st.info("Pick two runs or more.")
        return
    found: dict[str, Any] = {}
    for name, view in views:
        with refusals():
            found[name] = aspects(view)
    differences = pd.DataFrame(found)
    st.subheader("Key differences, measured")
    st.table(differences, border="horizontal")
    st.download_button(
        "Table as CSV", differences.to_csv(), "differences.csv", "text/csv",
        type="tertiary", icon=":material/download:", on_click="ignore",
    )  # fmt: skip
    same_frame(views)
    table = pd.concat([view.per_frame.assign(run=name) for name, view in views])
    charts.show(
        lines(views, "psnr", "PSNR, frame by frame", "dB"),
        "compared psnr",
        table,
    )
    if any(view.has_head for _, view in views):
        charts.show(
            lines(views, "clip_similarity", "CLIP similarity, frame by frame", "cosine"),
            "compared clip",
            table,
        )
    if of_one_video(views):
        peek(views[0][1], true_only=True)  # a point is of any run's line


main()
