"""Plotly figures from plain data. Each says in its title what is seen, with units on its axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st
from numpy.typing import NDArray
from theme import SPLIT_NAMES, SPLIT_SHAPES, palette

CONFIG = {
    "displaylogo": False,
    "toImageButtonOptions": {"format": "png", "scale": 2},
    "modeBarButtonsToRemove": ["lasso2d", "select2d", "autoScale2d"],
}
LASSO = {**CONFIG, "modeBarButtonsToRemove": ["autoScale2d"]}

SCALE = ((0.0, "#2F6BC1"), (0.5, "#1FA187"), (1.0, "#E08214"))  # seen on white and on black
TRAINING = (
    ("psnr", "PSNR in training", "dB"),
    ("clip_similarity", "CLIP similarity in training", "cosine"),
)  # fields of history.csv with title and unit


def dressed(
    figure: go.Figure, title: str, x: str = "", y: str = "", height: int = 340
) -> go.Figure:
    """The manner of all figures; a title of 40 letters fits on a phone."""
    figure.update_layout(
        title={"text": title, "font": {"size": 15}},
        height=height,
        margin={"l": 8, "r": 8, "t": 48, "b": 72},
        legend={
            "orientation": "h", "yref": "container", "y": 0, "yanchor": "bottom", "x": 0,
            "xanchor": "left", "itemsizing": "constant",
        },
        hovermode="closest",
        showlegend=True,
        uirevision=title,  # a zoom outlives new data
    )  # fmt: skip
    words, grid = {"color": palette().text}, palette().grid
    figure.update_layout(legend={"font": words})
    manner = {"automargin": True, "tickfont": words, "gridcolor": grid}
    figure.update_xaxes(title={"text": x, "font": words}, **manner)
    figure.update_yaxes(title={"text": y, "font": words}, **manner)
    return figure


def show(
    figure: go.Figure,
    key: str,
    table: pd.DataFrame | None = None,
    **options: Any,  # noqa: ANN401
) -> Any:  # noqa: ANN401 - Streamlit's selection
    """A figure with its PNG in the toolbar and, below, its numbers as CSV."""
    config = options.pop("config", CONFIG)
    image = {**config["toImageButtonOptions"], "filename": key.split(" ")[0]}
    config = {**config, "toImageButtonOptions": image}
    title = figure.layout.title.text
    event = st.plotly_chart(figure, key=key, width="stretch", config=config, alt=title, **options)
    if table is not None:
        st.download_button(
            "Numbers as CSV",
            table.to_csv(index=False),
            f"{key.split(' ')[0]}.csv",
            "text/csv",
            key=f"csv {key}",
            type="tertiary",
            icon=":material/download:",
            on_click="ignore",
        )
    return event


def over_time(
    values: Sequence[float] | NDArray[np.floating],
    split: Sequence[str],
    title: str,
    y: str,
    *,
    current: int,
    lines: Mapping[str, NDArray[np.floating]] | None = None,
    height: int = 340,
) -> go.Figure:
    """A value of every frame, its split told by colour and shape, beside reference lines.

    An upright line marks the ``current`` frame.
    """
    figure = go.Figure()
    frames = np.arange(len(values))
    values, parts = np.asarray(values, float), np.asarray(split)
    manners = ((palette().series[2], "dash"), (palette().series[3], "dot"))
    for (name, line), (colour, dash) in zip((lines or {}).items(), manners, strict=False):
        figure.add_scatter(
            x=frames, y=line, mode="lines", name=name, hoverinfo="skip",
            line={"color": colour, "dash": dash, "width": 1.5},
        )  # fmt: skip
    figure.add_scatter(
        x=frames, y=values, mode="lines", line={"color": palette().grey, "width": 1}, opacity=0.4,
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
                customdata=frames[chosen],
                marker={"color": palette().split[part], "symbol": SPLIT_SHAPES[part], "size": 6},
                hovertemplate=f"frame %{{x}} ({SPLIT_NAMES[part]})<br>%{{y:.4f}}<extra></extra>",
            )
    figure.add_vline(x=current, line={"color": palette().text, "width": 1})
    figure.update_xaxes(range=_around(len(values)))
    return dressed(figure, title, "frame index", y, height)


def _around(frames: int) -> list[float]:
    """An axis that holds all frame indices, and little more."""
    return [-0.01 * frames, 1.01 * frames - 1]


def curves(
    x: NDArray[Any], lines: Mapping[str, NDArray[np.floating]], title: str, xs: str, y: str
) -> go.Figure:
    """Several curves over the same axis."""
    figure = go.Figure()
    mode = "lines" if len(x) > 50 else "lines+markers"
    for index, (name, line) in enumerate(lines.items()):
        colour = palette().series[index % len(palette().series)]
        figure.add_scatter(x=x, y=line, mode=mode, name=name, line={"color": colour, "width": 2})
    return dressed(figure, title, xs, y)


def relevancy(
    frames: NDArray[np.floating],
    predicted: Mapping[str, NDArray[np.floating]],
    true: Mapping[str, NDArray[np.floating]],
) -> go.Figure:
    """Queries over time: by the predicted embeddings at ``frames``, by the true at each frame."""
    figure = go.Figure()
    nearest = np.rint(frames).astype(int)
    for index, (query, values) in enumerate(predicted.items()):
        colour = palette().series[index % len(palette().series)]
        figure.add_scatter(
            x=frames, y=values, mode="lines", name=query, line={"color": colour, "width": 2},
            customdata=nearest, legendgroup=query,
            hovertemplate=f"{query}<br>frame %{{x:.2f}}<br>%{{y:.3f}}<extra></extra>",
        )  # fmt: skip
        if query in true:
            figure.add_scatter(
                x=np.arange(len(true[query])), y=true[query], mode="lines", hoverinfo="skip",
                line={"color": colour, "width": 1, "dash": "dot"}, legendgroup=query,
                name="by the true embeddings", showlegend=index == len(predicted) - 1,
            )  # fmt: skip
    figure.update_yaxes(range=[0, 1])
    figure.update_xaxes(range=_around(int(nearest[-1]) + 1))
    return dressed(figure, "Relevancy over time", "frame index", "relevancy", 360)


def training(history: pd.DataFrame, field: str, title: str, y: str) -> go.Figure | None:
    """A figure at each evaluation, seen beside held out; None where it was not measured."""
    figure = go.Figure()
    for part in ("train", "val"):
        values = history.get(f"{field}_{part}")
        if values is not None and values.notna().any():
            figure.add_scatter(
                x=history["epoch"], y=values, mode="lines+markers", name=SPLIT_NAMES[part],
                line={"color": palette().split[part]},
                marker={"symbol": SPLIT_SHAPES[part], "size": 8},
            )  # fmt: skip
    return dressed(figure, title, "epoch", y, 300) if figure.data else None


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
                    "color": palette().split[part],
                    "pattern": {"shape": "/" if part == "val" else ""},
                },
            )  # fmt: skip
    figure.update_layout(barmode="overlay")
    return dressed(figure, title, x, "share of frames", 300)


def matrix(values: NDArray[np.floating], title: str, rows: str, columns: str) -> go.Figure:
    """Similarity of frames with frames; every other one where there are very many."""
    figure = go.Figure()
    step = max(1, -(-len(values) // 200))
    index = np.arange(0, len(values), step)
    figure.add_heatmap(
        x=index, y=index, z=np.round(values[::step, ::step], 3), zmin=-0.2, zmax=1,
        colorscale="Cividis", colorbar={"title": "cosine", "thickness": 10},
        hovertemplate="frames %{y}, %{x}<br>cosine %{z:.3f}<extra></extra>",
    )  # fmt: skip
    dressed(figure, title, f"frame index, {columns}", f"frame index, {rows}", 380)
    figure.update_xaxes(constrain="domain")
    figure.update_yaxes(autorange="reversed", scaleanchor="x", constrain="domain")
    return figure.update_layout(margin={"b": 24})


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
            line={"color": palette().grey, "width": 0.7}, opacity=0.6,
        )  # fmt: skip
    frames = np.arange(len(true))
    parts = np.asarray(split)
    for name, points in (("true", true), ("predicted", predicted)):
        open_ = name == "true"  # a ring around the prediction, so that both are seen
        marker: dict[str, Any] = {"size": 11 if open_ else 6, "line": {"width": 1.5 * open_}}
        marker["symbol"] = [SPLIT_SHAPES[part] + ("-open" if open_ else "") for part in parts]
        if colour is None:
            marker["color"] = [palette().split[part] for part in parts]
        else:
            # a few outliers would take most of the scale
            low, high = float(np.quantile(colour, 0.05)), float(np.max(colour))
            marker |= {"color": colour, "colorscale": SCALE, "cmin": low, "cmax": high}
            if name == "predicted":
                marker["colorbar"] = {"title": colour_name, "thickness": 12}
        figure.add_scatter(
            x=points[:, 0], y=points[:, 1], mode="markers", name=name, marker=marker,
            customdata=frames,
            hovertemplate=f"{name}, frame %{{customdata}}<extra></extra>",
        )  # fmt: skip
    for part in dict.fromkeys(parts):
        hue = palette().split[part] if colour is None else palette().text
        figure.add_scatter(
            x=[None], y=[None], mode="markers", name=SPLIT_NAMES[part],
            marker={"symbol": SPLIT_SHAPES[part], "color": hue, "size": 8},
        )  # fmt: skip
    figure.add_scatter(
        x=predicted[[current], 0], y=predicted[[current], 1], mode="markers",
        name="current frame", hoverinfo="skip",
        marker={
            "size": 18, "symbol": "circle-open", "color": palette().series[3], "line": {"width": 3},
        },
    )  # fmt: skip
    dressed(figure, "Embeddings: predicted filled, true open", "", "", 600)
    figure.update_xaxes(showticklabels=False, zeroline=False, showgrid=False)
    figure.update_yaxes(showticklabels=False, zeroline=False, showgrid=False, scaleanchor="x")
    return figure.update_layout(margin={"b": 40})


def intervals(rows: Sequence[Mapping[str, Any]], measure: str, title: str, x: str) -> go.Figure:
    """How far every guess is from the truth, 1 minus a cosine, with its interval.

    On a logarithmic axis, since what matters lies close together near 0.
    """
    figure = go.Figure()
    names = [row["name"] for row in reversed(rows)]
    for part, lift in (("train", 0.06), ("val", -0.2)):
        for place, row in enumerate(reversed(rows)):
            value = (row["figures"].get(part) or {}).get(measure)
            if value is None or value["mean"] is None:
                continue
            figure.add_scatter(
                x=[1 - value["mean"]], y=[place + lift], mode="markers", name=SPLIT_NAMES[part],
                error_x={
                    "array": [value["mean"] - value["low"]],
                    "arrayminus": [value["high"] - value["mean"]],
                },
                marker={
                    "color": palette().split[part], "symbol": SPLIT_SHAPES[part], "size": 8,
                },
                legendgroup=part, showlegend=not any(t.legendgroup == part for t in figure.data),
                hovertemplate=f"{row['name']}, {SPLIT_NAMES[part]}<br>%{{x:.4f}}<extra></extra>",
            )  # fmt: skip
    dressed(figure, title, x, "", 46 * len(names) + 130)
    for place, name in enumerate(names):  # above its points: a phone has no room beside them
        figure.add_annotation(
            x=0, xref="paper", xanchor="left", y=place + 0.36, text=name, showarrow=False,
            font={"size": 12, "color": palette().text},
        )  # fmt: skip
    ticks = [0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1]
    figure.update_xaxes(type="log", tickvals=ticks, showgrid=True)
    figure.update_yaxes(visible=False, range=[-0.5, len(names) - 0.3])
    return figure
