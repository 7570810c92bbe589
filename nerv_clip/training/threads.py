"""PyTorch's threads, shared among trainings that run side by side on a CPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


def jobs_for(segments: int, device: str) -> int:
    """Segments that are trained side by side: one on a GPU, else as many as there are threads.

    ``device`` is ``cpu`` or ``cuda``.
    """
    return min(torch.get_num_threads(), segments) if device == "cpu" else 1


@contextmanager
def shared_threads(jobs: int) -> Iterator[int]:
    """Let PyTorch use the threads that one of ``jobs`` has, and yield their number.

    The number counts for the calling thread; another thread has to set it for itself.
    """
    threads = torch.get_num_threads()
    own = max(threads // jobs, 1)
    torch.set_num_threads(own)
    try:
        yield own
    finally:
        torch.set_num_threads(threads)
