"""Compare: metrics, curves and the same frame of several runs."""

from __future__ import annotations

import charts
import pandas as pd
import plotly.graph_objects as go
import streamlit as st
from inference import reconstruction
from literal import literal
from player import hover_card
from run_view import Pixels, RunView, read_view, stored_true_frame
from session import current_frame, persistent, run_by_name, run_paths
from shown_frames import shown_frames
from widgets import input_errors, picture_url

from nerv_clip.video.shots import Shots

Views = dict[str, RunView]


def selected_names() -> list[str]:
    """The names of the runs to compare."""
    names = list(run_paths())
    first = [name for name in (st.session_state.run, *names) if name in names]
    key = persistent("compared runs", list(dict.fromkeys(first))[:3])
    st.session_state[key] = [n for n in st.session_state[key] if n in names]  # runs may be deleted
    return st.multiselect("Runs", names, key=key)


def read_views(names: list[str]) -> Views:
    """The runs by name; one that cannot be read is left out, with a message."""
    views = {}
    for name in names:
        run = run_by_name(name)
        with input_errors():
            if run is not None:
                views[name] = read_view(run)
    return views


def key_differences(view: RunView) -> dict[str, str]:
    """A column of the table of differences."""
    from nerv_clip.models.encodings import input_widths

    config, metrics = view.config, view.metrics
    arch, sizes = config.architecture, config.parameters

    def train_and_val(field: str, form: str) -> str:
        values = [getattr(split, field) for split in (metrics.train, metrics.val)]
        return " / ".join("–" if value is None else form.format(value) for value in values)

    return {
        "input": " + ".join(f"{part}: {width}" for part, width in input_widths(arch.first).items()),
        "output": "RGB"
        + (" + CLIP" if arch.clip_dim else "")
        + (" + CLIP of cells" if arch.first.dense_dim else ""),
        "trained for": "reconstruction" + (" + semantics" if arch.clip_dim else ""),
        "needed at test time": "t and an embedding for each t" if arch.clip_input else "t",
        "parameters, decoder": f"{sizes.decoder:,}",
        "parameters, CLIP head": f"{sizes.clip_head:,}",
        "parameters, dense head": f"{sizes.dense_head:,}",
        "widths": arch.widths,
        "checkpoint size, bytes": f"{metrics.bytes:,}",
        "PSNR (dB), train / held out": train_and_val("psnr", "{:.2f}"),
        "MS-SSIM, train / held out": train_and_val("ms_ssim", "{:.4f}"),
        "CLIP similarity, train / held out": train_and_val("clip_similarity", "{:.4f}"),
        "CLIP similarity of cells, train / held out": train_and_val("dense_similarity", "{:.4f}"),
        "CLIP on the reconstructed frame": train_and_val("teacher_similarity", "{:.4f}"),
        "epochs, split, seed": f"{config.train.epochs}, {config.split.rule}, {config.train.seed}",
    }


def differences_table(views: Views) -> None:
    """The runs side by side, a column each."""
    table = pd.DataFrame({name: key_differences(view) for name, view in views.items()})
    st.subheader("Key differences")
    st.table(table.map(literal).rename(columns=literal), border="horizontal")
    st.download_button(
        "Table as CSV", table.to_csv(), "differences.csv", "text/csv",
        type="tertiary", icon=":material/download:", on_click="ignore",
    )  # fmt: skip


def metric_of_each_frame(views: Views, column: str, title: str, y: str, shown: range) -> go.Figure:
    """A metric over the frames, a line for each run that measured it."""
    curves = {name: view.per_frame[column] for name, view in views.items()}
    measured = {name: curve.to_numpy() for name, curve in curves.items() if curve.notna().any()}
    shots = Shots(shown.stop)
    if share_a_video(views):  # runs of an older version have no cuts
        shots = max((view.shots for view in views.values()), key=len)
    return charts.compared(measured, title, y, shots=shots, shown=shown)


def share_a_video(views: Views) -> bool:
    """Whether all runs were trained on the same video."""
    return len({view.config.video.hash for view in views.values()}) == 1


@st.fragment
@input_errors()
def same_frame(views: Views) -> None:
    """One frame as each run reconstructs it."""
    st.subheader("The same frame")
    if not share_a_video(views):
        st.info("These runs are of different videos. Select runs of one video to compare a frame.")
        return
    first = next(iter(views.values()))
    if first.frames > 1:
        key = "compared frame"
        st.session_state[key] = current_frame(first.frames)

        def select() -> None:
            st.session_state.frame = st.session_state[key]

        st.slider("Frame index", 0, first.frames - 1, key=key, on_change=select)
    frame = current_frame(first.frames)
    pictures: list[tuple[Pixels, str]] = []
    stored = (stored_true_frame(view, frame) for view in views.values())
    true = next((picture for picture in stored if picture is not None), None)
    if true is not None:
        pictures.append((true, "true"))
    for name, view in views.items():
        caption = f"{literal(name)}: {view.per_frame['psnr'][frame]:.2f} dB"
        pictures.append((reconstruction(view, frame), caption))
    columns = st.container(key="pairs compared").columns(len(pictures))
    for column, (picture, caption) in zip(columns, pictures, strict=True):
        column.image(picture_url(picture), caption=caption, width="stretch")


def main() -> None:
    """The page."""
    st.title("Compare")
    names = selected_names()
    views = read_views(names)
    if len(names) < 2:
        st.info("Select at least two runs.")
        return
    if not views:
        return
    differences_table(views)
    same_frame(views)

    def table() -> pd.DataFrame:
        return pd.concat([view.per_frame.assign(run=name) for name, view in views.items()])

    shown = shown_frames(max(view.frames for view in views.values()))
    figure = metric_of_each_frame(views, "psnr", "PSNR of each frame", "PSNR (dB)", shown)
    charts.show(figure, "compared_psnr", table)
    if any(view.has_clip_head for view in views.values()):
        title = "CLIP similarity of each frame"
        figure = metric_of_each_frame(views, "clip_similarity", title, "cosine similarity", shown)
        charts.show(figure, "compared_clip", table)
    if share_a_video(views):
        hover_card(next(iter(views.values())), true_only=True)  # a line can be of any run


main()
