"""A verification in a thread, with progress and cancellation."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import streamlit as st
from run_view import RunView

from nerv_clip import InputError

if TYPE_CHECKING:
    from nerv_clip.progress import Task


class CancelledError(Exception):
    """Raised inside a verification that was cancelled."""


@dataclass
class VerificationJob:
    """A running or finished verification, and the `Progress` of its work.

    ``unsaved`` is its result, as in ``verification.json``, if that could not be written.
    """

    label: str = "starting"
    done: int = 0
    total: int | None = None
    error: str = ""
    unsaved: dict[str, Any] | None = None
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

    def resize(self, total: int) -> None:
        """A verification has the steps that were expected."""

    def advance(self, steps: int = 1, note: str = "") -> None:
        """Count steps; raises `CancelledError` after cancellation."""
        self.done += steps
        if self.cancelled.is_set():
            raise CancelledError

    def message(self, line: str) -> None:
        """Messages are not shown."""


@st.cache_resource(max_entries=1)
def _jobs() -> dict[tuple[Path, str], VerificationJob]:
    return {}


def _key(view: RunView) -> tuple[Path, str]:
    return view.run.path, view.key


def job_of(view: RunView) -> VerificationJob | None:
    """The verification of a run's checkpoint that was last started in this server."""
    return _jobs().get(_key(view))


def start_verification(view: RunView) -> None:
    """Verify a checkpoint in a thread; the result is stored in its run directory."""
    jobs = _jobs()
    running = jobs.get(_key(view))
    if running is not None and not running.finished:
        return
    jobs[_key(view)] = job = VerificationJob()
    threading.Thread(target=_verify, args=(job, view.run.best), daemon=True).start()


def _verify(job: VerificationJob, checkpoint: Path) -> None:
    from nerv_clip.verification import store_in_run, to_json, verify

    try:
        found = verify(checkpoint, progress=job)
        try:
            store_in_run(found)
        except InputError as error:
            job.unsaved = to_json(found)
            job.error = f"The result is shown, but it is not saved: {error}"
    except CancelledError:
        job.error = "The verification was cancelled."
    except InputError as error:
        job.error = str(error)
    except Exception as error:  # the thread would end without a word
        job.error = f"The verification failed: {type(error).__name__}: {error}"
        raise
    finally:
        job.finished = True
