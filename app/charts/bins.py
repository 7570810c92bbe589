"""Curves of more values than a chart can show: equal bins with their mean and range."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

MOST_POINTS = 1500  # of a curve that are drawn one by one
BINS = 500  # otherwise; about two pixels each

Values = NDArray[np.floating]
Indices = NDArray[np.intp]


@dataclass(frozen=True)
class Bins:
    """Bins of equal width over a range of values, those without a value left out: (B,) each.

    ``first`` and ``last`` are the indices of a bin's first and last value, ``count`` is the number
    of its values that count; ``low``, ``mean`` and ``high`` are of those. ``typical`` is the index
    of the one nearest to the mean, ``lowest`` and ``highest`` of the extremes.
    """

    first: Indices
    last: Indices
    count: Indices
    low: Values
    mean: Values
    high: Values
    typical: Indices
    lowest: Indices
    highest: Indices

    @property
    def middle(self) -> Values:
        """The middle of each bin."""
        return (self.first + self.last) / 2


def width_for(count: int, most: int = MOST_POINTS) -> int:
    """Values in a bin, 1 where ``count`` values are not more than ``most``."""
    return 1 if count <= most else -(-count // BINS)


def in_bins(values: Values, shown: range, width: int, chosen: NDArray[Any] | None = None) -> Bins:
    """The bins of ``width`` over the values in ``shown``.

    Values that are not ``chosen`` (T,), or NaN, do not count.
    """
    part = np.array(values[shown.start : shown.stop], float)
    if chosen is not None:
        part[~chosen[shown.start : shown.stop]] = np.nan
    bins = -(-len(part) // width)
    padding = np.full(bins * width - len(part), np.nan)
    table = np.concatenate([part, padding]).reshape(bins, width)
    missing = np.isnan(table)
    count = width - missing.sum(1)
    kept = count > 0
    table, missing, count = table[kept], missing[kept], count[kept]
    first = shown.start + np.flatnonzero(kept) * width
    mean = np.where(missing, 0, table).sum(1) / count
    lowest = np.where(missing, np.inf, table).argmin(1)
    highest = np.where(missing, -np.inf, table).argmax(1)
    typical = np.where(missing, np.inf, abs(table - mean[:, None])).argmin(1)
    row = np.arange(len(table))
    return Bins(
        first=first,
        last=np.minimum(first + width, shown.stop) - 1,
        count=count,
        low=table[row, lowest],
        mean=mean,
        high=table[row, highest],
        typical=first + typical,
        lowest=first + lowest,
        highest=first + highest,
    )
