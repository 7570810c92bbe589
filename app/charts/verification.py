"""The figure of a verification: each method with its interval."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go
from literal import plotly
from stored_verification import StoredInterval, StoredRow
from theme import SPLIT_NAMES, SPLIT_SHAPES, palette

from charts.display import set_layout


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
