"""Trainings as separate processes: started from an argument list, observed through their files."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Literal, NamedTuple

import streamlit as st
from file_names import short_name
from session import run_folders

from nerv_clip import Run, find_runs
from nerv_clip.files import make_folder, user_cache
from nerv_clip.runs.run import TrainingStatus

SCRIPT = Path(__file__).parents[1] / "train" / "train_nerv_clip.py"
OUTPUT = Path("output")  # where this app's trainings write their runs
MOST_BYTES = 65536  # of a training's output that are read at once
PLAN = "the plan for "  # the line with the plan begins so
STOPPED = (130, -signal.SIGINT)  # exit codes after an interruption

Outcome = Literal["finished", "stopped", "failed"]


class Running(NamedTuple):
    """A training that runs now; ``status`` is None before its first steps, ``pid`` if unknown."""

    run: Run
    status: TrainingStatus | None
    pid: int | None


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


def ended_trainings() -> dict[str, Outcome]:
    """Names of ended trainings that this server started, and how each ended."""
    codes = {name: process.poll() for name, process in _started().items()}
    return {name: _outcome(code) for name, code in codes.items() if code is not None}


def _outcome(code: int) -> Outcome:
    if code == 0:
        return "finished"
    return "stopped" if code in STOPPED else "failed"


def dismiss(name: str) -> None:
    """Remove an ended training from `ended_trainings`."""
    _started().pop(name, None)


def is_running(run: Run) -> bool:
    """Whether a run is in training, or this server just started that."""
    return run.in_training or str(run.path) in _alive()


def _alive() -> dict[str, int]:
    """The process of each training of this server that still runs, by its run's path.

    The run's directory is locked only after the video has been read.
    """
    processes = {str(OUTPUT / name): process for name, process in _started().items()}
    return {path: process.pid for path, process in processes.items() if process.poll() is None}


def running_trainings() -> list[Running]:
    """Trainings that run now, from this app or a terminal."""
    alive = _alive()
    runs = {str(run.path): run for run in find_runs(run_folders()) if run.in_training}
    runs |= {path: Run(path) for path in alive if path not in runs}
    found = []
    for path, run in runs.items():
        status = run.read_status()
        found.append(Running(run, status, status.pid if status else alive.get(path)))
    return found


@st.cache_resource(max_entries=1)
def _first_seen() -> dict[int, TrainingStatus]:
    return {}


def remaining(status: TrainingStatus) -> float | None:
    """Seconds until the last epoch ends; None until two states of the training are known.

    A training that was resumed or continued began with many steps done.
    """
    seen = _first_seen()
    first = seen.setdefault(status.pid, status)
    if first.seconds > status.seconds:  # another process with this number
        first = seen[status.pid] = status
    if status.step <= first.step:
        return None
    each = (status.seconds - first.seconds) / (status.step - first.step)
    return each * (status.steps - status.step)


def stop_training(pid: int) -> None:
    """Interrupt a training as Ctrl-C does: it saves its state and ends."""
    os.kill(pid, signal.SIGINT)


def runs_to_continue() -> list[Run]:
    """Finished and stopped runs in output/ that have a training state, the latest first."""
    runs = [
        run for run in find_runs(run_folders()) if run.path.parent.resolve() == OUTPUT.resolve()
    ]
    states = {run: run.latest for run in runs if run.latest.exists() and not is_running(run)}
    return sorted(states, key=lambda run: -_changed(states[run]))


def _changed(path: Path) -> float:
    return path.stat().st_mtime if path.exists() else 0.0


def last_line(name: str) -> str:
    """The last line of a training's output; empty before the first."""
    lines = _read(name, -MOST_BYTES).splitlines()
    return lines[-1] if lines else ""


def plan_of(name: str) -> str:
    """The line of a training's output that states its plan; empty where there is none."""
    return next((line for line in _read(name, 0).splitlines() if line.startswith(PLAN)), "")


def _read(name: str, start: int) -> str:
    """A part of a training's output that begins at a byte, counted from the end if negative."""
    path = log_file(name)
    if not path.exists():
        return ""
    with path.open("rb") as file:
        file.seek(max(start if start >= 0 else path.stat().st_size + start, 0))
        text = file.read(MOST_BYTES).decode(errors="replace")
    return text.replace("\r", "\n").strip()
