"""How high a text scores that a video does not show: the level that a match has to exceed.

It is estimated for each stretch of a video. A film of many scenes shows so many things that most
texts are shown somewhere; a stretch shows few of them.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nerv_clip.evaluation.interpolation import shots_at
from nerv_clip.video.shots import Shots

STRETCH = 300  # frames: longer shots are divided
DURATION = 5  # frames that a score is averaged over: a shorter peak is mostly noise
DEGREES = 10  # of freedom: best scores of absent texts have heavier tails than a normal
OUTLIER = 3.0  # standard deviations above the median: beyond, a text is taken as shown

Floats = NDArray[np.floating[Any]]


def lasting(curves: Floats, grid: int = 1, shots: Shots | None = None) -> Floats:
    """Means of curves (N, ...) over `DURATION` frames around each point, ``grid`` per frame.

    At both ends of a shot, over those of the frames that it has. Points between two shots belong to
    the nearer frame (`Shots.settle`). By default, the video is one shot.
    """
    half = (DURATION - 1) * grid // 2
    total = np.concatenate([np.zeros((1, *curves.shape[1:])), np.cumsum(curves, 0, np.float64)])
    points = np.arange(len(curves))
    own = shots_at(points / grid, shots)
    start, stop = np.searchsorted(own, own), np.searchsorted(own, own, side="right")
    first, last = np.maximum(points - half, start), np.minimum(points + half + 1, stop)
    count = (last - first).reshape(-1, *[1] * (curves.ndim - 1))
    return np.asarray((total[last] - total[first]) / count, curves.dtype)


def stretch_of(points: int, grid: int = 1, shots: Shots | None = None) -> NDArray[np.intp]:
    """The stretch, from 0, of each of some points, ``grid`` per frame: (points,).

    A stretch is a shot, or a part of at most `STRETCH` frames of a longer one.
    """
    whole = Shots((points - 1) // grid + 1) if shots is None else shots
    return shots_at(np.arange(points) / grid, whole.divided(STRETCH))


def best_in(curves: Floats, stretch: NDArray[np.intp]) -> Floats:
    """The best of curves (N, ...) in each of S stretches, of which each has a point: (S, ...)."""
    starts = np.searchsorted(stretch, np.arange(stretch[-1] + 1))
    return np.asarray(np.maximum.reduceat(curves, starts))


class Absence(NamedTuple):
    """The distribution of the best score in a stretch over texts that it does not show.

    For each of S stretches, a Student's t distribution with `DEGREES` degrees of freedom, median
    ``typical`` (S,) and scale ``spread`` (S,).
    """

    typical: Floats
    spread: Floats

    def level(self, rate: float) -> Floats:
        """The scores (S,) that a share ``rate`` in (0, 1) of texts exceeds that are not shown."""
        from scipy.stats import t  # slow to import

        return np.asarray(self.typical + self.spread * t.isf(rate, DEGREES))


def not_shown(best: Floats) -> NDArray[np.bool_]:
    """Which texts with the best scores (U,) are not shown, if most are not.

    Texts more than `OUTLIER` standard deviations above the median count as shown, again and again
    until none is; the standard deviation is that of the median absolute deviation.
    """
    kept = np.ones(len(best), bool)
    while True:
        middle = np.median(best[kept])
        spread = 1.4826 * np.median(np.abs(best[kept] - middle))
        below = kept & (best <= middle + OUTLIER * spread)
        if (below == kept).all():
            return kept
        kept = below


def estimate_absence(best: Floats, counted: NDArray[np.bool_] | None = None) -> Absence:
    """Estimate the distributions from the best scores (S, U) of texts in stretches.

    Texts that a stretch shows are left out, and so are those that ``counted`` (S, U) excludes. The
    result holds while a stretch shows few of the texts, see `not_shown`.
    """
    typical, spread = [], []
    for index, scores in enumerate(best):
        own = scores if counted is None else scores[counted[index]]
        kept = own[not_shown(own)]
        typical.append(np.median(kept))
        spread.append(kept.std(ddof=1) if len(kept) > 1 else 0.0)
    return Absence(np.array(typical), np.array(spread))
