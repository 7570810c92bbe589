"""The time of a frame, defined only here."""

from __future__ import annotations


def frame_time(index: int, frames: int) -> float:
    """Time ``t = index / (frames - 1)`` in [0, 1]; 0 for a video of a single frame.

    >>> frame_time(0, 5), frame_time(4, 5), frame_time(0, 1)
    (0.0, 1.0, 0.0)
    """
    return index / (frames - 1) if frames > 1 else 0.0
