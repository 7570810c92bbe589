"""Statistics for autocorrelated sequences: block bootstrap and permutation tests in time.

Neighbouring frames have nearly equal embeddings, so that frames are not independent samples.
Intervals resample, and tests permute, blocks of frames. Block length is the autocorrelation time.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nerv_clip.progress import Task
from nerv_clip.similarity import Array, unit

RESAMPLES = 2000  # of the bootstrap
DRAWS = 10_000  # of the block permutation test
DRAWS_PER_STEP = 100  # of its progress


class Interval(NamedTuple):
    """A mean with the ends of its 95 % interval."""

    mean: float
    low: float
    high: float


class PermutationResult(NamedTuple):
    """Result of a permutation test; ``floor`` is the smallest p-value that the test can give."""

    statistic: float
    p: float
    floor: float


def autocorrelation(values: Array) -> Array:
    """Autocorrelation of a sequence of vectors (T, D) at lags 0 to T - 1: (T,), 1 at lag 0."""
    centred = values - values.mean(0)
    count = len(centred)
    spectrum = np.fft.rfft(centred, 2 * count, axis=0)
    products: Array = np.fft.irfft((np.abs(spectrum) ** 2).sum(1), 2 * count)[:count]
    products /= max(float(products[0]), 1e-300)
    return products


def effective_sample_size(values: Array) -> float:
    """Effective sample size of a sequence (T, D), at most T; 1 for a constant sequence.

    T / (1 + 2 · sum of the autocorrelation from lag 1 to the first lag at which it is not
    positive) (Geyer, 1992).
    """
    if np.ptp(values, axis=0).max() < 1e-9:
        return 1.0
    correlation = autocorrelation(values)
    end = int(np.argmax(correlation <= 0)) or len(correlation)
    return len(values) / (1 + 2 * float(correlation[1:end].sum()))


def block_length(values: Array) -> int:
    """Frames in a block: the autocorrelation time of a sequence (T, D), at most T / 2."""
    time = math.ceil(len(values) / effective_sample_size(values))
    return max(1, min(len(values) // 2, time))


def bootstrap_indices(
    count: int, length: int, draws: int = RESAMPLES, seed: int = 0
) -> NDArray[np.intp]:
    """Indices (draws, count) of the circular block bootstrap (Politis and Romano, 1992).

    ``count`` frames are resampled in blocks of ``length``.
    """
    rng = np.random.default_rng(seed)
    blocks = -(-count // length)
    starts = rng.integers(count, size=(draws, blocks, 1))
    indices = (starts + np.arange(length)) % count
    return indices.reshape(draws, -1)[:, :count]


def bootstrap_interval(
    values: Array, indices: NDArray[np.intp], reference: Array | None = None
) -> Interval:
    """Mean of ``values`` (T,) with a 95 % percentile interval over `bootstrap_indices`.

    With a ``reference`` (T,), of the skill 1 - mean of ``values`` / mean of ``reference``.
    """
    means = values[indices].mean(1)
    mean = float(values.mean())
    if reference is not None:
        means = 1 - means / np.maximum(reference[indices].mean(1), 1e-12)
        mean = 1 - mean / max(float(reference.mean()), 1e-12)
    low, high = np.quantile(means, [0.025, 0.975])
    return Interval(mean, float(low), float(high))


def mean_cosine_by_shift(predicted: Array, true: Array) -> Array:
    """Mean cosine similarity of two (T, D) at every circular shift in time: (T,), 0 first."""
    a, b = unit(predicted), unit(true)
    spectrum = np.conj(np.fft.rfft(a, axis=0)) * np.fft.rfft(b, axis=0)
    return np.fft.irfft(spectrum.sum(1), len(a)) / len(a)


def circular_shift_test(predicted: Array, true: Array) -> PermutationResult:
    """Test whether (T, D) fits (T, D) better than the same sequence shifted in time.

    The statistic is the mean cosine similarity. All T circular shifts are compared, so the test is
    exact, and p is at least 1 / T. Shifts preserve the autocorrelation: smoothness alone gives no
    small p.
    """
    means = mean_cosine_by_shift(predicted, true)
    p = float((means >= means[0] - 1e-9).sum()) / len(means)
    return PermutationResult(float(means[0]), p, 1 / len(means))


def block_permutation_test(
    predicted: Array,
    true: Array,
    length: int,
    draws: int = DRAWS,
    seed: int = 0,
    task: Task | None = None,
) -> PermutationResult:
    """Test whether (T, D) fits (T, D) better than in shuffled blocks of ``length`` frames.

    The statistic is the mean cosine similarity. The observed order counts as one of the draws, so
    that p is at least 1 / (draws + 1) (Phipson and Smyth, 2010). ``task`` advances by one every
    `DRAWS_PER_STEP` draws.
    """
    rng = np.random.default_rng(seed)
    count = len(true)
    similarity = unit(predicted) @ unit(true).T
    rows = np.arange(count)
    observed = float(similarity[rows, rows].mean())
    reached = 0
    for draw in range(draws):
        order = shuffled_blocks(count, length, rng)
        reached += float(similarity[rows, order].mean()) >= observed - 1e-12
        if task is not None and draw % DRAWS_PER_STEP == DRAWS_PER_STEP - 1:
            task.advance()
    return PermutationResult(observed, (reached + 1) / (draws + 1), 1 / (draws + 1))


def shuffled_blocks(count: int, length: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """0 … count - 1, cut into blocks of ``length`` from a random start, in random order."""
    start = rng.integers(count)
    blocks = -(-count // length)
    order = (rng.permutation(blocks)[:, None] * length + np.arange(length)).ravel()
    return (order[order < count] + start) % count
