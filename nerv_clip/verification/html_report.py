"""A verification as one HTML page that needs nothing else."""

from __future__ import annotations

import html
import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nerv_clip.runs.provenance import git_commit
from nerv_clip.verification.baselines import NEAREST, PREDICTION, SPHERICAL
from nerv_clip.verification.statistics import Interval
from nerv_clip.verification.text_report import (
    COLUMNS,
    PART_NAMES,
    cells,
    differences_told,
    spread,
    tests_told,
)
from nerv_clip.verification.verify import PARTS, Figures, Row, Verification

if TYPE_CHECKING:  # plotly is slow to import
    from plotly.graph_objects import Figure

COLOURS = {"train": "#0072b2", "val": "#d55e00", "unused": "#7f7f7f"}  # Okabe and Ito's
SHAPES = {"train": "circle", "val": "diamond", "unused": "x"}


def page(verification: Verification) -> str:
    """The report as one HTML page, its plots with their own script inside."""
    import plotly.io  # slow to import

    v = verification
    figures = [_bars(v), _curve(v), _matrices(v), _shifts(v)]
    plots = [
        plotly.io.to_html(figure, include_plotlyjs=index == 0, full_html=False)
        for index, figure in enumerate(figures)
    ]
    tables = "".join(
        f"<h2>{PART_NAMES[p].capitalize()} ({v.parts[p].frames})</h2>{_html_table(v.rows, p)}"
        for p in v.parts
    )
    tests = "".join(
        f"<li>{html.escape(line)}</li>" for line in [*tests_told(v), *differences_told(v)]
    )
    config = v.evidence.config
    video = config.video
    teacher = "none" if config.teacher is None else config.teacher.name
    about = (
        f"{v.evidence.checkpoint}: {video.frames} frames of {video.height}×{video.width}, "
        f"split {config.split.rule}, teacher {teacher}, seed {config.train.seed}, commit "
        f"{git_commit() or 'unknown'}"
    )
    return PAGE.format(
        label=html.escape(v.verdict.label),
        sentence=html.escape(v.verdict.sentence),
        about=html.escape(about),
        tests=tests,
        tables=tables,
        plots="".join(f"<section>{plot}</section>" for plot in plots),
    )


def _html_table(rows: list[Row], part: str) -> str:
    head = "".join(f"<th>{title}</th>" for title in COLUMNS.values())
    body = []
    for row in rows:
        figures = row.figures[part]
        if figures is None:
            said = html.escape(row.missing or "no neighbour to guess from")
            tail = f'<td colspan="{len(COLUMNS)}" class="none">{said}</td>'
        else:
            tail = "".join(
                f'<td title="{_hint(figures, name)}">{text}</td>'
                for name, text in zip(COLUMNS, cells(figures), strict=True)
            )
        body.append(f'<tr class="{row.kind}"><th>{html.escape(row.name)}</th>{tail}</tr>')
    return f"<div class=wide><table><tr><th></th>{head}</tr>{''.join(body)}</table></div>"


def _hint(figures: Figures, name: str) -> str:
    value = getattr(figures, name)
    return f"95 %: {spread(value)}" if isinstance(value, Interval) else ""


def _bars(v: Verification) -> Figure:
    from plotly.graph_objects import Figure

    figure = Figure()
    for part in [p for p in PARTS if p != "all" and p in v.parts]:
        shown = [(row.name, row.figures[part]) for row in reversed(v.rows)]
        kept = [(name, figures.centred) for name, figures in shown if figures is not None]
        figure.add_scatter(
            x=[c.mean for _, c in kept],
            y=[name for name, _ in kept],
            error_x={
                "array": [c.high - c.mean for _, c in kept],
                "arrayminus": [c.mean - c.low for _, c in kept],
            },
            mode="markers",
            name=PART_NAMES[part],
            marker={"color": COLOURS[part], "symbol": SHAPES[part], "size": 9},
        )
    return _dressed(
        figure, "Centred cosine with the true embeddings, mean and 95 % interval", "", "", 520
    )


