"""Did it learn, or would anything score as well? Run on demand, in a worker."""

from __future__ import annotations

import json
from typing import Any

import charts
import numpy as np
import pandas as pd
import streamlit as st
from jobs import job, start_verification
from reading import View, read_view

from nerv_clip import InputError, Run

PARTS = {"all": "All frames", "train": "Seen frames", "val": "Held-out frames"}
MEASURES = {
    "cosine": "cosine", "centred": "centred", "skill": "skill", "r1": "R@1", "r5": "R@5",
    "near": "R@±2", "mrr": "MRR", "median_rank": "median rank", "cka": "CKA", "rsa": "RSA",
}  # fmt: skip


def stored(view: View) -> dict[str, Any] | None:
    """The verification of this checkpoint, if one was run."""
    path = view.run.verification
    if not path.exists():
        return None
    try:
        content: dict[str, Any] = json.loads(path.read_text())
    except ValueError:
        return None
    return content if content.get("checkpoint_hash") == view.key else None


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
            value = None if figures is None else figures[name]
            cells[label] = value["mean"] if isinstance(value, dict) else value
        cells["note"] = row["missing"]
        rows.append(cells)
    return pd.DataFrame(rows)


def show(view: View, content: dict[str, Any]) -> None:
    """Verdict, plots, tables."""
    said = content["verdict"]
    st.subheader(said["label"].capitalize())
    st.write(said["sentence"])
    whole = content["parts"]["all"]
    columns = st.columns(4)
    columns[0].metric("Frames", whole["frames"], border=True)
    columns[1].metric("Worth independent", f"{whole['independent']:.1f}", border=True)
    columns[2].metric(
        "p, circular shifts", f"{whole['shift']['p']:.2g}", border=True,
        help=f"Its floor is {whole['shift']['floor']:.2g}: there are only so many shifts.",
    )  # fmt: skip
    columns[3].metric("p, shuffled blocks", f"{content['block_permutation']['p']:.2g}", border=True)
    charts.show(
        charts.intervals(
            content["rows"], "centred", "Centred cosine with the true embeddings, 95 % intervals",
            "centred cosine",
        ),
        f"intervals {view.key}",
    )  # fmt: skip
    shifts = np.array(content["shifts"], float)
    charts.show(
        charts.curves(
            np.arange(len(shifts)), {"mean cosine": shifts},
            "Mean cosine when the prediction is shifted in time", "shift, frames", "cosine",
        ),
        f"shifts {view.key}",
        pd.DataFrame({"shift": np.arange(len(shifts)), "cosine": shifts}),
    )  # fmt: skip
    tabs = st.tabs([PARTS[part] for part in content["parts"]])
    for name, tab in zip(content["parts"], tabs, strict=True):
        rows = table(content, name)
        with tab:
            st.dataframe(rows, hide_index=True, height=38 * (len(rows) + 1), width="stretch")
    left, right = st.columns(2)
    left.download_button(
        "verification.json", view.run.verification.read_text(), "verification.json"
    )
    if right.button("Prepare the report (HTML, with plots)", icon=":material/description:"):
        right.download_button("report.html", report(view.key, str(view.run.best)), "report.html")


@st.cache_data(max_entries=2, show_spinner="writing the report…")
def report(key: str, checkpoint: str) -> str:
    """The self-contained page of a verification, computed again."""
    from pathlib import Path

    from nerv_clip import Terminal
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
    if view.config["architecture"]["clip_input"]:
        raise InputError(
            f"{run.path} is given true embeddings as its input: comparing would be circular"
        )
    if not view.has_head:
        raise InputError(f"{run.path} has no CLIP head to verify: train with --predict_clip")
    content, work = stored(view), job(view.key)
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
