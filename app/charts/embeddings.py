"""Figures of embeddings: the similarity of each pair of frames, and a map."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from theme import SPLIT_NAMES, SPLIT_SHAPES, palette

from charts.bins import MOST_POINTS
from charts.display import colour_bar, set_layout

Values = NDArray[np.floating]
SCALE = ((0.0, "#2F6BC1"), (0.5, "#1FA187"), (1.0, "#E08214"))  # visible on white and on black


def similarity_matrix(
    first: Values,
    second: Values,
    frames: NDArray[np.intp],
    title: str,
    rows: str,
    columns: str,
) -> go.Figure:
    """Cosine similarity of each pair of frames; at most about 200 x 200 are drawn.

    ``first`` and ``second`` are unit embeddings (N, dim) of the ``frames``.
    """
    figure = go.Figure()
    step = max(1, -(-len(first) // 200))
    index = frames[::step]
    figure.add_heatmap(
        x=index, y=index, z=np.round(first[::step] @ second[::step].T, 3), zmin=-0.2, zmax=1,
        colorscale="Cividis", colorbar={**colour_bar("cosine"), "len": 0.75},
        hovertemplate="frames %{y}, %{x}<br>cosine %{z:.3f}<extra></extra>",
    )  # fmt: skip
    set_layout(figure, title, f"frame index, {columns}", f"frame index, {rows}", 380)
    figure.update_xaxes(constrain="domain")
    figure.update_yaxes(autorange="reversed", scaleanchor="x", constrain="domain")
    return figure.update_layout(margin={"b": 24})


def embedding_map(
    predicted: Values,
    true: Values,
    colour: Values | None,
    colour_title: str,
    split: Sequence[str],
    *,
    connected: bool,
    current: int,
) -> go.Figure:
    """Predicted and true embeddings as points (T, 2), with the ``current`` frame marked.

    ``colour`` has a number for each frame; None colours by split. ``connected`` draws a line
    between the two points of each frame. Of more than `MOST_POINTS` frames, frames at even
    intervals are drawn.
    """
    figure = go.Figure()
    here = predicted[[current]]
    frames = np.arange(0, len(true), max(1, -(-len(true) // MOST_POINTS)))
    predicted, true = predicted[frames], true[frames]
    splits, colour = np.asarray(split)[frames], None if colour is None else colour[frames]
    if connected:
        gaps = np.full(len(true), np.nan)
        both = np.stack([true, predicted, np.stack([gaps, gaps], 1)], 1).reshape(-1, 2)
        figure.add_scatter(
            x=both[:, 0], y=both[:, 1], mode="lines", name="same frame", hoverinfo="skip",
            line={"color": palette().grey, "width": 0.7}, opacity=0.6,
        )  # fmt: skip
    for name, points in (("true", true), ("predicted", predicted)):
        is_open = name == "true"  # a ring around the predicted point: both remain visible
        marker: dict[str, Any] = {"size": 11 if is_open else 6, "line": {"width": 1.5 * is_open}}
        marker["symbol"] = [SPLIT_SHAPES[part] + ("-open" if is_open else "") for part in splits]
        if colour is None:
            marker["color"] = [palette().split[part] for part in splits]
        else:
            # without the quantile, a few outliers take most of the scale
            low, high = float(np.nanquantile(colour, 0.05)), float(np.nanmax(colour))
            marker |= {"color": colour, "colorscale": SCALE, "cmin": low, "cmax": high}
            if name == "predicted":
                marker["colorbar"] = colour_bar(colour_title)
        figure.add_scatter(
            x=points[:, 0], y=points[:, 1], mode="markers", name=name, marker=marker,
            customdata=frames,
            hovertemplate=f"{name}, frame %{{customdata}}<extra></extra>",
        )  # fmt: skip
    for part in dict.fromkeys(splits):
        hue = palette().split[part] if colour is None else palette().text
        figure.add_scatter(
            x=[None], y=[None], mode="markers", name=SPLIT_NAMES[part],
            marker={"symbol": SPLIT_SHAPES[part], "color": hue, "size": 8},
        )  # fmt: skip
    figure.add_scatter(
        x=here[:, 0], y=here[:, 1], mode="markers",
        name="current frame", hoverinfo="skip",
        marker={
            "size": 18, "symbol": "circle-open", "color": palette().series[3], "line": {"width": 3},
        },
    )  # fmt: skip
    set_layout(figure, "Embeddings: predicted filled, true open", "", "", 600)
    figure.update_xaxes(showticklabels=False, zeroline=False, showgrid=False)
    figure.update_yaxes(showticklabels=False, zeroline=False, showgrid=False, scaleanchor="x")
    return figure.update_layout(margin={"b": 40})
