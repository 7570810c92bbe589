"""Baselines from the neighbouring train frames: nearest, linear and spherical interpolation.

For a train frame, the frame itself is left out. Neighbours are in the same shot: nothing is
interpolated across a cut. In all functions ``shots`` None stands for a video of one shot.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nerv_clip.similarity import Array, slerp
from nerv_clip.video.shots import Shots


def shots_of(frames: Sequence[int] | NDArray[np.generic], shots: Shots | None) -> NDArray[np.intp]:
    """The shot, from 0, of each of some frames, in any order: (N,) to (N,).

    >>> shots_of([4, 0, 5], Shots(8, (0, 5))).tolist()
    [0, 0, 1]
    """
    firsts = (0,) if shots is None else shots.firsts
    return np.asarray(np.searchsorted(firsts, np.asarray(frames), side="right") - 1)


def shots_at(places: NDArray[np.float64], shots: Shots | None) -> NDArray[np.intp]:
    """The shot of each of some places (N,) in frames, whole or not (`Shots.settle`)."""
    return shots_of(places if shots is None else shots.settle(places), shots)


def blend_weights(
    index: int, train: Sequence[int], shots: Shots | None = None
) -> list[tuple[int, float]]:
    """The neighbouring train frames of a frame, with weights linear in time that sum to 1.

    ``train`` are frame indices in ascending order. A frame before the first or after the last
    train frame of its shot has one neighbour. The list is empty where its shot has no other train
    frame.

    >>> blend_weights(3, [2, 6])
    [(2, 0.75), (6, 0.25)]
    >>> blend_weights(3, [2, 6], Shots(8, (0, 5)))
    [(2, 1.0)]
    >>> blend_weights(0, [0])
    []
    """
    place = bisect_left(train, index)
    following = place + (place < len(train) and train[place] == index)  # skip the frame itself
    neighbours = [*train[max(place - 1, 0) : place], *train[following : following + 1]]
    if shots is not None:
        neighbours = [i for i in neighbours if shots.of(i) == shots.of(index)]
    if len(neighbours) < 2:
        return [(neighbour, 1.0) for neighbour in neighbours]
    before, after = neighbours
    share = (index - before) / (after - before)
    return [(before, 1 - share), (after, share)]


def alone(train: Sequence[int], shots: Shots | None = None) -> list[int]:
    """The train frames whose shot has no other train frame, so that nothing can stand for them.

    ``train`` as in `blend_weights`.

    >>> alone([2, 4, 6], Shots(8, (0, 5)))
    [6]
    """
    own = shots_of(train, shots)
    return [index for index, count in zip(train, np.bincount(own)[own], strict=True) if count == 1]


def nearest(true: Array, train: Sequence[int], shots: Shots | None = None) -> Array:
    """Embedding of the nearest other train frame, the earlier of two: (T, D) to (T, D).

    ``true`` are the embeddings of all frames; ``train`` as in `blend_weights`. Rows of frames
    without another train frame in their shot are NaN.
    """
    values = np.full_like(true, np.nan)
    for index in range(len(true)):
        neighbours = [i for i, _ in blend_weights(index, train, shots)]
        if neighbours:
            values[index] = true[min(neighbours, key=lambda i: (abs(i - index), i))]
    return values


def interpolated(
    true: Array, train: Sequence[int], shots: Shots | None = None, *, spherical: bool
) -> Array:
    """Embeddings interpolated between the neighbouring train frames: (T, D) to (T, D).

    Linear, or ``spherical`` (`slerp`). ``true`` are the embeddings of all frames; ``train`` as in
    `blend_weights`. Rows of frames without another train frame in their shot are NaN.
    """
    values = np.full_like(true, np.nan)
    for index in range(len(true)):
        neighbours = blend_weights(index, train, shots)
        if len(neighbours) == 2 and spherical:
            (a, _), (b, share) = neighbours
            values[index] = slerp(true[a], true[b], share)
        elif neighbours:
            values[index] = sum(weight * true[i] for i, weight in neighbours)
    return values
