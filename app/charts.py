"""Plotly figures from plain data, with titles, axis titles and units; and how pages show them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st
from literal import plotly
from numpy.typing import NDArray
from stored_verification import StoredInterval, StoredRow
from theme import SPLIT_NAMES, SPLIT_SHAPES, palette

Values = NDArray[np.floating]
REMOVED_BUTTONS = ["lasso2d", "select2d", "autoScale2d"]
SCALE = ((0.0, "#2F6BC1"), (0.5, "#1FA187"), (1.0, "#E08214"))  # visible on white and on black
TRAINING_CURVES = (
    ("psnr", "PSNR during training", "PSNR (dB)"),
    ("clip_similarity", "CLIP similarity during training", "cosine similarity"),
)  # columns of history.csv, without the split, with title and axis title


def set_layout(
    figure: go.Figure, title: str, x: str = "", y: str = "", height: int = 340
) -> go.Figure:
    """The layout of all figures; a title of 40 letters fits on a phone."""
    text, grid = {"color": palette().text}, palette().grid
    figure.update_layout(
        title={"text": title, "font": {"size": 15}},
        height=height,
        margin={"l": 8, "r": 8, "t": 48, "b": 72},
        legend={
            "orientation": "h", "yref": "container", "y": 0, "yanchor": "bottom", "x": 0,
            "xanchor": "left", "itemsizing": "constant", "font": text,
        },
        hovermode="closest",
        showlegend=True,
        uirevision=title,  # keeps the zoom when the data change
    )  # fmt: skip
    axis = {"automargin": True, "tickfont": text, "gridcolor": grid}
    figure.update_xaxes(title={"text": x, "font": text}, **axis)
    figure.update_yaxes(title={"text": y, "font": text}, **axis)
    return figure


def _toolbar(key: str, removed: Sequence[str]) -> dict[str, Any]:
    """Plotly's toolbar, with a button that saves the figure as PNG."""
    return {
        "displaylogo": False,
        "toImageButtonOptions": {"format": "png", "scale": 2, "filename": key.split(" ")[0]},
        "modeBarButtonsToRemove": list(removed),
    }


def _download(key: str, table: pd.DataFrame | None) -> None:
    if table is None:
        return
    name = key.split(" ")[0]
    st.download_button(
        "Data as CSV",
        table.to_csv(index=False),
        f"{name}.csv",
        "text/csv",
        key=f"csv {key}",
        type="tertiary",
        icon=":material/download:",
        on_click="ignore",
    )


def _colour_bar(title: str) -> dict[str, Any]:
    text = {"color": palette().text}
    return {"title": {"text": title, "font": text}, "tickfont": text, "thickness": 11}


def show(figure: go.Figure, key: str, table: pd.DataFrame | None = None) -> None:
    """Show a figure and, below it, its data as a CSV download; ``key`` begins with a file name."""
    title, config = figure.layout.title.text, _toolbar(key, REMOVED_BUTTONS)
    st.plotly_chart(figure, key=key, width="stretch", config=config, alt=title)
    _download(key, table)


def show_selectable(
    figure: go.Figure, key: str, table: pd.DataFrame | None = None, *, lasso: bool = False
) -> list[int]:
    """As `show`; the page reruns when points are selected. Returns their frame indices.

    A point's frame index is its ``customdata``. With ``lasso``, several points can be selected.
    """
    modes: list[Literal["points", "lasso"]] = ["points", "lasso"] if lasso else ["points"]
    event = st.plotly_chart(
        figure,
        key=key,
        width="stretch",
        config=_toolbar(key, ["autoScale2d"] if lasso else REMOVED_BUTTONS),
        alt=figure.layout.title.text,
        on_select="rerun",
        selection_mode=modes,
    )
    _download(key, table)
    points: list[Any] = event["selection"]["points"]
    return sorted({int(np.ravel(p["customdata"])[0]) for p in points if "customdata" in p})


