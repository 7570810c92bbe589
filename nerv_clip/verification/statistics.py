"""Statistics for autocorrelated sequences: block bootstrap, and a shift test of local deviations.

Neighbouring frames have nearly equal embeddings, so that frames are not independent samples.
Intervals resample blocks of frames; block length is the autocorrelation time. The test removes
what changes slowly before it compares two sequences.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nerv_clip.evaluation.interpolation import shots_of
from nerv_clip.similarity import Array, Values, lengths, present
from nerv_clip.video.shots import Shots

RESAMPLES = 2000  # of the bootstrap
LEAST_DEVIATION = 1e-6  # a shorter one is rounding: the frame is as its neighbours say
COLUMNS = 32  # transformed at a time: the spectra of long videos take much memory
CHUNK = 1 << 20  # blocks that are summed at a time


class Interval(NamedTuple):
    """A mean with the ends of its 95 % interval."""

    mean: float
    low: float
    high: float


class Resamples(NamedTuple):
    """Resamples of ``frames`` frames: blocks that begin at the frames ``starts`` (draws, blocks).

    A block has ``length`` frames, and the last one of a resample the rest. The first frame follows
    the last one.
    """

    starts: NDArray[np.int32]
    length: int
    frames: int

    @property
    def blocks(self) -> int:
        """Blocks in a resample."""
        return int(self.starts.shape[1])

    def means(self, values: Array) -> Array:
        """The mean of ``values`` (frames,) over each resample: (draws,)."""
        sums = np.concatenate([[0.0], np.cumsum(np.resize(values, self.frames + self.length))])
        lengths = np.full(self.blocks, self.length)
        lengths[-1] = self.frames - (self.blocks - 1) * self.length
        rows = max(CHUNK // self.blocks, 1)
        parts = [self.starts[row : row + rows] for row in range(0, len(self.starts), rows)]
        totals = [(sums[starts + lengths] - sums[starts]).sum(1) for starts in parts]
        return np.asarray(np.concatenate(totals) / self.frames)


class ShiftTest(NamedTuple):
    """Result of `shift_test`.

    ``statistic`` is a correlation in [-1, 1]. ``floor`` is the smallest p-value that
    the test can give. ``effective`` is the effective number of independent pairs.
    """

    statistic: float
    p: float
    floor: float
    effective: float


def autocorrelation(values: Array) -> Array:
    """Autocorrelation of a sequence of vectors (T, D) at lags 0 to T - 1: (T,), 1 at lag 0."""
    mean, (count, width) = values.mean(0), values.shape
    power = np.empty((count + 1, width))
    for start in range(0, width, COLUMNS):
        part = slice(start, start + COLUMNS)
        centred = values[:, part] - mean[part]
        power[:, part] = np.abs(np.fft.rfft(centred, 2 * count, axis=0)) ** 2
    products: Array = np.fft.irfft(power.sum(1), 2 * count)[:count]
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


def bootstrap(count: int, length: int, draws: int = RESAMPLES, seed: int = 0) -> Resamples:
    """Resamples of the circular block bootstrap (Politis and Romano, 1992).

    ``count`` frames are resampled in blocks of ``length``.
    """
    rng = np.random.default_rng(seed)
    blocks = -(-count // length)
    starts = rng.integers(count, size=(draws, blocks)).astype(np.int32)
    return Resamples(starts, length, count)


def bootstrap_interval(
    values: Array,
    resamples: Resamples,
    reference: Array | None = None,
    within: tuple[float, float] = (-math.inf, math.inf),
) -> Interval:
    """Mean of ``values`` (T,) with a 95 % interval, cut to the range ``within``.

    The interval is Student's: the standard error is that of the bootstrap, the degrees of freedom
    are the number of blocks - 1. Percentiles of the bootstrap would be too narrow for few blocks
    (`bench/nulls.py` measures both). With a ``reference`` (T,), of the skill
    1 - mean of ``values`` / mean of ``reference``.
    """
    from scipy.special import stdtrit  # slow to import

    means, blocks = resamples.means(values), resamples.blocks
    mean = float(values.mean())
    if reference is not None:
        means = 1 - means / np.maximum(resamples.means(reference), 1e-12)
        mean = 1 - mean / max(float(reference.mean()), 1e-12)
    if blocks < 2:
        return Interval(mean, *within)
    error = float(means.std()) * math.sqrt(blocks / (blocks - 1))
    half = float(stdtrit(blocks - 1, 0.975)) * error
    return Interval(mean, max(mean - half, within[0]), min(mean + half, within[1]))


def mean_cosine_by_shift(predicted: Values, true: Values) -> Array:
    """Mean cosine similarity of two (T, D) at every circular shift in time: (T,), 0 first.

    The mean is over the true rows that are not NaN.
    """
    count, width = true.shape
    known = present(true).sum()
    scaled = [
        (values, lengths(values.astype(np.float64))) for values in (predicted, np.nan_to_num(true))
    ]
    products = np.empty((count // 2 + 1, width), np.complex128)
    for start in range(0, width, COLUMNS):
        part = slice(start, start + COLUMNS)
        first, second = (np.fft.rfft(v[:, part] / length, axis=0) for v, length in scaled)
        products[:, part] = np.conj(first) * second
    return np.asarray(np.fft.irfft(products.sum(1), count) / known)


def local_deviations(
    values: Values, frames: Sequence[int], gap: int, shots: Shots | None = None
) -> Array:
    """How each of some frames differs from its neighbours in time: (T, D) to (N, D).

    For each index in ``frames`` (increasing), the embedding minus the linear interpolation between
    the nearest two of ``frames`` that are at least ``gap`` before and after it; then the same of
    these differences. Frames without such neighbours in their shot are left out; by default, the
    video is one shot. This removes trends and what changes slowly, as differencing does before two
    time series are compared (Haugh, 1976). Deviations longer than the median are shortened to it,
    so that a few sudden changes do not outweigh all other frames.
    """
    at = np.asarray(frames, dtype=np.intp)
    found = values[at].astype(np.float64)
    for _ in range(2):
        before = np.searchsorted(at, at - gap, side="right") - 1
        after = np.searchsorted(at, at + gap)
        inside = (before >= 0) & (after < len(at))
        own = shots_of(at, shots)
        inside &= own[before] == own[np.minimum(after, len(at) - 1)]
        first, last = before[inside], after[inside]
        share = ((at[inside] - at[first]) / (at[last] - at[first]))[:, None]
        found = found[inside] - (1 - share) * found[first] - share * found[last]
        at = at[inside]
    length = np.linalg.norm(found, axis=1)
    moves = length >= LEAST_DEVIATION
    if not moves.any():
        return np.zeros_like(found)
    found[~moves] = 0
    return np.asarray(found / np.maximum(length, np.median(length[moves]))[:, None])


def shift_test(predicted: Array, true: Array) -> ShiftTest:
    """Test whether predicted deviations (N, D) match the true ones (N, D) better than shifted.

    ``true`` is shifted by up to N / 2 either way, without wrapping round. The sum of the products
    of the pairs that overlap, divided by the square root of their number, has the same variance at
    every shift if the two are independent. p is the share of all shifts, 0 included, at which it
    is as large as without a shift (the truncated time-shift test of Yuan and Shou, 2024, on
    deviations), but at least the floor: 1 / the number of shifts of as many frames as have a true
    deviation that is not 0. This holds where the sequences are stationary and enough pairs are
    independent: a periodic sequence has as many shifts, but few different ones. The effective
    number of pairs is N / (1 + 2 · sum over all lags of the product of both autocorrelations)
    (Bartlett, 1935), or the same with the autocorrelation of ``true`` twice, whichever is smaller.
    """
    count, reach = len(true), len(true) // 2
    moving = int(true.any(1).sum())
    floor = 1 / (2 * (moving // 2) + 1)
    if moving < 2 or not predicted.any():
        return ShiftTest(0.0, 1.0, floor, float(moving))
    spectra = [np.fft.rfft(values, 2 * count, axis=0) for values in (predicted, true)]
    sums = np.fft.irfft((np.conj(spectra[0]) * spectra[1]).sum(1), 2 * count)
    shifts = np.arange(-reach, reach + 1)
    standard = sums[shifts] / np.sqrt(count - np.abs(shifts))
    p = max(float((standard >= standard[reach] - 1e-9).mean()), floor)
    own, other = autocorrelation(true), autocorrelation(predicted)
    shared = max(0.0, float((own * own)[1:].sum()), float((own * other)[1:].sum()))
    correlation = sums[0] / math.sqrt(float((predicted**2).sum() * (true**2).sum()))
    return ShiftTest(float(correlation), p, floor, moving / (1 + 2 * shared))


def shuffled_blocks(count: int, length: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """0 … count - 1, cut into blocks of ``length`` from a random start, in random order."""
    start = rng.integers(count)
    blocks = -(-count // length)
    order = (rng.permutation(blocks)[:, None] * length + np.arange(length)).ravel()
    return (order[order < count] + start) % count
