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

from charts.bins import Bins, in_bins, width_for
from charts.display import set_layout
from nerv_clip.video.shots import Shots

Values = NDArray[np.floating]
MOST_CUTS = 150
MOST_TIMES = 4200  # of a curve of relevancy, which has several a frame
TRAINING_CURVES = (
    ("psnr", "PSNR during training", "PSNR (dB)"),
    ("clip_similarity", "CLIP similarity during training", "cosine similarity"),
)  # columns of history.csv, without the split, with title and axis title


def mark_cuts(figure: go.Figure, shots: Shots, shown: range | None = None) -> go.Figure:
    """Mark the cuts on an axis of frame indices by vertical lines, and name them in the legend.

    More than `MOST_CUTS` are not marked: their lines would cover the curve.
    """
    shown = shown or range(shots.frames)
    cuts = [first for first in shots.firsts[1:] if first in shown]
    if 0 < len(cuts) <= MOST_CUTS:
        line = {"color": palette().grey, "width": 1, "dash": "2px,3px"}
        path = "".join(f"M{first - 0.5},0V1" for first in cuts)  # one shape is fast
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
    shown: range | None = None,
    height: int = 340,
) -> go.Figure:
    """A metric of each frame, in the colour and shape of its split, with dashed ``baselines``.

    Cuts are marked. Of more than `MOST_POINTS` frames in ``shown``, bins of equal width are drawn,
    with a mark for the mean of each split, over the range of all frames.
    """
    figure = go.Figure()
    values, splits = np.asarray(values, float), np.asarray(split)
    shown = shown or range(len(values))
    width, frames = width_for(len(shown)), np.arange(shown.start, shown.stop)
    frames = frames[~np.isnan(values[frames])]  # some are not measured
    styles = ((palette().series[2], "dash"), (palette().series[3], "dot"))
    for (name, line), (colour, dash) in zip((baselines or {}).items(), styles, strict=False):
        found = in_bins(line, shown, width)
        figure.add_scatter(
            x=frames if width == 1 else found.middle,
            y=line[frames] if width == 1 else found.mean,
            mode="lines", name=name, hoverinfo="skip",
            line={"color": colour, "dash": dash, "width": 1.5},
        )  # fmt: skip
    if width == 1:
        figure.add_scatter(
            x=frames, y=values[frames], mode="lines", opacity=0.4,
            line={"color": palette().grey, "width": 1}, showlegend=False, hoverinfo="skip",
        )  # fmt: skip
    else:
        add_range(figure, in_bins(values, shown, width), width)
    for name in SPLIT_NAMES:
        chosen = splits == name
        if chosen[shown.start : shown.stop].any():
            _add_marks(figure, in_bins(values, shown, width, chosen), name, width)
    figure.add_vline(x=current, line={"color": palette().text, "width": 1})
    set_layout(figure, title, "frame index", y, height)
    return mark_cuts(set_frames(figure, shown), shots, shown)


def _add_marks(figure: go.Figure, found: Bins, split: str, width: int) -> None:
    """A mark for each frame of a split, or for its mean in each bin."""
    name = SPLIT_NAMES[split]
    hover = f"frame %{{x}} ({name})<br>%{{y:.4f}}<extra></extra>"
    if width > 1:
        hover = (
            f"frames %{{customdata[1]}} to %{{customdata[2]}}<br>mean of %{{customdata[3]}} {name} "
            "frames: %{y:.4f}<br>%{customdata[4]:.4f} to %{customdata[5]:.4f}<extra></extra>"
        )
    columns = (found.typical, found.first, found.last, found.count, found.low, found.high)
    figure.add_scatter(
        x=found.middle if width > 1 else found.first,
        y=found.mean,
        mode="markers",
        name=name if width == 1 else f"{name}, mean",
        # rows as lists: a row of an array reaches the page as something else
        customdata=np.stack(columns, 1).tolist() if width > 1 else found.first,
        marker={
            "color": palette().split[split], "symbol": SPLIT_SHAPES[split],
            "size": 6 if width == 1 else 5,
        },
        hovertemplate=hover,
    )  # fmt: skip


def add_range(figure: go.Figure, found: Bins, width: int, colour: str = "") -> None:
    """The area between the lowest and the highest value of each bin of ``width``."""
    hue = colour or palette().grey
    for values, fill in ((found.low, None), (found.high, "tonexty")):
        figure.add_scatter(
            x=found.middle, y=values, mode="lines", line={"width": 0, "color": hue}, fill=fill,
            fillcolor=f"rgba({','.join(str(int(hue[i : i + 2], 16)) for i in (1, 3, 5))},0.25)",
            name=f"lowest to highest of {width:,} frames", showlegend=bool(fill) and not colour,
            hoverinfo="skip",
        )  # fmt: skip


def set_frames(figure: go.Figure, shown: range) -> go.Figure:
    """Let the axis of frame indices show a range, with a small margin."""
    margin = 0.01 * len(shown)
    figure.update_xaxes(range=[shown.start - margin, shown.stop - 1 + margin])
    return figure.update_layout(uirevision=f"{figure.layout.title.text} {shown}")