def per_frame(
    values: Sequence[float] | Values,
    split: Sequence[str],
    title: str,
    y: str,
    *,
    current: int,
    baselines: Mapping[str, Values] | None = None,
    height: int = 340,
) -> go.Figure:
    """A metric of each frame, with its split as colour and shape, and baselines as lines.

    A vertical line marks the ``current`` frame.
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
    return set_layout(figure, title, "frame index", y, height)


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
    frames: Values, predicted: Mapping[str, Values], true: Mapping[str, Values]
) -> go.Figure:
    """Relevancy of queries over time: predicted at ``frames``, true at each frame index."""
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
    return set_layout(figure, "Relevancy over time", "frame index", "relevancy", 360)


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


def similarity_matrix(values: Values, title: str, rows: str, columns: str) -> go.Figure:
    """Cosine similarity of each pair of frames (T, T); at most about 200 x 200 are drawn."""
    figure = go.Figure()
    step = max(1, -(-len(values) // 200))
    index = np.arange(0, len(values), step)
    figure.add_heatmap(
        x=index, y=index, z=np.round(values[::step, ::step], 3), zmin=-0.2, zmax=1,
        colorscale="Cividis", colorbar={**_colour_bar("cosine"), "len": 0.75},
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
    between the two points of each frame.
    """
    figure = go.Figure()
    if connected:
        gaps = np.full(len(true), np.nan)
        both = np.stack([true, predicted, np.stack([gaps, gaps], 1)], 1).reshape(-1, 2)
        figure.add_scatter(
            x=both[:, 0], y=both[:, 1], mode="lines", name="same frame", hoverinfo="skip",
            line={"color": palette().grey, "width": 0.7}, opacity=0.6,
        )  # fmt: skip
    frames = np.arange(len(true))
    splits = np.asarray(split)
    for name, points in (("true", true), ("predicted", predicted)):
        is_open = name == "true"  # a ring around the predicted point: both remain visible
        marker: dict[str, Any] = {"size": 11 if is_open else 6, "line": {"width": 1.5 * is_open}}
        marker["symbol"] = [SPLIT_SHAPES[part] + ("-open" if is_open else "") for part in splits]
        if colour is None:
            marker["color"] = [palette().split[part] for part in splits]
        else:
            # without the quantile, a few outliers take most of the scale
            low, high = float(np.quantile(colour, 0.05)), float(np.max(colour))
            marker |= {"color": colour, "colorscale": SCALE, "cmin": low, "cmax": high}
            if name == "predicted":
                marker["colorbar"] = _colour_bar(colour_title)
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
        x=predicted[[current], 0], y=predicted[[current], 1], mode="markers",
        name="current frame", hoverinfo="skip",
        marker={
            "size": 18, "symbol": "circle-open", "color": palette().series[3], "line": {"width": 3},
        },
    )  # fmt: skip
    set_layout(figure, "Embeddings: predicted filled, true open", "", "", 600)
    figure.update_xaxes(showticklabels=False, zeroline=False, showgrid=False)
    figure.update_yaxes(showticklabels=False, zeroline=False, showgrid=False, scaleanchor="x")
    return figure.update_layout(margin={"b": 40})


def intervals(rows: Sequence[StoredRow], measure: str, title: str, x_title: str) -> go.Figure:
    """1 minus a similarity measure of the prediction and each baseline, with 95 % intervals.

    The axis is logarithmic, because the interesting values lie close together near 0.
    """
    figure = go.Figure()
    names = [row.name for row in reversed(rows)]
    for split, offset in (("train", 0.06), ("val", -0.2)):
        for place, row in enumerate(reversed(rows)):
            value = (row.figures.get(split) or {}).get(measure)
            if not isinstance(value, StoredInterval):
                continue
            if value.mean is None or value.low is None or value.high is None:
                continue
            figure.add_scatter(
                x=[1 - value.mean], y=[place + offset], mode="markers", name=SPLIT_NAMES[split],
                error_x={
                    "array": [value.mean - value.low],
                    "arrayminus": [value.high - value.mean],
                },
                marker={
                    "color": palette().split[split], "symbol": SPLIT_SHAPES[split], "size": 8,
                },
                legendgroup=split,
                showlegend=not any(t.legendgroup == split for t in figure.data),
                hovertemplate=f"{plotly(row.name)}, {SPLIT_NAMES[split]}<br>%{{x:.4f}}"
                "<extra></extra>",
            )  # fmt: skip
    set_layout(figure, title, x_title, "", 46 * len(names) + 130)
    for place, name in enumerate(names):  # above the points: a phone has no room beside them
        figure.add_annotation(
            x=0, xref="paper", xanchor="left", y=place + 0.36, text=plotly(name), showarrow=False,
            font={"size": 12, "color": palette().text},
        )  # fmt: skip
    ticks = [0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1]
    figure.update_xaxes(type="log", tickvals=ticks, showgrid=True)
    figure.update_yaxes(visible=False, range=[-0.5, len(names) - 0.3])
    return figure
