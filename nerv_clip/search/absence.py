"""How high a text scores that a video does not show: the level that a match has to exceed."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nerv_clip.evaluation.interpolation import shots_at
from nerv_clip.video.shots import Shots

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


class Absence(NamedTuple):
    """The distribution of the best score in a video over texts that it does not show.

    A Student's t distribution with `DEGREES` degrees of freedom, median ``typical`` and scale
    ``spread``.
    """

    typical: float
    spread: float

    def level(self, rate: float) -> float:
        """The score that a share ``rate`` in (0, 1) of texts exceeds that are not shown."""
        from scipy.stats import t  # slow to import

        return float(self.typical + self.spread * t.isf(rate, DEGREES))


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


def estimate_absence(best: Floats) -> Absence:
    """Estimate the distribution from the best scores (U,) of texts, without those that are shown.

    The result holds while most texts are not shown, see `not_shown`.
    """
    kept = best[not_shown(best)]
    return Absence(float(np.median(kept)), float(kept.std(ddof=1)) if len(kept) > 1 else 0.0)
