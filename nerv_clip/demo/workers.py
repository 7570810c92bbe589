"""Every core at work, and all of them stopped at once when the work is called off."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import active_children, get_context


@contextmanager
def workers() -> Iterator[ProcessPoolExecutor]:
    """A process for each core, ended with the block; an exception ends them in mid-task.

    Each is a fresh interpreter: forking a process that has run PyTorch's threads can hang.
    """
    cores = len(os.sched_getaffinity(0))
    pool = ProcessPoolExecutor(cores, get_context("spawn"), _leave_interrupts_to_the_parent)
    before = set(active_children())
    try:
        yield pool
    except BaseException:
        for child in set(active_children()) - before:
            child.terminate()
        pool.shutdown(cancel_futures=True)  # waits until they are gone
        raise
    pool.shutdown()


def _leave_interrupts_to_the_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
