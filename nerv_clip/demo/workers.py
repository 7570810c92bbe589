"""A pool of processes on all cores that stops at once after an exception."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import active_children, get_context


@contextmanager
def workers() -> Iterator[ProcessPoolExecutor]:
    """A pool with a process for each core; an exception in the block terminates the processes.

    Processes are spawned: forking a process that has run PyTorch's threads can hang.
    """
    affinity = getattr(os, "sched_getaffinity", None)  # macOS has none
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    pool = ProcessPoolExecutor(cores, get_context("spawn"), _ignore_interrupts)
    before = set(active_children())
    try:
        yield pool
    except BaseException:
        for child in set(active_children()) - before:
            child.terminate()
        pool.shutdown(cancel_futures=True)  # waits for the processes to end
        raise
    pool.shutdown()


def _ignore_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
