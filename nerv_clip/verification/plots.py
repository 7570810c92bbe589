"""The plots of the HTML report, with Plotly."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from nerv_clip.verification.baselines import NEAREST, PREDICTION, SPHERICAL
from nerv_clip.verification.names import SPLIT_TITLES
from nerv_clip.verification.verify import Verification

if TYPE_CHECKING:  # plotly is slow to import
    from plotly.graph_objects import Figure

Scalar = TypeVar("Scalar", bound=np.generic)
COLOURS = {"train": "#0072b2", "val": "#d55e00", "unused": "#7f7f7f"}  # Okabe and Ito's
SYMBOLS = {"train": "circle", "val": "diamond", "unused": "x"}
MATRIX_SIZE = 200  # larger matrices make a large file and show no more


def all_plots(verification: Verification) -> list[Figure]:
    """The plots, in the order of the report."""
    v = verification
    return [mean_plot(v), frame_plot(v), similarity_plot(v), shift_plot(v)]


def mean_plot(verification: Verification) -> Figure:
    """Mean centred cosine of the prediction and of each baseline, by split, with intervals."""
    from plotly.graph_objects import Figure

    figure = Figure()
    for split in [name for name in verification.splits if name != "all"]:
        rows = [(row.name, row.measures[split]) for row in reversed(verification.rows)]
        values = [(name, measures.centred) for name, measures in rows if measures is not None]
        figure.add_scatter(
            x=[value.mean for _, value in values],
            y=[name for name, _ in values],
            error_x={
                "array": [value.high - value.mean for _, value in values],
                "arrayminus": [value.mean - value.low for _, value in values],
            },
            mode="markers",
            name=SPLIT_TITLES[split],
            marker={"color": COLOURS[split], "symbol": SYMBOLS[split], "size": 9},
        )
    title = "Centred cosine with the true embeddings: mean and 95 % interval"
    return _with_layout(figure, title, "centred cosine", "", 540)


def frame_plot(verification: Verification) -> Figure:
    """Centred cosine of every frame: prediction, nearest train frame and interpolation."""
    from plotly.graph_objects import Figure

    table = verification.per_frame.iloc[verification.evidence.indices("all")]
    figure = Figure()
    for name, dash in ((SPHERICAL, "dash"), (NEAREST, "dot")):
        figure.add_scatter(
            x=table["frame"],
            y=table[f"centred cosine: {name}"],
            mode="lines",
            name=name,
            line={"color": "#999999", "dash": dash, "width": 1},
        )
    for split in sorted(set(table["split"])):
        rows = table[table["split"] == split]
        figure.add_scatter(
            x=rows["frame"],
            y=rows[f"centred cosine: {PREDICTION}"],
            mode="markers",
            name=f"prediction, {SPLIT_TITLES.get(split, f'{split} frames')}",
            marker={"color": COLOURS[split], "symbol": SYMBOLS[split], "size": 6},
        )
    title = "Centred cosine with the true embedding, frame by frame"
    if cuts := verification.evidence.shots.firsts[1:]:
        title += " (vertical lines: cuts)"
        path = "".join(f"M{cut - 0.5} 0V1" for cut in cuts)  # one shape: each costs time
        line = {"color": "#bbbbbb", "width": 1}
        figure.add_shape(type="path", path=path, yref="paper", layer="below", line=line)
    return _with_layout(figure, title, "frame index", "centred cosine", 440)


def similarity_plot(verification: Verification) -> Figure:
    """Cosine similarity of all pairs of frames: true, predicted, and between the two."""
    from plotly.subplots import make_subplots

    titles = ("true with true", "predicted with true", "predicted with predicted")
    figure = make_subplots(1, 3, subplot_titles=titles, horizontal_spacing=0.06)
    frames = _thin(np.array(verification.evidence.indices("all")))
    true, predicted = (
        values[frames] for values in (verification.evidence.true, verification.evidence.predicted)
    )
    pairs = ((true, true), (predicted, true), (predicted, predicted))
    for column, (a, b) in enumerate(pairs, start=1):
        cosines = np.round(a @ b.T, 3)
        figure.add_heatmap(x=frames, y=frames, z=cosines, coloraxis="coloraxis", row=1, col=column)
        figure.update_yaxes(autorange="reversed", row=1, col=column)
    figure.update_layout(coloraxis={"colorscale": "Cividis", "colorbar": {"title": "cosine"}})
    title = "Cosine similarity of all pairs of frames"
    return _with_layout(figure, title, "frame index", "", 440)


def _thin(values: NDArray[Scalar]) -> NDArray[Scalar]:
    """Evenly spaced rows, at most `MATRIX_SIZE`."""
    return values[:: max(1, math.ceil(len(values) / MATRIX_SIZE))]


def shift_plot(verification: Verification) -> Figure:
    """Mean cosine of the prediction at every circular shift in time."""
    from plotly.graph_objects import Figure

    shifts = verification.shifts
    figure = Figure()
    figure.add_scatter(
        y=shifts, mode="lines", name="shifted", line={"color": COLOURS["train"], "width": 1.5}
    )
    figure.add_hline(y=float(shifts[0]), line={"dash": "dot", "color": COLOURS["val"]})
    title = "Mean cosine with the prediction shifted in time (dotted: no shift)"
    return _with_layout(figure, title, "shift in frames", "mean cosine", 380)


def _with_layout(figure: Figure, title: str, x: str, y: str, height: int) -> Figure:
    figure.update_layout(
        title=title,
        template="plotly_white",
        height=height,
        margin={"l": 10, "r": 10, "t": 60, "b": 40},
        legend={"orientation": "h", "y": -0.2},
        font={"family": "system-ui, sans-serif"},
    )
    if x:
        figure.update_xaxes(title=x)
    if y:
        figure.update_yaxes(title=y)
    figure.update_yaxes(automargin=True)
    return figure
