"""Moments of a curve of scores over time: where they start, peak and end. None crosses a cut."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nerv_clip.evaluation.interpolation import shots_at
from nerv_clip.video.shots import Shots

BRIDGE = 4.0  # frames: runs of one shot that are at most this far apart are merged


class Span(NamedTuple):
    """A moment on a grid of times: indices of its first, best and last point, inclusive."""

    start: int
    peak: int
    end: int


def spans(
    scores: NDArray[np.floating],
    threshold: float,
    edge: float | NDArray[np.floating],
    grid: int = 1,
    shots: Shots | None = None,
) -> list[Span]:
    """Moments of a curve (N,) with ``grid`` points per frame, the highest peak first.

    A moment is a run of points at or above ``edge``, one value or (N,), whose peak is above
    ``threshold``: two levels as in hysteresis thresholding (Canny, 1986). Runs at most `BRIDGE`
    frames apart are merged. A run ends at a cut; points between two shots belong to the nearer
    frame (`Shots.settle`). By default, the video is one shot. Where no point is above
    ``threshold``, the moments are the runs at or above the middle between the curve's minimum and
    maximum.
    """
    if scores.max() <= threshold:
        threshold, edge = -np.inf, (scores.max() + scores.min()) / 2
    inside = np.flatnonzero(scores >= edge)
    own = shots_at(inside / grid, shots)
    gaps = np.flatnonzero((np.diff(inside) > BRIDGE * grid) | (np.diff(own) > 0))
    firsts = inside[np.concatenate([[0], gaps + 1])]
    lasts = inside[np.concatenate([gaps, [len(inside) - 1]])]
    found = [
        Span(int(first), int(first + scores[first : last + 1].argmax()), int(last))
        for first, last in zip(firsts, lasts, strict=True)
    ]
    clear = [span for span in found if scores[span.peak] > threshold]
    return sorted(clear, key=lambda span: (-scores[span.peak], span.start))
