"""Similarity of embeddings: frame by frame, by rank, and between whole sets, in NumPy."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Values = NDArray[np.floating[Any]]  # float64, or as it is stored: that saves memory
COMPARED = 1 << 22  # similarities that are in memory at a time
ROWS = 4096  # whose lengths are computed at a time: the squares of all take much memory


class Ranks(NamedTuple):
    """Retrieval of N frames among T, (N,) each; tied matches count by their expected value."""

    r1: Array  # R@1: 1 where the best match is the frame itself
    r5: Array  # R@5: 1 where the frame is among the five best matches
    near: Array  # R@±2: 1 where the best match is at most two frames away
    rank: Array  # from 1, the best, to T
    reciprocal: Array  # 1 / rank; its mean is the MRR


def present(rows: Values) -> NDArray[np.bool_]:
    """Which rows (N, D) hold a vector: a frame without an embedding has a row of NaN."""
    return np.asarray(~np.isnan(rows[:, 0]))


def unit(values: Array) -> Array:
    """Rows (N, D) scaled to unit length; rows of zeros stay zero."""
    return values / lengths(values)


def lengths(values: Array) -> Array:
    """The length of each row (N, D), 1 for a row of zeros: (N, 1)."""
    found = np.empty((len(values), 1))
    for start in range(0, len(values), ROWS):
        part = slice(start, start + ROWS)
        found[part] = np.linalg.norm(values[part], axis=1, keepdims=True)
    return np.where(found > 0, found, 1.0)


def cosine(a: Array, b: Array) -> Array:
    """Cosine similarity of each pair of rows: (N, D) twice to (N,), in [-1, 1]."""
    products: Array = np.einsum("ij,ij->i", unit(a), unit(b))
    return products


def centred_cosine(a: Array, b: Array, mean: Array) -> Array:
    """Cosine similarity after ``mean`` (D,) is subtracted from the unit rows of both: (N,).

    In [-1, 1]. The component that all frames have in common no longer raises the score.
    """
    return cosine(unit(a) - mean, unit(b) - mean)


def slerp(a: Array, b: Array, share: float) -> Array:
    """Spherical linear interpolation (Shoemake, 1985) of two unit vectors (D,).

    ``share`` in [0, 1] is the position on the great circle from ``a`` to ``b``.
    """
    angle = np.arccos(np.clip(a @ b, -1, 1))
    if angle < 1e-6:
        return (1 - share) * a + share * b
    between: Array = np.sin((1 - share) * angle) * a + np.sin(share * angle) * b
    return between / np.sin(angle)


def ranks(predicted: Values, true: Array, own: NDArray[np.intp]) -> Ranks:
    """Rank of the true frame ``own[i]`` for row ``i`` of ``predicted``, among all of ``true``.

    Ranked by cosine similarity. Shapes: ``predicted`` (N, D), ``true`` (T, D), ``own`` (N,). Rows
    of NaN have no ranks: NaN; true rows of NaN are not compared with. Rows are compared in chunks,
    because all similarities of a long video do not fit into memory.
    """
    target = unit(true)
    absent = ~present(true)
    rows = max(COMPARED // len(true), 1)
    found = np.full((len(Ranks._fields), len(own)), np.nan)
    for start in range(0, len(own), rows):
        part = np.ascontiguousarray(predicted[start : start + rows], np.float64)
        known = np.flatnonzero(present(part) & ~absent[own[start : start + len(part)]])
        if len(known):
            ranked = _ranks(unit(part[known]), target, own[start + known], absent)
            found[:, start + known] = ranked
    return Ranks(*found)


def _ranks(
    predicted: Array, true: Array, own: NDArray[np.intp], absent: NDArray[np.bool_]
) -> Ranks:
    """`ranks` of unit rows, all at once; true rows that are ``absent`` (T,) are left out."""
    similarity = predicted @ true.T
    similarity[:, absent] = -np.inf
    rows = np.arange(len(own))
    to_own = similarity[rows, own][:, None]
    better = (similarity > to_own).sum(1)
    ties = (similarity == to_own).sum(1)  # the frame itself included
    best = similarity == similarity.max(1, keepdims=True)
    around = own[:, None] + np.arange(-2, 3)
    inside = (around >= 0) & (around < len(true))
    near = best[rows[:, None], np.where(inside, around, 0)] & inside
    harmonic = np.concatenate([[0.0], np.cumsum(1 / np.arange(1, len(true) + 1))])
    return Ranks(
        r1=np.clip((1 - better) / ties, 0, 1),
        r5=np.clip((5 - better) / ties, 0, 1),
        near=near.sum(1) / best.sum(1),
        rank=better + (ties + 1) / 2,
        reciprocal=(harmonic[better + ties] - harmonic[better]) / ties,
    )


def average_precision(score: NDArray[np.floating], positive: NDArray[np.bool_]) -> float:
    """Average precision: the mean, over the positives, of the precision at their rank.

    Shapes (N,); a positive that ties with negatives is ranked after them.

    Raises ValueError without a positive.
    """
    if not positive.any():
        raise ValueError("no positive: average precision is undefined")
    order = np.lexsort((positive, -score))
    hits = positive[order]
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    return float(precision[hits].mean())


def debiased_cka(a: Array, b: Array) -> float:
    """Centred kernel alignment (Kornblith et al., 2019), linear kernel: at most 1.

    ``a`` (N, D) and ``b`` (N, E) are embeddings of the same N frames. Uses the unbiased HSIC of
    Song et al. (2012), so that independent embeddings of any width score 0 on average. NaN for N
    below 4, and where ``a`` or ``b`` does not vary.
    """
    if len(a) < 4:
        return math.nan
    k, m = (values @ values.T for values in (a, b))
    for gram in (k, m):
        np.fill_diagonal(gram, 0.0)
    norms = _hsic(k, k), _hsic(m, m)
    return _hsic(k, m) / math.sqrt(norms[0] * norms[1]) if min(norms) > 1e-12 else math.nan


def _hsic(k: Array, m: Array) -> float:
    """Unbiased HSIC (Song et al., 2012) of two Gram matrices (N, N) with zero diagonals."""
    n = len(k)
    trace = float((k * m).sum())
    sums = float(k.sum() * m.sum()) / ((n - 1) * (n - 2))
    cross = 2 * float(k.sum(0) @ m.sum(0)) / (n - 2)
    return (trace + sums - cross) / (n * (n - 3))


def rsa(a: Array, b: Array) -> float:
    """Representational similarity analysis (Kriegeskorte et al., 2008): in [-1, 1].

    Spearman's rank correlation of the cosine similarities of all pairs of frames in ``a`` (N, D)
    with those in ``b`` (N, E). NaN for N below 3, and where the similarities do not vary.
    """
    from scipy.stats import spearmanr  # slow to import

    if len(a) < 3:
        return math.nan
    upper = np.triu_indices(len(a), 1)
    values = [(unit(v) @ unit(v).T)[upper] for v in (a, b)]
    if min(np.ptp(v) for v in values) < 1e-12:
        return math.nan
    return float(spearmanr(*values).statistic)
