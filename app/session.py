"""What all pages share: which run is looked at, and which frame. Both stand in the URL."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import streamlit as st

from nerv_clip import Run, find_runs


def folders() -> list[Path]:
    """The folders named by ``--runs``; what lies outside them is never opened."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", action="append", type=Path, help="a folder that holds runs")
    return parser.parse_args(sys.argv[1:]).runs or [Path("output")]


@st.cache_data(ttl=3, max_entries=4, show_spinner=False)
def run_names(roots: tuple[str, ...]) -> dict[str, str]:
    """Paths of the runs below some folders, by a short name that is unique."""
    paths = [run.path for run in find_runs([Path(root) for root in roots])]
    short = [path.name for path in paths]
    return {
        name if short.count(name) == 1 else str(path): str(path)
        for name, path in zip(short, paths, strict=True)
    }


def restore() -> None:
    """Take run and frame from the URL, the first time a session asks."""
    if "run" not in st.session_state:
        names = run_names(tuple(map(str, folders())))
        asked = st.query_params.get("run")
        st.session_state.run = asked if asked in names else next(iter(names), None)
        if asked and asked not in names and names:
            st.toast(f"There is no run '{asked}' here: this is '{st.session_state.run}'.")
        frame = st.query_params.get("frame", "0")
        st.session_state.frame = int(frame) if frame.isdigit() else 0
        st.session_state.jump = 0
        st.session_state.kept = {}
    for key in st.session_state.kept:
        if key in st.session_state:
            st.session_state.kept[key] = st.session_state[key]


def kept(key: str, default: object) -> str:
    """The key of a widget whose value outlives a change of page; it starts with ``default``.

    Streamlit forgets a widget's value on a page without it; a copy is kept beside.
    """
    if key not in st.session_state:
        st.session_state[key] = st.session_state.kept.setdefault(key, default)
    return key


def remember() -> None:
    """Write run and frame into the URL."""
    if st.session_state.run:
        st.query_params.update(run=st.session_state.run, frame=str(st.session_state.frame))


def pick_run() -> Run | None:
    """The run picker; None where there is no run."""
    names = run_names(tuple(map(str, folders())))
    if not names:
        return None
    if st.session_state.run not in names:
        st.session_state.run = next(iter(names))
    key = "run picked"
    st.session_state[key] = st.session_state.run  # others may have moved it: a link, a hit, the URL

    def picked() -> None:
        st.session_state.run = st.session_state[key]
        go_to(0)

    chosen = st.selectbox(
        "Run",
        list(names),
        key=key,
        on_change=picked,
        help="the run directories below " + ", ".join(map(str, folders())),
    )
    return Run(Path(names[chosen]))


def run_called(name: str) -> Run | None:
    """A run by its short name."""
    path = run_names(tuple(map(str, folders()))).get(name)
    return Run(Path(path)) if path else None


def current(frames: int) -> int:
    """The shared time as a frame index of a video that has so many frames."""
    return min(int(st.session_state.frame), frames - 1)


def go_to(frame: int) -> None:
    """Move the shared time to a frame; the player follows."""
    st.session_state.frame = frame
    st.session_state.jump += 1
