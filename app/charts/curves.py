"""Figures over the frames, over training, and of distributions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from literal import plotly
from numpy.typing import NDArray
from theme import SPLIT_NAMES, SPLIT_SHAPES, palette

from charts.display import set_layout
from nerv_clip.video.shots import Shots

Values = NDArray[np.floating]
TRAINING_CURVES = (
    ("psnr", "PSNR during training", "PSNR (dB)"),
    ("clip_similarity", "CLIP similarity during training", "cosine similarity"),
)  # columns of history.csv, without the split, with title and axis title


def mark_cuts(figure: go.Figure, shots: Shots) -> go.Figure:
    """Mark the cuts on an axis of frame indices by vertical lines, and name them in the legend."""
    if len(shots) > 1:
        line = {"color": palette().grey, "width": 1, "dash": "2px,3px"}
        path = "".join(f"M{first - 0.5},0V1" for first in shots.firsts[1:])  # one shape is fast
        figure.add_shape(type="path", path=path, yref="paper", layer="below", line=line)
        figure.add_scatter(x=[None], y=[None], mode="lines", name="cut", line=line)
    return figure


def per_frame(
    values: Sequence[float] | Values,
    split: Sequence[str],
    title: str,
    y: str,
    *,
    shots: Shots,
    current: int,
    baselines: Mapping[str, Values] | None = None,
    height: int = 340,
) -> go.Figure:
    """A metric of each frame, with its split as colour and shape, and baselines as lines.

    A vertical line marks the ``current`` frame; cuts are marked too.
    """
    figure = go.Figure()
    frames = np.arange(len(values))
    values, splits = np.asarray(values, float), np.asarray(split)
    styles = ((palette().series[2], "dash"), (palette().series[3], "dot"))
    for (name, line), (colour, dash) in zip((baselines or {}).items(), styles, strict=False):
        figure.add_scatter(
            x=frames, y=line, mode="lines", name=name, hoverinfo="skip",
            line={"color": colour, "dash": dash, "width": 1.5},
        )  # fmt: skip
    figure.add_scatter(
        x=frames, y=values, mode="lines", line={"color": palette().grey, "width": 1}, opacity=0.4,
        showlegend=False, hoverinfo="skip",
    )  # fmt: skip
    for name in SPLIT_NAMES:
        chosen = splits == name
        if chosen.any():
            figure.add_scatter(
                x=frames[chosen],
                y=values[chosen],
                mode="markers",
                name=SPLIT_NAMES[name],
                customdata=frames[chosen],
                marker={"color": palette().split[name], "symbol": SPLIT_SHAPES[name], "size": 6},
                hovertemplate=f"frame %{{x}} ({SPLIT_NAMES[name]})<br>%{{y:.4f}}<extra></extra>",
            )
    figure.add_vline(x=current, line={"color": palette().text, "width": 1})
    figure.update_xaxes(range=_frame_range(len(values)))
    return mark_cuts(set_layout(figure, title, "frame index", y, height), shots)


def _frame_range(frames: int) -> list[float]:
    """The range of an axis of all frame indices, with a small margin."""
    return [-0.01 * frames, 1.01 * frames - 1]


def lines(
    x: NDArray[Any], curves: Mapping[str, Values], title: str, x_title: str, y_title: str
) -> go.Figure:
    """Several curves over the same axis."""
    figure = go.Figure()
    mode = "lines" if len(x) > 50 else "lines+markers"
    for index, (name, curve) in enumerate(curves.items()):
        colour = palette().series[index % len(palette().series)]
        figure.add_scatter(x=x, y=curve, mode=mode, name=name, line={"color": colour, "width": 2})
    return set_layout(figure, title, x_title, y_title)


def relevancy(
    frames: Values, predicted: Mapping[str, Values], true: Mapping[str, Values], shots: Shots
) -> go.Figure:
    """Relevancy of queries over time: predicted at ``frames``, true at each frame index.

    Cuts are marked.
    """
    figure = go.Figure()
    nearest = np.rint(frames).astype(int)
    for index, (query, values) in enumerate(predicted.items()):
        name = plotly(query)
        colour = palette().series[index % len(palette().series)]
        figure.add_scatter(
            x=frames, y=values, mode="lines", name=name, line={"color": colour, "width": 2},
            customdata=nearest, legendgroup=query,
            hovertemplate=f"{name}<br>frame %{{x:.2f}}<br>%{{y:.3f}}<extra></extra>",
        )  # fmt: skip
        if query in true:
            figure.add_scatter(
                x=np.arange(len(true[query])), y=true[query], mode="lines", hoverinfo="skip",
                line={"color": colour, "width": 1, "dash": "dot"}, legendgroup=query,
                name="true embeddings", showlegend=index == len(predicted) - 1,
            )  # fmt: skip
    figure.update_yaxes(range=[0, 1])
    figure.update_xaxes(range=_frame_range(int(nearest[-1]) + 1))
    set_layout(figure, "Relevancy over time", "frame index", "relevancy", 360)
    return mark_cuts(figure, shots)


def training_curve(
    history: pd.DataFrame, column: str, title: str, y_title: str
) -> go.Figure | None:
    """A metric at each evaluation, train and held out; None if it was not measured."""
    figure = go.Figure()
    for split in ("train", "val"):
        values = history.get(f"{column}_{split}")
        if values is not None and values.notna().any():
            figure.add_scatter(
                x=history["epoch"], y=values, mode="lines+markers", name=SPLIT_NAMES[split],
                line={"color": palette().split[split]},
                marker={"symbol": SPLIT_SHAPES[split], "size": 8},
            )  # fmt: skip
    return set_layout(figure, title, "epoch", y_title, 300) if figure.data else None


def histogram(values: Values, split: Sequence[str], title: str, x_title: str) -> go.Figure:
    """Distributions of a metric over the train and the held-out frames."""
    figure = go.Figure()
    splits = np.asarray(split)
    first, last = float(np.nanmin(values)), float(np.nanmax(values))
    size = max((last - first) / 30, 1e-6)
    for name in ("train", "val"):
        chosen = values[splits == name]
        if len(chosen):
            figure.add_histogram(
                x=chosen, name=SPLIT_NAMES[name], opacity=0.65, histnorm="probability",
                xbins={"start": first, "end": last + size, "size": size},
                marker={
                    "color": palette().split[name],
                    "pattern": {"shape": "/" if name == "val" else ""},
                },
            )  # fmt: skip
    figure.update_layout(barmode="overlay")
    return set_layout(figure, title, x_title, "share of frames", 300)
