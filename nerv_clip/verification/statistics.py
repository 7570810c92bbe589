"""Statistics for sequences whose neighbours are alike: what still counts as evidence then."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nerv_clip.similarity import Array, unit

RESAMPLES = 2000
DRAWS = 10_000


class Interval(NamedTuple):
    """A mean with the ends of its 95 % interval."""

    mean: float
    low: float
    high: float


class Outcome(NamedTuple):
    """A statistic, its p-value, and the smallest p that the test can give."""

    statistic: float
    p: float
    floor: float


def autocorrelation(values: Array) -> Array:
    """Of a sequence (T, D): mean product of rows a lag apart, to that of lag 0; (T,)."""
    centred = values - values.mean(0)
    count = len(centred)
    spectrum = np.fft.rfft(centred, 2 * count, axis=0)
    products: Array = np.fft.irfft((np.abs(spectrum) ** 2).sum(1), 2 * count)[:count]
    products /= max(float(products[0]), 1e-300)
    return products


def independent_frames(values: Array) -> float:
    """About how many independent frames a sequence (T, D) holds, at most T.

    T over the sum of its autocorrelations to the first that is not positive (Geyer, 1992); 1 where
    nothing changes.
    """
    if np.ptp(values, axis=0).max() < 1e-9:
        return 1.0
    correlation = autocorrelation(values)
    end = int(np.argmax(correlation <= 0)) or len(correlation)
    return len(values) / (1 + 2 * float(correlation[1:end].sum()))


def block_length(values: Array) -> int:
    """Frames in a block that may be moved as one: what one independent frame stands for."""
    return max(1, min(len(values) // 2, math.ceil(len(values) / independent_frames(values))))


def resamples(count: int, length: int, draws: int = RESAMPLES, seed: int = 0) -> NDArray[np.intp]:
    """Indices (draws, count) of the circular block bootstrap (Politis and Romano, 1992)."""
    rng = np.random.default_rng(seed)
    blocks = -(-count // length)
    starts = rng.integers(count, size=(draws, blocks, 1))
    picked = (starts + np.arange(length)) % count
    return picked.reshape(draws, -1)[:, :count]


def interval(values: Array, picked: NDArray[np.intp], against: Array | None = None) -> Interval:
    """Mean of (T,) values, or skill 1 - mean / mean of ``against``, with a percentile interval."""
    means = values[picked].mean(1)
    mean = float(values.mean())
    if against is not None:
        means = 1 - means / np.maximum(against[picked].mean(1), 1e-12)
        mean = 1 - mean / max(float(against.mean()), 1e-12)
    low, high = np.quantile(means, [0.025, 0.975])
    return Interval(mean, float(low), float(high))


def shifted(candidate: Array, true: Array) -> Array:
    """Mean cosine of (T, D) with (T, D) at every circular shift, (T,); the first is unshifted."""
    a, b = unit(candidate), unit(true)
    spectrum = np.conj(np.fft.rfft(a, axis=0)) * np.fft.rfft(b, axis=0)
    return np.fft.irfft(spectrum.sum(1), len(a)) / len(a)


def circular_shift_test(candidate: Array, true: Array) -> Outcome:
    """Does each guess fit its own time better than the same sequence shifted in time?

    All T - 1 shifts, wrapped around, and none: exact, and p is at least 1 / T. Shifts keep the
    autocorrelation, so that smoothness alone is no evidence.
    """
    means = shifted(candidate, true)
    p = float((means >= means[0] - 1e-9).sum()) / len(means)
    return Outcome(float(means[0]), p, 1 / len(means))


def block_permutation_test(
    candidate: Array,
    true: Array,
    length: int,
    draws: int = DRAWS,
    seed: int = 0,
    notice: Callable[[int], object] = lambda _: None,
) -> Outcome:
    """The same question against shuffled blocks of ``length`` frames, cut from a random start.

    p counts the true order with the draws, so that it is never 0 (Phipson and Smyth, 2010).
    """
    rng = np.random.default_rng(seed)
    count = len(true)
    similarity = unit(candidate) @ unit(true).T
    rows = np.arange(count)
    own = float(similarity[rows, rows].mean())
    reached = 0
    for draw in range(draws):
        order = shuffled_blocks(count, length, rng)
        reached += float(similarity[rows, order].mean()) >= own - 1e-12
        if draw % 100 == 99:
            notice(100)
    return Outcome(own, (reached + 1) / (draws + 1), 1 / (draws + 1))


def shuffled_blocks(count: int, length: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """0 … count - 1 in blocks of ``length`` that lie in random order, wrapped by a random start."""
    start = rng.integers(count)
    blocks = -(-count // length)
    order = (rng.permutation(blocks)[:, None] * length + np.arange(length)).ravel()
    return (order[order < count] + start) % count
