"""What can be said of a frame from its neighbouring train frames, itself left out."""

from __future__ import annotations

from bisect import bisect_left

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def blend_weights(index: int, train: list[int]) -> list[tuple[int, float]]:
    """The neighbours of a frame in ``train`` (rising), itself left out, with weights linear in t.

    At an end the one neighbour has all the weight; empty where there is no other train frame.

    >>> blend_weights(3, [2, 6])
    [(2, 0.75), (6, 0.25)]
    >>> blend_weights(0, [0, 1])
    [(1, 1.0)]
    """
    place = bisect_left(train, index)
    after = place + (train[place : place + 1] == [index])  # a train frame's own place is skipped
    sides = [*train[max(place - 1, 0) : place], *train[after : after + 1]]
    if len(sides) < 2:
        return [(side, 1.0) for side in sides]
    before, after = sides
    share = (index - before) / (after - before)
    return [(before, 1 - share), (after, share)]


def nearest(true: Array, train: list[int]) -> Array:
    """The embedding of the nearest other train frame; the earlier of two that are as near."""
    candidate = np.full_like(true, np.nan)
    for index in range(len(true)):
        sides = [i for i, _ in blend_weights(index, train)]
        if sides:
            candidate[index] = true[min(sides, key=lambda i: (abs(i - index), i))]
    return candidate


def interpolated(true: Array, train: list[int], *, spherical: bool) -> Array:
    """Between the neighbouring train frames' embeddings, a train frame's own left out."""
    candidate = np.full_like(true, np.nan)
    for index in range(len(true)):
        parts = blend_weights(index, train)
        if len(parts) == 2 and spherical:
            (a, _), (b, share) = parts
            candidate[index] = slerp(true[a], true[b], share)
        elif parts:
            candidate[index] = sum(weight * true[i] for i, weight in parts)
    return candidate


def slerp(a: Array, b: Array, share: float) -> Array:
    """Along the great circle from unit vector ``a`` to ``b`` (Shoemake, 1985)."""
    angle = np.arccos(np.clip(a @ b, -1, 1))
    if angle < 1e-6:
        return (1 - share) * a + share * b
    between: Array = np.sin((1 - share) * angle) * a + np.sin(share * angle) * b
    return between / np.sin(angle)
