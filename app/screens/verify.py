"""Verify: start a verification, and show its verdict, tests and tables."""

from __future__ import annotations

import json
from functools import lru_cache, partial
from pathlib import Path

import charts
import numpy as np
import pandas as pd
import streamlit as st
from literal import literal, message
from run_view import RunView, read_view
from stored_verification import (
    StoredInterval,
    StoredVerification,
    stored_verification,
    verification_content,
)
from teacher_consent import allowed_to_load
from verdict_view import beside_baselines, verdict_badge
from verification_job import job_of, start_verification
from widgets import has_clip_head, metric_tile

from nerv_clip import Run


@st.fragment(run_every=1.0)
def show_progress(view: RunView) -> None:
    """The progress of a running verification, with a button that cancels it."""
    job = job_of(view)
    if job is None or job.finished:
        st.rerun()
        return
    st.progress(job.fraction, text=literal(f"{job.label}…"))
    if st.button("Cancel", icon=":material/stop_circle:"):
        job.cancelled.set()


def measures_table(found: StoredVerification, split: str) -> pd.DataFrame:
    """A row for the prediction and each baseline, a column for each measure, on a split."""
    from nerv_clip.verification.names import MEASURES
    from nerv_clip.verification.text_report import size_cell

    rows = []
    for row in found.rows:
        values = row.figures.get(split) or {}
        cells = {"method": row.name, "bytes": size_cell(row.bytes)}
        for name, title in MEASURES.items():
            cells[title] = with_interval(values.get(name))
        if any(other.missing for other in found.rows):
            cells["note"] = row.missing
        rows.append(cells)
    return pd.DataFrame(rows)


def with_interval(value: StoredInterval | float | None) -> str:
    """A measure with its interval, if it has one."""
    if isinstance(value, StoredInterval):
        mean, low, high = value.mean, value.low, value.high
        if mean is None or low is None or high is None:
            return "–"
        digits = 3 if abs(mean) < 100 else 0  # the skill of random vectors is large
        return f"{mean:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"
    return "–" if value is None else f"{value:.3f}"


def verdict(found: StoredVerification) -> None:
    """The verdict with its explanation, the baselines beside it, and the test."""
    verdict_badge(found)
    beside = beside_baselines(found)
    if beside is not None:
        st.table(beside, border="horizontal")
    test, part = found.test, found.parts.get("val") or found.parts.get("all")
    columns = st.columns(3)
    metric_tile(
        columns[0],
        "p, held-out frames",
        f"{test.p:.2g}",
        f"smallest possible: {test.floor:.2g}",
        "Shift test of local deviations: each held-out frame is compared with its neighbours, so "
        "that trends do not count, and the predictions are shifted in time against the true "
        "embeddings. The number of shifts limits how small p can be.",
    )
    metric_tile(
        columns[1],
        "Independent pairs",
        f"{test.effective:.1f}",
        "at least 8 are needed",
        "The local deviations of the held-out frames carry as much information as this number of "
        "independent ones.",
    )
    metric_tile(
        columns[2],
        "Effective sample size",
        f"{part.independent:.1f}" if part else "–",
        f"of {part.frames} frames" if part else "no frames to compare",
        "Neighbouring frames are similar. Together, the frames carry as much information as this "
        "number of independent frames. It sets the width of the intervals.",
    )


def plots(view: RunView, found: StoredVerification) -> None:
    """The error of each method with its interval, and the similarity at each circular shift."""
    tables = [measures_table(found, split).assign(frames=split) for split in found.parts]
    figure = charts.intervals(
        found.rows,
        "centred",
        "Error of each method, 95 % intervals",
        "1 − centred cosine, log scale (lower is better)",
    )
    charts.show(figure, f"intervals {view.key}", pd.concat(tables))
    shifts = np.array(found.shifts, float)
    index = np.arange(len(shifts))
    figure = charts.lines(
        index,
        {"shifted": shifts, "not shifted": np.full(len(shifts), shifts[0])},
        "Similarity after a circular shift",
        "shift (frames)",
        "mean cosine similarity",
    )
    charts.show(figure, f"shifts {view.key}", pd.DataFrame({"shift": index, "cosine": shifts}))


def tables(found: StoredVerification) -> None:
    """All measures of each method, in a tab for each split."""
    from nerv_clip.verification.names import SPLIT_TITLES

    tabs = st.tabs([SPLIT_TITLES[split].capitalize() for split in found.parts])
    for split, tab in zip(found.parts, tabs, strict=True):
        with tab:
            st.dataframe(
                measures_table(found, split),
                hide_index=True,
                height="content",
                width="stretch",
                column_config={"method": st.column_config.TextColumn(pinned=True)},
            )
    st.caption(
        "Mean [95 % interval]. Bytes: of the CLIP head, or of the train embeddings that a baseline "
        "stores. Retrieval (R@1, R@5, R@±2, MRR, rank) is among all "
        "frames of the video. What each measure means: docs/verification.md."
    )


def downloads(view: RunView, report: bool) -> None:
    """The result, and a ``report`` with plots, which may need the teacher."""
    with st.container(horizontal=True):
        st.download_button(
            "Result as JSON",
            json.dumps(verification_content(view), indent=2),
            "verification.json",
            "application/json",
            icon=":material/download:",
            on_click="ignore",
        )
        if report:
            st.download_button(
                "Report with plots (HTML)",
                partial(html_report, view.key, str(view.run.best)),
                "report.html",
                "text/html",
                icon=":material/download:",
                on_click="ignore",
            )


@lru_cache(maxsize=2)  # a download runs outside a session, where st.cache_data does not work
def html_report(key: str, checkpoint: str) -> str:
    """The HTML page of a verification, which is computed again."""
    from nerv_clip.verification import to_html, verify

    return to_html(verify(Path(checkpoint)))


def main(run: Run) -> None:
    """The page."""
    view = read_view(run)
    st.title("Verify")
    st.caption(
        "Did the network learn the embeddings? Its predictions, for which it gets only the time, "
        "are compared with the true embeddings and with baselines. docs/verification.md explains "
        "the test and the verdict."
    )
    if not has_clip_head(view):
        return
    found, job = stored_verification(view), job_of(view)
    if job is not None and not job.finished:
        show_progress(view)
        return
    if job is not None and job.error:
        st.warning(message(job.error))
    teacher = run.read_config().teacher
    allowed = teacher is None or allowed_to_load(teacher)
    if not allowed:
        clicked = False
    elif found is None:
        clicked = st.button("Verify", type="primary", icon=":material/verified:")
    else:
        clicked = st.button("Verify again", icon=":material/verified:")
    if clicked:
        start_verification(view)
        st.rerun()
    if found is None:
        st.info(
            "Not verified yet, or by an earlier rule. A verification takes a few seconds to a "
            "minute."
        )
        return
    verdict(found)
    if found.parts:
        plots(view, found)
        tables(found)
    downloads(view, report=allowed)


main(st.session_state.selected_run)
