"""Measures of embeddings against the true ones, with intervals, on the frames of a split."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nerv_clip.similarity import Array, Ranks, centred_cosine, cosine, debiased_cka, ranks, rsa
from nerv_clip.verification.baselines import Embeddings
from nerv_clip.verification.statistics import Interval, Resamples, bootstrap_interval

Indices = NDArray[np.intp]


class Measures(NamedTuple):
    """Measures of embeddings on the frames of a split; intervals by block bootstrap.

    ``cosine`` and ``centred`` are mean similarities in [-1, 1] (`nerv_clip.similarity.cosine`,
    `centred_cosine`). ``skill`` is 1 - mean error / mean error of the best trivial baseline, with
    1 - cosine as the error: at most 1, and 0 for that baseline. ``r1``, ``r5``, ``near`` (R@±2)
    and ``mrr`` are in [0, 1], ``median_rank`` is at least 1, all by rank among all frames of the
    video (`Ranks`). ``cka`` and ``rsa`` are `debiased_cka` and `nerv_clip.similarity.rsa`.
    """

    cosine: Interval
    centred: Interval
    skill: Interval
    r1: Interval
    r5: Interval
    near: Interval
    mrr: Interval
    median_rank: float
    cka: float
    rsa: float


class FrameScores(NamedTuple):
    """Scores of each frame (T,), averaged over draws; NaN for frames without an embedding."""

    cosine: Array
    centred: Array
    ranks: Ranks


def score_frames(embeddings: Embeddings, true: Array, train: list[int]) -> FrameScores:
    """Score every frame against ``true`` (T, D); ``centred`` subtracts the mean train embedding."""
    mean = true[train].mean(0)
    own = np.arange(len(true))
    scores = [
        (
            cosine(values, true),
            centred_cosine(values, true, mean),
            *ranks(np.nan_to_num(values), true, own),
        )
        for values in embeddings.draws
    ]
    average = np.mean(scores, axis=0)
    return FrameScores(average[0], average[1], Ranks(*average[2:]))


def best_trivial_baseline(
    compared: Sequence[Embeddings], scores: Mapping[str, FrameScores], chosen: Indices
) -> str:
    """Name of the trivial baseline with the highest mean cosine; "" if there is none.

    The mean is over the frames ``chosen``; baselines without an embedding of one are left out.
    """
    means = {
        embeddings.name: float(scores[embeddings.name].cosine[chosen].mean())
        for embeddings in compared
        if embeddings.kind == "trivial"
    }
    complete = {name: mean for name, mean in means.items() if not np.isnan(mean)}
    return max(complete, key=lambda name: complete[name], default="")


def measure(
    embeddings: Embeddings,
    scores: FrameScores,
    reference: FrameScores | None,
    true: Array,
    chosen: Indices,
    resampled: Resamples,
) -> Measures:
    """The measures on the frames ``chosen``.

    ``reference`` are the scores of the best trivial baseline; without one, skill is 0.
    ``resampled`` are of ``chosen``.
    """
    r1, r5, near, rank, reciprocal = (values[chosen] for values in scores.ranks)
    error = 1 - scores.cosine[chosen]
    reference_error = error if reference is None else 1 - reference.cosine[chosen]
    pairs = [(values[chosen], true[chosen]) for values in embeddings.draws]
    return Measures(
        cosine=bootstrap_interval(scores.cosine[chosen], resampled, within=(-1, 1)),
        centred=bootstrap_interval(scores.centred[chosen], resampled, within=(-1, 1)),
        skill=bootstrap_interval(error, resampled, reference_error, (-math.inf, 1)),
        r1=bootstrap_interval(r1, resampled, within=(0, 1)),
        r5=bootstrap_interval(r5, resampled, within=(0, 1)),
        near=bootstrap_interval(near, resampled, within=(0, 1)),
        mrr=bootstrap_interval(reciprocal, resampled, within=(0, 1)),
        median_rank=float(np.median(rank)),
        cka=float(np.mean([debiased_cka(*pair) for pair in pairs])),
        rsa=float(np.mean([rsa(*pair) for pair in pairs])),
    )


def difference(
    scores: Mapping[str, FrameScores],
    name: str,
    other: str,
    chosen: Indices,
    resampled: Resamples,
) -> Interval | None:
    """Centred cosine of the embeddings ``name`` minus that of ``other``, paired by frame.

    On the frames ``chosen``; None where one of them lacks an embedding.
    """
    paired = scores[name].centred[chosen] - scores[other].centred[chosen]
    if np.isnan(paired).any():
        return None
    return bootstrap_interval(paired, resampled, within=(-2, 2))