def lines(
    x: NDArray[Any], curves: Mapping[str, Values], title: str, x_title: str, y_title: str
) -> go.Figure:
    """Several curves over the same axis; more than `MOST_POINTS` points as bins."""
    figure = go.Figure()
    mode, width = "lines" if len(x) > 50 else "lines+markers", width_for(len(x))
    for index, (name, curve) in enumerate(curves.items()):
        colour = palette().series[index % len(palette().series)]
        line, place = {"color": colour, "width": 2}, x
        if width > 1:
            found = in_bins(curve, range(len(x)), width)
            add_range(figure, found, width, colour)
            place, curve = x[found.first], found.mean
        figure.add_scatter(x=place, y=curve, mode=mode, name=name, line=line)
    return set_layout(figure, title, x_title, y_title)


def compared(
    curves: Mapping[str, Values], title: str, y: str, *, shots: Shots, shown: range | None = None
) -> go.Figure:
    """A metric over the frames, a line for each run: the mean of each bin of a long video."""
    figure = go.Figure()
    series, widths = palette().series, (4.0, 2.5, 1.5)[-len(curves) :]
    shown = shown or range(max(map(len, curves.values())))
    for index, (name, curve) in enumerate(curves.items()):
        own = range(shown.start, min(shown.stop, len(curve)))
        width = width_for(len(own))
        found = in_bins(curve, own, width)
        colour, data, hover = series[index % len(series)], found.typical, "frame %{x}"
        if width > 1:
            add_range(figure, found, width, colour)
            data = np.stack([found.typical, found.first, found.last], 1).tolist()
            hover = "mean of the frames %{customdata[1]} to %{customdata[2]}"
        figure.add_scatter(
            x=found.middle, y=found.mean, mode="lines", name=plotly(name), customdata=data,
            # later lines do not hide earlier ones
            line={"color": colour, "width": widths[min(index, len(widths) - 1)]},
            hovertemplate=f"{plotly(name)}<br>{hover}<br>%{{y:.4f}}<extra></extra>",
        )  # fmt: skip
    set_layout(figure, title, "frame index", y)
    return mark_cuts(set_frames(figure, shown), shots, shown)


def relevancy(
    frames: Values,
    predicted: Mapping[str, Values],
    true: Mapping[str, Values],
    shots: Shots,
    shown: range | None = None,
) -> go.Figure:
    """Relevancy of queries over time: predicted at ``frames``, true at each frame index.

    Cuts are marked. Of more than `MOST_TIMES` times in ``shown``, the highest relevancy of each bin
    is drawn, so that no match is lost.
    """
    figure = go.Figure()
    shown = shown or range(round(float(frames[-1])) + 1)
    first, after = np.searchsorted(frames, [shown.start, shown.stop - 1 + 1e-9])
    points = range(int(first), max(int(after), int(first) + 1))
    width, of_true = width_for(len(points), MOST_TIMES), width_for(len(shown))
    hover = "frame %{x:.2f}"
    if width > 1:
        hover = "highest of the frames %{customdata[1]} to %{customdata[2]}"
    for index, (query, values) in enumerate(predicted.items()):
        name = plotly(query)
        colour = palette().series[index % len(palette().series)]
        found = in_bins(values, points, width)
        places = frames[found.highest]
        data = np.rint(places).astype(int)
        if width > 1:
            ends = np.ceil(frames[found.first]), np.floor(frames[found.last])
            data = np.stack([data, *ends], 1).tolist()
        figure.add_scatter(
            x=places, y=found.high, mode="lines", name=name, line={"color": colour, "width": 2},
            customdata=data, legendgroup=query,
            hovertemplate=f"{name}<br>{hover}<br>%{{y:.3f}}<extra></extra>",
        )  # fmt: skip
        if query in true:
            found = in_bins(true[query], shown, of_true)
            figure.add_scatter(
                x=found.highest, y=found.high, mode="lines", hoverinfo="skip",
                line={"color": colour, "width": 1, "dash": "dot"}, legendgroup=query,
                name="true embeddings", showlegend=index == len(predicted) - 1,
            )  # fmt: skip
    figure.update_yaxes(range=[0, 1])
    set_layout(figure, "Relevancy over time", "frame index", "relevancy", 360)
    return mark_cuts(set_frames(figure, shown), shots, shown)


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
    edges = np.linspace(first, max(last, first + 3e-5), 31)
    for name in ("train", "val"):
        chosen = values[(splits == name) & ~np.isnan(values)]
        if len(chosen):
            figure.add_bar(
                x=(edges[1:] + edges[:-1]) / 2, y=np.histogram(chosen, edges)[0] / len(chosen),
                width=edges[1] - edges[0], name=SPLIT_NAMES[name], opacity=0.65,
                hovertemplate="%{x:.4f}<br>%{y:.3f} of the frames<extra></extra>",
                marker={
                    "color": palette().split[name],
                    "pattern": {"shape": "/" if name == "val" else ""},
                },
            )  # fmt: skip
    figure.update_layout(barmode="overlay")
    return set_layout(figure, title, x_title, "share of frames", 300)
