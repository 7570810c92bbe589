"""Baselines from the neighbouring train frames: nearest, linear and spherical interpolation.

A train frame is never its own neighbour.
"""

from __future__ import annotations

from bisect import bisect_left

import numpy as np

from nerv_clip.similarity import Array, slerp


def blend_weights(index: int, train: list[int]) -> list[tuple[int, float]]:
    """The neighbours of a frame among the train frames, with weights that are linear in t.

    ``train`` are frame indices in increasing order. A frame before the first or after the last
    train frame has one neighbour, of weight 1. The list is empty if there is no other train frame.

    >>> blend_weights(3, [2, 6])
    [(2, 0.75), (6, 0.25)]
    >>> blend_weights(0, [0, 1])
    [(1, 1.0)]
    """
    place = bisect_left(train, index)
    after = place + (train[place : place + 1] == [index])  # skip the frame itself
    sides = [*train[max(place - 1, 0) : place], *train[after : after + 1]]
    if len(sides) < 2:
        return [(side, 1.0) for side in sides]
    before, after = sides
    share = (index - before) / (after - before)
    return [(before, 1 - share), (after, share)]


def nearest(true: Array, train: list[int]) -> Array:
    """Each frame's nearest other train frame, the earlier of two: embeddings (T, D) to (T, D).

    Rows without another train frame are NaN.
    """
    values = np.full_like(true, np.nan)
    for index in range(len(true)):
        sides = [i for i, _ in blend_weights(index, train)]
        if sides:
            values[index] = true[min(sides, key=lambda i: (abs(i - index), i))]
    return values


def interpolated(true: Array, train: list[int], *, spherical: bool) -> Array:
    """Interpolation between each frame's neighbouring train frames: (T, D) to (T, D).

    Linear, or ``spherical`` along the great circle. Rows without another train frame are NaN.
    """
    values = np.full_like(true, np.nan)
    for index in range(len(true)):
        parts = blend_weights(index, train)
        if len(parts) == 2 and spherical:
            (a, _), (b, share) = parts
            values[index] = slerp(true[a], true[b], share)
        elif parts:
            values[index] = sum(weight * true[i] for i, weight in parts)
    return values
