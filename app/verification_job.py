"""A verification in a thread, with progress and cancellation."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st
from run_view import RunView

from nerv_clip import InputError

if TYPE_CHECKING:
    from nerv_clip.progress import Task


class CancelledError(Exception):
    """Raised inside a verification that was cancelled."""


@dataclass
class VerificationJob:
    """A running or finished verification, and the `Progress` of its work."""

    label: str = "starting"
    done: int = 0
    total: int | None = None
    error: str = ""
    finished: bool = False
    cancelled: threading.Event = field(default_factory=threading.Event)

    @property
    def fraction(self) -> float:
        """Share of the present task that is done, in [0, 1]."""
        return min(self.done / self.total, 1.0) if self.total else 0.0

    @contextmanager
    def task(
        self, label: str, total: int | None, unit: str = "step", done: int = 0
    ) -> Iterator[Task]:
        """Begin a task; one task runs at a time."""
        self.label, self.total, self.done = label, total, done
        yield self

    def advance(self, steps: int = 1, note: str = "") -> None:
        """Count steps; raises `CancelledError` after cancellation."""
        self.done += steps
        if self.cancelled.is_set():
            raise CancelledError

    def message(self, line: str) -> None:
        """Messages are not shown."""


@st.cache_resource(max_entries=1)
def _jobs() -> dict[str, VerificationJob]:
    return {}


def job_of(view: RunView) -> VerificationJob | None:
    """The verification of a checkpoint that was last started in this server."""
    return _jobs().get(view.key)


def start_verification(view: RunView) -> None:
    """Verify a checkpoint in a thread; the result is stored in its run directory."""
    jobs = _jobs()
    running = jobs.get(view.key)
    if running is not None and not running.finished:
        return
    jobs[view.key] = job = VerificationJob()
    threading.Thread(target=_verify, args=(job, view.run.best), daemon=True).start()


def _verify(job: VerificationJob, checkpoint: Path) -> None:
    from nerv_clip.verification import store_in_run, verify

    try:
        store_in_run(verify(checkpoint, progress=job))
    except CancelledError:
        job.error = "The verification was cancelled."
    except InputError as error:
        job.error = str(error)
    except Exception as error:  # the thread would end without a word
        job.error = f"The verification failed: {type(error).__name__}: {error}"
        raise
    finally:
        job.finished = True