def _curve(v: Verification) -> Figure:
    from plotly.graph_objects import Figure

    table = v.per_frame
    figure = Figure()
    for name, dash in ((SPHERICAL, "dash"), (NEAREST, "dot")):
        figure.add_scatter(
            x=table["frame"],
            y=table[f"centred cosine: {name}"],
            mode="lines",
            name=name,
            line={"color": "#999999", "dash": dash, "width": 1},
        )
    for part in sorted(set(table["split"])):
        rows = table[table["split"] == part]
        figure.add_scatter(
            x=rows["frame"],
            y=rows[f"centred cosine: {PREDICTION}"],
            mode="markers",
            name=f"prediction, {PART_NAMES.get(part, part)}",
            marker={"color": COLOURS[part], "symbol": SHAPES[part], "size": 6},
        )
    return _dressed(
        figure, "Each frame's centred cosine with its true embedding", "frame index", "cosine", 420
    )


def _matrices(v: Verification) -> Figure:
    from plotly.subplots import make_subplots

    titles = ("true with true", "predicted with true", "predicted with predicted")
    figure = make_subplots(1, 3, subplot_titles=titles, horizontal_spacing=0.05)
    true, predicted = v.evidence.true, v.evidence.predicted
    frames = np.arange(len(true))
    for column, (a, b) in enumerate(
        ((true, true), (predicted, true), (predicted, predicted)), start=1
    ):
        figure.add_heatmap(
            x=_thinned(frames),
            y=_thinned(frames),
            z=np.round(_thinned(a) @ _thinned(b).T, 3),
            coloraxis="coloraxis",
            row=1,
            col=column,
        )
        figure.update_yaxes(autorange="reversed", row=1, col=column)
    figure.update_layout(coloraxis={"colorscale": "Cividis", "colorbar": {"title": "cosine"}})
    return _dressed(figure, "Similarity of frames with frames, by frame index", "", "", 440)


def _thinned(values: NDArray[Any]) -> NDArray[Any]:
    """At most 200 of a sequence, evenly: a matrix of more is a large file and no clearer."""
    return values[:: max(1, math.ceil(len(values) / 200))]


def _shifts(v: Verification) -> Figure:
    from plotly.graph_objects import Figure

    figure = Figure()
    figure.add_scatter(
        y=v.shifts, mode="lines", name="shifted", line={"color": COLOURS["train"], "width": 1.5}
    )
    figure.add_hline(y=float(v.shifts[0]), line={"dash": "dot", "color": COLOURS["val"]})
    title = "Mean cosine when the prediction is shifted in time (dotted: not shifted)"
    return _dressed(figure, title, "shift, frames", "cosine", 380)


def _dressed(figure: Figure, title: str, x: str, y: str, height: int) -> Figure:
    figure.update_layout(
        title=title,
        template="plotly_white",
        height=height,
        margin={"l": 10, "r": 10, "t": 60, "b": 40},
        legend={"orientation": "h", "y": -0.15},
        font={"family": "system-ui, sans-serif"},
    )
    if x:
        figure.update_xaxes(title=x)
        figure.update_yaxes(title=y)
    figure.update_yaxes(automargin=True)
    return figure


PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Verification: {label}</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 1180px; margin: 2rem auto;
  padding: 0 1rem; color: #1b1f24; }}
h1 {{ font-size: 1.7rem; margin: 0 0 .3rem; }} h1::first-letter {{ text-transform: uppercase; }}
h2 {{ font-size: 1.1rem; margin: 2rem 0 .5rem; }}
.about, .none {{ color: #57606a; }}
.wide {{ overflow-x: auto; }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; }}
td, th {{ padding: .25rem .6rem; text-align: right; border-bottom: 1px solid #e3e6ea; }}
tr > th:first-child {{ text-align: left; font-weight: 400; white-space: nowrap; }}
tr:first-child > th {{ font-weight: 600; }}
.prediction > * {{ background: #eaf3fb; font-weight: 600 !important; }}
td.none {{ text-align: left; }}
section {{ overflow-x: auto; }} section > div {{ min-width: 720px; }}
</style></head><body>
<h1>{label}</h1>
<p>{sentence}</p>
<p class="about">{about}</p>
<ul>{tests}</ul>
{plots}
<p class="about">Skill is 1 − mean(1 − cosine) over the same of the best of mean, nearest train
frame and interpolations. On a train frame these leave the frame itself out. Ranks are among all
frames of the video. A head trained with --arc_weight above 0 was taught interpolation between the
train frames: that it is level with it says that it learned this, no more. Point at a
figure for its interval (block bootstrap).</p>
{tables}
</body></html>
"""
