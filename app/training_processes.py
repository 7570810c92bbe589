"""Trainings as processes of this machine: started from an argument list, watched by their files."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import streamlit as st
from session import folders

from nerv_clip import find_runs
from nerv_clip.files import make_folder, user_cache

SCRIPT = Path(__file__).parents[1] / "train" / "train_nerv_clip.py"
VIDEOS = {".mp4", ".webm", ".mkv", ".mov", ".avi", ".gif"}


def log_of(name: str) -> Path:
    """Where the output of a training called ``name`` goes."""
    return make_folder(user_cache() / "trainings") / f"{name}.log"


def start(argv: list[str], name: str) -> None:
    """Start the training script with flags; no shell reads them. It outlives the server."""
    with log_of(name).open("w") as log:
        _started()[name] = subprocess.Popen(  # noqa: S603 - a list, checked by the script's parser
            [sys.executable, str(SCRIPT), *argv],
            stdout=log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )


@st.cache_resource(max_entries=1)
def _started() -> dict[str, subprocess.Popen[bytes]]:
    return {}


def ended() -> dict[str, bool]:
    """The trainings started here that run no more, by name: whether each came to its end."""
    codes = {name: process.poll() for name, process in _started().items()}
    return {name: code == 0 for name, code in codes.items() if code is not None}


def dismiss(name: str) -> None:
    """Say no more of a training that ended."""
    _started().pop(name, None)


def running() -> list[tuple[Path, dict[str, Any]]]:
    """The runs below the folders that are being trained now, with how far they are."""
    found = [(run.path, run.training()) for run in find_runs(folders())]
    return [(path, how_far) for path, how_far in found if how_far is not None]


def stop(pid: int) -> None:
    """Ask a training to save and end, as Ctrl-C does."""
    os.kill(pid, signal.SIGINT)


def sources(folder: Path) -> list[Path]:
    """Videos, and folders of images, below a data folder."""
    if not folder.is_dir():
        return []
    files = [p for p in sorted(folder.rglob("*")) if p.suffix.lower() in VIDEOS]
    images = {p.parent for p in folder.rglob("*") if p.suffix.lower() in {".png", ".jpg", ".jpeg"}}
    return [*files, *sorted(images)]


def last_line(name: str) -> str:
    """The last thing that a training said."""
    path = log_of(name)
    if not path.exists():
        return ""
    text = path.read_text(errors="replace").replace("\r", "\n").strip()
    return text.splitlines()[-1] if text else ""
