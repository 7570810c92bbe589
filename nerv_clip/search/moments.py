"""Moments of a curve of scores over time: where they start, peak and end."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

BRIDGE = 2.0  # frames: runs that are at most this far apart are merged


class Span(NamedTuple):
    """A moment on a grid of times: indices of its first, best and last point, inclusive."""

    start: int
    peak: int
    end: int


def spans(scores: NDArray[np.floating], grid: int = 1) -> list[Span]:
    """Moments of a curve (N,) with ``grid`` points per frame, the highest peak first.

    A moment is a run of points at or above the middle between the curve's minimum and maximum
    (full width at half maximum). Runs at most `BRIDGE` frames apart are merged.
    """
    level = (scores.max() + scores.min()) / 2
    inside = np.flatnonzero(scores >= level)
    gaps = np.flatnonzero(np.diff(inside) > max(BRIDGE * grid, 1))
    firsts = inside[np.concatenate([[0], gaps + 1])]
    lasts = inside[np.concatenate([gaps, [len(inside) - 1]])]
    found = [
        Span(int(first), int(first + scores[first : last + 1].argmax()), int(last))
        for first, last in zip(firsts, lasts, strict=True)
    ]
    return sorted(found, key=lambda span: (-scores[span.peak], span.start))
