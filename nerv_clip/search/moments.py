"""From a curve of scores over time to moments: where they start, peak and end."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

BRIDGE = 2.0  # frames: a shorter dip does not end a moment


class Span(NamedTuple):
    """A moment on a grid of times: indices of its first, best and last point, inclusive."""

    start: int
    peak: int
    end: int


def spans(scores: NDArray[np.floating], grid: int = 1) -> list[Span]:
    """Moments of a curve (N,) with ``grid`` points a frame, the best peak first.

    A moment is a run of points above half the height of the curve's highest peak over its lowest
    point (full width at half maximum); runs that lie less than `BRIDGE` frames apart are one.
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
