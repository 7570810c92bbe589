"""Plotly figures from plain data. Each says in its title what is seen, with units on its axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st
from look import GREY, SERIES, SPLIT_COLOURS, SPLIT_NAMES, SPLIT_SHAPES
from numpy.typing import NDArray
from plotly.subplots import make_subplots

CONFIG = {
    "displaylogo": False,
    "toImageButtonOptions": {"format": "png", "scale": 2},
    "modeBarButtonsToRemove": ["lasso2d", "select2d", "autoScale2d"],
}
LASSO = {**CONFIG, "modeBarButtonsToRemove": ["autoScale2d"]}


def dressed(
    figure: go.Figure, title: str, x: str = "", y: str = "", height: int = 340
) -> go.Figure:
    """The manner of all figures."""
    figure.update_layout(
        title={"text": title, "font": {"size": 15}},
        height=height,
        margin={"l": 8, "r": 8, "t": 56, "b": 8},
        legend={"orientation": "h", "y": -0.2, "yanchor": "top", "x": 0},
        hovermode="closest",
    )
    figure.update_xaxes(title=x, automargin=True)
    figure.update_yaxes(title=y, automargin=True)
    return figure


def show(
    figure: go.Figure,
    key: str,
    table: pd.DataFrame | None = None,
    **options: Any,  # noqa: ANN401
) -> Any:  # noqa: ANN401 - Streamlit's selection
    """A figure with its PNG in the toolbar and, below, its numbers as CSV."""
    config = options.pop("config", CONFIG)
    event = st.plotly_chart(figure, key=key, width="stretch", config=config, **options)
    if table is not None:
        st.download_button(
            "Numbers as CSV",
            table.to_csv(index=False),
            f"{key.split(' ')[0]}.csv",
            "text/csv",
            key=f"csv {key}",
            type="tertiary",
            icon=":material/download:",
        )
    return event


def over_time(
    values: Sequence[float] | NDArray[np.floating],
    split: Sequence[str],
    title: str,
    y: str,
    *,
    lines: Mapping[str, NDArray[np.floating]] | None = None,
    height: int = 340,
) -> go.Figure:
    """A value of every frame, its split told by colour and shape, beside reference lines."""
    figure = go.Figure()
    frames = np.arange(len(values))
    values, parts = np.asarray(values, float), np.asarray(split)
    dashes = ("dash", "dot", "dashdot")
    for (name, line), dash in zip((lines or {}).items(), dashes, strict=False):
        figure.add_scatter(
            x=frames,
            y=line,
            mode="lines",
            name=name,
            line={"color": GREY, "dash": dash, "width": 1},
        )
    figure.add_scatter(
        x=frames, y=values, mode="lines", line={"color": GREY, "width": 1}, opacity=0.4,
        showlegend=False, hoverinfo="skip",
    )  # fmt: skip
    for part in ("train", "val", "unused"):
        chosen = parts == part
        if chosen.any():
            figure.add_scatter(
                x=frames[chosen],
                y=values[chosen],
                mode="markers",
                name=SPLIT_NAMES[part],
                marker={"color": SPLIT_COLOURS[part], "symbol": SPLIT_SHAPES[part], "size": 6},
                hovertemplate=f"frame %{{x}} ({SPLIT_NAMES[part]})<br>%{{y:.4f}}<extra></extra>",
            )
    return dressed(figure, title, "frame index", y, height)


def curves(
    x: NDArray[Any], lines: Mapping[str, NDArray[np.floating]], title: str, xs: str, y: str
) -> go.Figure:
    """Several curves over the same axis."""
    figure = go.Figure()
    for index, (name, line) in enumerate(lines.items()):
        colour = SERIES[index % len(SERIES)]
        figure.add_scatter(x=x, y=line, mode="lines", name=name, line={"color": colour, "width": 2})
    return dressed(figure, title, xs, y)


def training(history: pd.DataFrame) -> go.Figure:
    """PSNR and CLIP similarity at each evaluation, seen beside held out."""
    figure = make_subplots(1, 2, subplot_titles=("PSNR, dB", "CLIP similarity, cosine"))
    for column, name in ((1, "psnr"), (2, "clip_similarity")):
        for part in ("train", "val"):
            field = f"{name}_{part}"
            if field in history and history[field].notna().any():
                figure.add_scatter(
                    x=history["epoch"], y=history[field], row=1, col=column,
                    mode="lines+markers", name=SPLIT_NAMES[part], legendgroup=part,
                    showlegend=column == 1,
                    line={"color": SPLIT_COLOURS[part]},
                    marker={"symbol": SPLIT_SHAPES[part], "size": 8},
                )  # fmt: skip
    return dressed(figure, "At each evaluation in training", "epoch", "", 300)


def distribution(
    values: NDArray[np.floating], split: Sequence[str], title: str, x: str
) -> go.Figure:
    """Histograms of a value, seen beside held out."""
    figure = go.Figure()
    parts = np.asarray(split)
    ends = np.nanmin(values), np.nanmax(values)
    size = max((ends[1] - ends[0]) / 30, 1e-6)
    for part in ("train", "val"):
        chosen = values[parts == part]
        if len(chosen):
            figure.add_histogram(
                x=chosen, name=SPLIT_NAMES[part], opacity=0.65, histnorm="probability",
                xbins={"start": ends[0], "end": ends[1] + size, "size": size},
                marker={
                    "color": SPLIT_COLOURS[part],
                    "pattern": {"shape": "/" if part == "val" else ""},
                },
            )  # fmt: skip
    figure.update_layout(barmode="overlay")
    return dressed(figure, title, x, "share of frames", 300)


def matrices(pictures: Mapping[str, NDArray[np.floating]], title: str) -> go.Figure:
    """Similarity of frames with frames, side by side on one scale."""
    figure = make_subplots(1, len(pictures), subplot_titles=list(pictures), horizontal_spacing=0.06)
    for column, matrix in enumerate(pictures.values(), start=1):
        step = max(1, -(-len(matrix) // 200))
        index = np.arange(0, len(matrix), step)
        figure.add_heatmap(
            x=index, y=index, z=np.round(matrix[::step, ::step], 3), coloraxis="coloraxis",
            row=1, col=column,
            hovertemplate="frames %{x}, %{y}<br>cosine %{z:.3f}<extra></extra>",
        )  # fmt: skip
        figure.update_yaxes(autorange="reversed", row=1, col=column)
    figure.update_layout(coloraxis={"colorscale": "Cividis", "colorbar": {"title": "cosine"}})
    return dressed(figure, title, "frame index", "", 420)


def scatter_map(
    predicted: NDArray[np.floating],
    true: NDArray[np.floating],
    colour: NDArray[np.floating] | None,
    colour_name: str,
    split: Sequence[str],
    *,
    joined: bool,
    current: int,
) -> go.Figure:
    """Predicted (filled) and true (open) embeddings as points; the current frame is ringed."""
    figure = go.Figure()
    if joined:
        gaps = np.full(len(true), np.nan)
        both = np.stack([true, predicted, np.stack([gaps, gaps], 1)], 1).reshape(-1, 2)
        figure.add_scatter(
            x=both[:, 0], y=both[:, 1], mode="lines", name="same frame", hoverinfo="skip",
            line={"color": GREY, "width": 0.7}, opacity=0.6,
        )  # fmt: skip
    frames = np.arange(len(true))
    parts = np.asarray(split)
    for name, points in (("true", true), ("predicted", predicted)):
        marker: dict[str, Any] = {"size": 8 if name == "predicted" else 6}
        symbols = [SPLIT_SHAPES[part] + ("-open" if name == "true" else "") for part in parts]
        marker["symbol"] = symbols
        if colour is None:
            marker["color"] = [SPLIT_COLOURS[part] for part in parts]
        else:
            marker |= {"color": colour, "colorscale": "Viridis"}
            if name == "predicted":
                marker["colorbar"] = {"title": colour_name, "thickness": 12}
        figure.add_scatter(
            x=points[:, 0], y=points[:, 1], mode="markers", name=name, marker=marker,
            customdata=frames,
            hovertemplate=f"{name}, frame %{{customdata}}<extra></extra>",
        )  # fmt: skip
    figure.add_scatter(
        x=predicted[[current], 0], y=predicted[[current], 1], mode="markers",
        name="current frame", hoverinfo="skip",
        marker={"size": 18, "symbol": "circle-open", "color": SERIES[3], "line": {"width": 3}},
    )  # fmt: skip
    dressed(figure, "Each frame's embedding, predicted (filled) and true (open)", "", "", 560)
    figure.update_xaxes(showticklabels=False, zeroline=False)
    figure.update_yaxes(showticklabels=False, zeroline=False, scaleanchor="x")
    return figure


def intervals(rows: Sequence[Mapping[str, Any]], measure: str, title: str, x: str) -> go.Figure:
    """A measure of every guess with its interval, seen beside held out, best informed below."""
    figure = go.Figure()
    for part in ("train", "val"):
        kept = [
            (row["name"], row["figures"][part][measure])
            for row in reversed(rows)
            if row["figures"].get(part)
        ]
        kept = [(name, value) for name, value in kept if value["mean"] is not None]
        figure.add_scatter(
            x=[v["mean"] for _, v in kept],
            y=[name for name, _ in kept],
            error_x={
                "array": [v["high"] - v["mean"] for _, v in kept],
                "arrayminus": [v["mean"] - v["low"] for _, v in kept],
            },
            mode="markers",
            name=SPLIT_NAMES[part],
            marker={"color": SPLIT_COLOURS[part], "symbol": SPLIT_SHAPES[part], "size": 9},
        )
    return dressed(figure, title, x, "", 480)
