"""State that all pages share: the selected run and the current frame. Both are part of the URL."""

from __future__ import annotations

import re
from pathlib import Path

import streamlit as st
from literal import literal, message
from options import read_options

from nerv_clip import Run
from nerv_clip.runs.finding import scan_folders


def run_folders() -> list[Path]:
    """The folders given by ``--runs``; no run outside them is opened."""
    return list(read_options().runs)


def run_paths() -> dict[str, str]:
    """Paths of all runs, by a short unique name."""
    paths, _ = _scan(tuple(map(str, run_folders())))
    short = [Path(path).name for path in paths]
    return {
        name if short.count(name) == 1 else path: path
        for name, path in zip(short, paths, strict=True)
    }


@st.cache_data(ttl=3, max_entries=4, show_spinner=False)
def _scan(folders: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """The paths of all runs, and a line for each directory that cannot be read as one."""
    found = scan_folders(folders)
    return [str(run.path) for run in found.runs], found.skipped


def show_unreadable_runs() -> None:
    """Name the runs that the run picker cannot list because their ``config.json`` is damaged."""
    _, skipped = _scan(tuple(map(str, run_folders())))
    for line in skipped:
        st.warning(message(line), icon=":material/warning:")


def read_url() -> None:
    """Take the run and the frame from the URL, once per session."""
    if "run" not in st.session_state:
        names = run_paths()
        wanted = st.query_params.get("run")
        st.session_state.run = wanted if wanted in names else next(iter(names), None)
        if wanted and wanted not in names and names:
            st.toast(literal(f"Run '{wanted}' not found. Showing '{st.session_state.run}'."))
        frame = st.query_params.get("frame", "0")
        st.session_state.frame = int(frame) if re.fullmatch(r"[0-9]{1,9}", frame) else 0
        st.session_state.jump = 0
        st.session_state.persistent = {}
    for key in st.session_state.persistent:
        if key in st.session_state:
            st.session_state.persistent[key] = st.session_state[key]


def persistent(key: str, default: object) -> str:
    """The key of a widget whose value is kept when the page changes; it starts at ``default``.

    Streamlit deletes the value of a widget that a page does not show, so a copy is stored.
    """
    if key not in st.session_state:
        st.session_state[key] = st.session_state.persistent.setdefault(key, default)
    return key


def write_url() -> None:
    """Write the run and the frame into the URL."""
    if st.session_state.run:
        st.query_params.update(run=st.session_state.run, frame=str(st.session_state.frame))


def run_picker() -> Run | None:
    """The box that selects a run; None if there is no run."""
    names = run_paths()
    if not names:
        return None
    if st.session_state.run not in names:
        st.session_state.run = next(iter(names))
    key = "run picker"
    st.session_state[key] = st.session_state.run  # a link, a search result or the URL may set it

    def select() -> None:
        st.session_state.run = st.session_state[key]
        go_to(0)

    name = st.selectbox(
        "Run",
        list(names),
        key=key,
        on_change=select,
        help=literal("All runs in " + ", ".join(map(str, run_folders()))),
    )
    return Run(Path(names[name]))


def run_by_name(name: str) -> Run | None:
    """A run by its short name."""
    path = run_paths().get(name)
    return Run(Path(path)) if path else None


def current_frame(frames: int) -> int:
    """The current frame index, in a video of ``frames`` frames."""
    return min(int(st.session_state.frame), frames - 1)


def go_to(frame: int) -> None:
    """Make a frame the current one; the player follows."""
    st.session_state.frame = frame
    st.session_state.jump += 1


def open_page(script: str) -> None:
    """Have another page drawn at the next full run, instead of the present one.

    To be called in a callback, which comes before any page is drawn, or in a fragment that then
    reruns the app. A page that is drawn once more before it is left has a player that would send
    its frame to a page that is gone, and Streamlit's front end stops at that.
    """
    st.session_state["page to open"] = script


def switch_to_opened() -> None:
    """Switch to the page of `open_page`, if there is one."""
    script = st.session_state.pop("page to open", None)
    if script is not None:
        st.switch_page(script)


def go_to_selected(frames: list[int]) -> None:
    """Go to the frame of a selected chart point, if exactly one is selected."""
    if len(frames) == 1 and frames[0] != st.session_state.frame:
        go_to(frames[0])
        st.rerun()
