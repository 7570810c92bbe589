"""Baselines from the neighbouring train frames: nearest, linear and spherical interpolation.

For a train frame, the frame itself is left out.
"""

from __future__ import annotations

from bisect import bisect_left

import numpy as np

from nerv_clip.similarity import Array, slerp


def blend_weights(index: int, train: list[int]) -> list[tuple[int, float]]:
    """The neighbouring train frames of a frame, with weights linear in time that sum to 1.

    ``train`` are frame indices in ascending order. A frame before the first or after the last
    train frame has one neighbour. The list is empty where there is no other train frame.

    >>> blend_weights(3, [2, 6])
    [(2, 0.75), (6, 0.25)]
    >>> blend_weights(0, [0, 1])
    [(1, 1.0)]
    """
    place = bisect_left(train, index)
    following = place + (train[place : place + 1] == [index])  # skip the frame itself
    neighbours = [*train[max(place - 1, 0) : place], *train[following : following + 1]]
    if len(neighbours) < 2:
        return [(neighbour, 1.0) for neighbour in neighbours]
    before, after = neighbours
    share = (index - before) / (after - before)
    return [(before, 1 - share), (after, share)]


def nearest(true: Array, train: list[int]) -> Array:
    """Embedding of the nearest other train frame, the earlier of two: (T, D) to (T, D).

    ``true`` are the embeddings of all frames; ``train`` as in `blend_weights`. Rows of frames
    without another train frame are NaN.
    """
    values = np.full_like(true, np.nan)
    for index in range(len(true)):
        neighbours = [i for i, _ in blend_weights(index, train)]
        if neighbours:
            values[index] = true[min(neighbours, key=lambda i: (abs(i - index), i))]
    return values


def interpolated(true: Array, train: list[int], *, spherical: bool) -> Array:
    """Embeddings interpolated between the neighbouring train frames: (T, D) to (T, D).

    Linear, or ``spherical`` (`slerp`). ``true`` are the embeddings of all frames; ``train`` as in
    `blend_weights`. Rows of frames without another train frame are NaN.
    """
    values = np.full_like(true, np.nan)
    for index in range(len(true)):
        neighbours = blend_weights(index, train)
        if len(neighbours) == 2 and spherical:
            (a, _), (b, share) = neighbours
            values[index] = slerp(true[a], true[b], share)
        elif neighbours:
            values[index] = sum(weight * true[i] for i, weight in neighbours)
    return values
