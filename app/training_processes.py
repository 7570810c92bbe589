"""Trainings as separate processes: started from an argument list, observed through their files."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import streamlit as st
from file_names import short_name
from session import run_folders

from nerv_clip import Run, find_runs
from nerv_clip.files import make_folder, user_cache
from nerv_clip.runs.run import TrainingStatus
from nerv_clip.video.reader import IMAGE_SUFFIXES, VIDEO_SUFFIXES

SCRIPT = Path(__file__).parents[1] / "train" / "train_nerv_clip.py"


def log_file(name: str) -> Path:
    """The file with the output of the training called ``name``."""
    return make_folder(user_cache() / "trainings") / f"{short_name(name)}.log"


def start_training(argv: list[str], name: str) -> None:
    """Start the training script with flags, without a shell. It outlives the server."""
    with log_file(name).open("wb") as log:
        _started()[name] = subprocess.Popen(  # noqa: S603 - a list, checked by the script's parser
            [sys.executable, str(SCRIPT), *argv],
            stdout=log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "PYTHONIOENCODING": "utf-8"},
            start_new_session=True,
        )


@st.cache_resource(max_entries=1)
def _started() -> dict[str, subprocess.Popen[bytes]]:
    return {}


def ended_trainings() -> dict[str, bool]:
    """Names of ended trainings that this server started, and whether each succeeded."""
    codes = {name: process.poll() for name, process in _started().items()}
    return {name: code == 0 for name, code in codes.items() if code is not None}


def dismiss(name: str) -> None:
    """Remove an ended training from `ended_trainings`."""
    _started().pop(name, None)


def running_trainings() -> list[tuple[Run, TrainingStatus | None]]:
    """Runs that are being trained now, with their status; None before the first steps."""
    return [(run, run.read_status()) for run in find_runs(run_folders()) if run.in_training]


def stop_training(pid: int) -> None:
    """Interrupt a training as Ctrl-C does: it saves its state and ends."""
    os.kill(pid, signal.SIGINT)


def find_videos(folder: Path) -> list[Path]:
    """Videos, and folders of images, in a folder and its subfolders."""
    if not folder.is_dir():
        return []
    files = sorted(folder.rglob("*"))
    videos = [path for path in files if path.suffix.lower() in VIDEO_SUFFIXES]
    images = {path.parent for path in files if path.suffix.lower() in IMAGE_SUFFIXES}
    return [*videos, *sorted(images)]


def last_line(name: str) -> str:
    """The last line of a training's output; empty before the first."""
    path = log_file(name)
    if not path.exists():
        return ""
    text = path.read_text(encoding="utf-8", errors="replace").replace("\r", "\n").strip()
    return text.splitlines()[-1] if text else ""
