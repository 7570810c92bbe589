"""A verification as one HTML page that needs no other file and no network."""

from __future__ import annotations

import html

from nerv_clip.runs.provenance import git_commit
from nerv_clip.verification.measures import PAIRED, Measures
from nerv_clip.verification.names import MEASURES, SPLIT_TITLES
from nerv_clip.verification.plots import all_plots
from nerv_clip.verification.statistics import Interval
from nerv_clip.verification.text_report import (
    cells,
    describe_differences,
    describe_tests,
    format_interval,
    size_cell,
)
from nerv_clip.verification.verify import Row, Verification


def to_html(verification: Verification) -> str:
    """The report as one HTML page, with Plotly's script inside."""
    import plotly.io  # slow to import

    v = verification
    plots = [
        plotly.io.to_html(figure, include_plotlyjs=index == 0, full_html=False)
        for index, figure in enumerate(all_plots(v))
    ]
    return PAGE.format(
        paired=PAIRED,
        label=html.escape(v.verdict.label),
        sentence=html.escape(v.verdict.sentence),
        about=html.escape(_about(v)),
        tests=_list(describe_tests(v)),
        differences=_list(describe_differences(v)),
        plots="".join(f"<section>{plot}</section>" for plot in plots),
        tables="".join(_table(v, split) for split in v.splits),
    )


def _list(lines: list[str]) -> str:
    return "<ul>" + "".join(f"<li>{html.escape(line)}</li>" for line in lines) + "</ul>"


def _about(v: Verification) -> str:
    config = v.evidence.config
    video = config.video
    teacher = "none" if config.teacher is None else config.teacher.name
    if config.train.clip_every > 1:
        teacher += f" on one frame in {config.train.clip_every}"
    return (
        f"{v.evidence.checkpoint}: {video.frames} frames of {video.width}×{video.height} pixels, "
        f"split {config.split.rule}, teacher {teacher}, seed {config.train.seed}, commit "
        f"{git_commit() or 'unknown'}"
    )


def _table(v: Verification, split: str) -> str:
    title = f"{SPLIT_TITLES[split].capitalize()} ({v.splits[split].frames})"
    head = "".join(f"<th>{name}</th>" for name in ("bytes", *MEASURES.values()))
    body = "".join(_table_row(row, split) for row in v.rows)
    table = f"<table><tr><th></th>{head}</tr>{body}</table>"
    return f"<h3>{title}</h3><div class=wide>{table}</div>"


def _table_row(row: Row, split: str) -> str:
    measures = row.measures[split]
    if measures is None:
        reason = html.escape(row.missing)
        values = f'<td colspan="{len(MEASURES) + 1}" class="none">{reason}</td>'
    else:
        values = f"<td>{size_cell(row.size)}</td>" + "".join(
            f'<td title="{_interval(measures, name)}">{text}</td>'
            for name, text in zip(MEASURES, cells(measures), strict=True)
        )
    return f'<tr class="{row.kind}"><th>{html.escape(row.name)}</th>{values}</tr>'


def _interval(measures: Measures, name: str) -> str:
    value = getattr(measures, name)
    return f"95 % interval: {format_interval(value)}" if isinstance(value, Interval) else ""


PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Verification: {label}</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 1180px; margin: 2rem auto;
  padding: 0 1rem; color: #1b1f24; }}
h1 {{ font-size: 1.7rem; margin: 0 0 .3rem; }} h1::first-letter {{ text-transform: uppercase; }}
h2 {{ font-size: 1.3rem; margin: 2.2rem 0 .5rem; }}
h3 {{ font-size: 1.05rem; margin: 1.6rem 0 .4rem; }}
.about, .none {{ color: #57606a; }}
.about {{ overflow-wrap: anywhere; }}
.wide {{ overflow-x: auto; }}
dl {{ display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; }}
dt {{ font-weight: 600; }} dd {{ margin: 0; }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; }}
td, th {{ padding: .25rem .6rem; text-align: right; border-bottom: 1px solid #e3e6ea; }}
tr > th:first-child {{ text-align: left; font-weight: 400; white-space: nowrap; }}
tr:first-child > th {{ font-weight: 600; white-space: nowrap; }}
.prediction > * {{ background: #eaf3fb; font-weight: 600 !important; }}
td.none {{ text-align: left; }}
@media (max-width: 640px) {{ tr > th:first-child {{ white-space: normal; min-width: 8rem; }} }}
section {{ overflow-x: auto; }} section > div {{ min-width: 720px; }}
</style></head><body>
<h1>{label}</h1>
<p>{sentence}</p>
<p class="about">{about}</p>
<h2>Test</h2>
{tests}
<h2>Differences</h2>
{differences}
<h2>Plots</h2>
{plots}
<h2>Measures</h2>
<dl>
<dt>bytes</dt><dd>of the CLIP head's weights in the checkpoint; of the train embeddings that a
baseline stores (float32), or of a table in 8 bits</dd>
<dt>cosine</dt><dd>mean cosine similarity to the true embedding</dd>
<dt>centred</dt><dd>the same after the mean train embedding is subtracted from both</dd>
<dt>skill</dt><dd>1 − mean error / mean error of the best trivial baseline (mean train embedding,
nearest train frame or interpolation); the error is 1 − cosine</dd>
<dt>R@1, R@5</dt><dd>share of frames whose own true embedding is the most similar one, or among the
five most similar, of all frames</dd>
<dt>R@±2</dt><dd>share of frames whose most similar true embedding is at most two frames away</dd>
<dt>med. rank, MRR</dt><dd>median rank of the own true embedding among all frames (1 is best), and
mean of 1 / rank</dd>
<dt>CKA, RSA</dt><dd>debiased centred kernel alignment, and rank correlation of the similarities of
all pairs of frames, of at most {paired:,} frames</dd>
</dl>
<p>For a train frame, nearest train frame, interpolation, pixel blend and ridge regression leave the
frame itself out; tables are scored on the other frames only. Nothing is interpolated across a cut,
and a train frame without another one in its shot is not compared. Point at a value to see its 95 %
interval (block bootstrap).</p>
{tables}
</body></html>
"""
