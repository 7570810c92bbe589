"""Did it learn, or would anything score as well? Run on demand, in a worker."""

from __future__ import annotations

from functools import lru_cache, partial
from typing import Any

import charts
import numpy as np
import pandas as pd
import streamlit as st
from run_view import View, read_view, verification
from theme import SUCCESS, embeds
from verification_job import job, start_verification

from nerv_clip import Run

PARTS = {"all": "All frames", "train": "Seen frames", "val": "Held-out frames"}
MEASURES = {
    "cosine": "cosine", "centred": "centred", "skill": "skill", "r1": "R@1", "r5": "R@5",
    "near": "R@±2", "mrr": "MRR", "median_rank": "median rank", "cka": "CKA", "rsa": "RSA",
}  # fmt: skip


@st.fragment(run_every=1.0)
def watch(view: View) -> None:
    """How far the worker is."""
    work = job(view.key)
    if work is None or work.finished:
        st.rerun()
        return
    st.progress(min(work.done / work.total, 1.0), text="verifying…")
    if st.button("Cancel", icon=":material/stop_circle:"):
        work.stop.set()


def table(content: dict[str, Any], part: str) -> pd.DataFrame:
    """The rows of a part, a column a measure; what is missing says why."""
    rows = []
    for row in content["rows"]:
        figures = row["figures"].get(part)
        cells: dict[str, Any] = {"guess": row["name"]}
        for name, label in MEASURES.items():
            cells[label] = written(None if figures is None else figures[name])
        if any(r["missing"] for r in content["rows"]):
            cells["note"] = row["missing"]
        rows.append(cells)
    return pd.DataFrame(rows)


def written(value: dict[str, float | None] | float | None) -> str:
    """A figure with its interval, where it has one."""
    if isinstance(value, dict):
        mean, low, high = (value[key] for key in ("mean", "low", "high"))
        if mean is None or low is None or high is None:
            return "–"
        digits = 3 if abs(mean) < 100 else 0  # the skill of noise
        return f"{mean:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"
    return "–" if value is None else f"{value:.3f}"


def show(view: View, content: dict[str, Any]) -> None:
    """Verdict, plots, tables."""
    said = content["verdict"]
    with st.container(border=True):
        mark = ":orange[:material/info:]"
        if said["label"] == SUCCESS:
            mark = ":green[:material/verified:]"
        st.subheader(f"{mark} {said['label'].capitalize()}")
        st.write(said["sentence"])
    whole = content["parts"]["all"]
    columns = st.container(key="pairs verdict").columns(4)
    columns[0].metric("Frames", whole["frames"], border=True)
    columns[1].metric(
        "Worth independent", f"{whole['independent']:.1f}", border=True,
        help="Neighbouring frames are alike; so many frames without likeness would tell as much.",
    )  # fmt: skip
    columns[2].metric(
        "p, circular shifts", f"{whole['shift']['p']:.2g}", border=True,
        help=f"Its floor is {whole['shift']['floor']:.2g}: there are only so many shifts.",
    )  # fmt: skip
    columns[3].metric("p, shuffled blocks", f"{content['block_permutation']['p']:.2g}", border=True)
    charts.show(
        charts.intervals(
            content["rows"],
            "centred",
            "Distance to the truth, 95 % intervals",
            "1 − centred cosine, log scale; left is nearer",
        ),
        f"intervals {view.key}",
        pd.concat([table(content, part).assign(frames=part) for part in content["parts"]]),
    )
    shifts = np.array(content["shifts"], float)
    charts.show(
        charts.curves(
            np.arange(len(shifts)),
            {"shifted": shifts, "not shifted": np.full(len(shifts), shifts[0])},
            "Mean cosine, the prediction shifted", "shift, frames", "cosine",
        ),
        f"shifts {view.key}",
        pd.DataFrame({"shift": np.arange(len(shifts)), "cosine": shifts}),
    )  # fmt: skip
    tabs = st.tabs([PARTS[part] for part in content["parts"]])
    for name, tab in zip(content["parts"], tabs, strict=True):
        rows = table(content, name)
        with tab:
            st.dataframe(
                rows, hide_index=True, height="content", width="stretch",
                column_config={"guess": st.column_config.TextColumn(pinned=True)},
            )  # fmt: skip
            st.caption("Mean [95 % interval, by block bootstrap]. Retrieval ranks all frames.")
    with st.container(horizontal=True):
        content_ = view.run.verification.read_text()
        st.download_button(
            "verification.json", content_, "verification.json", icon=":material/download:",
            on_click="ignore",
        )  # fmt: skip
        st.download_button(
            "report.html, with plots", partial(report, view.key, str(view.run.best)),
            "report.html", "text/html", icon=":material/download:", on_click="ignore",
        )  # fmt: skip


@lru_cache(maxsize=2)  # called for a download, where Streamlit's own cache has no session
def report(key: str, checkpoint: str) -> str:
    """The self-contained page of a verification, computed again."""
    from pathlib import Path

    from nerv_clip.cli import Terminal
    from nerv_clip.verification import gather, page, verify

    return page(verify(gather(Path(checkpoint), Terminal(quiet=True))))


def main(run: Run) -> None:
    """The page."""
    view = read_view(run)
    st.title("Verify")
    st.caption(
        "The network is given times only. Its embeddings are compared with the true ones, beside "
        "what would score without having learned: the rule is in the README."
    )
    if not embeds(view):
        return
    content, work = verification(view), job(view.key)
    if work is not None and not work.finished:
        watch(view)
        return
    if work is not None and work.error:
        st.warning(work.error)
    label, kind = ("Verify", "primary") if content is None else ("Verify again", "secondary")
    if st.button(label, type=kind, icon=":material/verified:"):  # type: ignore[arg-type]
        start_verification(view.key, run.best)
        st.rerun()
    if content is None:
        st.info("Not verified yet. It takes some seconds to a minute.")
    else:
        show(view, content)


main(st.session_state.path)
