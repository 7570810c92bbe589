"""Work that outlives a rerun: a verification in a thread, with progress and cancel."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path

import streamlit as st

from nerv_clip import InputError


class CancelledError(Exception):
    """Raised inside the work where somebody asked it to stop."""


@dataclass
class Job:
    """One verification: how far it is, and how it ended."""

    total: int
    done: int = 0
    error: str = ""
    finished: bool = False
    stop: threading.Event = field(default_factory=threading.Event)

    def notice(self, steps: int) -> None:
        """Count steps; ends the work where it was cancelled."""
        self.done += steps
        if self.stop.is_set():
            raise CancelledError


@st.cache_resource(max_entries=1)
def _jobs() -> dict[str, Job]:
    return {}


def job(key: str) -> Job | None:
    """The verification of a checkpoint, if one was started since the server is up."""
    return _jobs().get(key)


def start_verification(key: str, checkpoint: Path) -> Job:
    """Verify a checkpoint in a thread; the result goes into its run directory."""
    from nerv_clip.verification import STEPS

    jobs = _jobs()
    running = jobs.get(key)
    if running is not None and not running.finished:
        return running
    jobs[key] = fresh = Job(total=STEPS)
    threading.Thread(target=_verify, args=(fresh, checkpoint), daemon=True).start()
    return fresh


def _verify(work: Job, checkpoint: Path) -> None:
    from nerv_clip.cli import Terminal
    from nerv_clip.verification import gather, remember, verify

    try:
        evidence = gather(checkpoint, Terminal(quiet=True))
        remember(verify(evidence, work.notice))
    except CancelledError:
        work.error = "cancelled"
    except InputError as error:
        work.error = str(error)
    finally:
        work.finished = True
