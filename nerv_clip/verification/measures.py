"""Measures of embeddings against the true ones, with intervals, on the frames of a split."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nerv_clip.similarity import (
    Array,
    Ranks,
    Values,
    centred_cosine,
    cosine,
    debiased_cka,
    ranks,
    rsa,
)
from nerv_clip.verification.baselines import Embeddings
from nerv_clip.verification.statistics import Interval, Resamples, bootstrap_interval

Indices = NDArray[np.intp]
PAIRED = 1000  # frames, at most, all pairs of which are compared for CKA and RSA
CHUNK = 4096  # frames that are scored at a time


class Measures(NamedTuple):
    """Measures of embeddings on the frames of a split; intervals by block bootstrap.

    ``cosine`` and ``centred`` are mean similarities in [-1, 1] (`nerv_clip.similarity.cosine`,
    `centred_cosine`). ``skill`` is 1 - mean error / mean error of the best trivial baseline, with
    1 - cosine as the error: at most 1, and 0 for that baseline. ``r1``, ``r5``, ``near`` (R@±2)
    and ``mrr`` are in [0, 1], ``median_rank`` is at least 1, all by rank among all frames of the
    video (`Ranks`). ``cka`` and ``rsa`` are `debiased_cka` and `nerv_clip.similarity.rsa`, of the
    frames of a `sample` where there are more than `PAIRED`.
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


class Alignment(NamedTuple):
    """CKA and RSA on the frames of a split, averaged over draws."""

    cka: float
    rsa: float


class FrameScores(NamedTuple):
    """Scores of each frame (T,), averaged over draws; NaN for frames without an embedding.

    ``alignments`` are by split, for those on which all frames have an embedding.
    """

    cosine: Array
    centred: Array
    ranks: Ranks
    alignments: dict[str, Alignment]


def score_frames(
    draws: Iterable[Values], true: Array, train: list[int], splits: Mapping[str, Indices]
) -> FrameScores:
    """Score embeddings, one or more ``draws`` (T, D), against ``true`` (T, D).

    ``centred`` subtracts the mean train embedding. ``splits`` are frames by the name of the split.
    Draws are read one by one: those of a long video do not fit into memory together.
    """
    mean = true[train].mean(0)
    chosen = {name: sample(frames, PAIRED) for name, frames in splits.items()}
    scores: list[Array] = []
    aligned: dict[str, list[Alignment]] = {name: [] for name in splits}
    for values in draws:
        scores.append(_scores(values, true, mean))
        for name, frames in chosen.items():
            if not np.isnan(scores[-1][0][splits[name]]).any():
                pair = values[frames].astype(np.float64), true[frames]
                aligned[name].append(Alignment(debiased_cka(*pair), rsa(*pair)))
    average = np.mean(scores, axis=0)
    means = {n: Alignment(*np.mean(each, axis=0).tolist()) for n, each in aligned.items() if each}
    return FrameScores(average[0], average[1], Ranks(*average[2:]), means)


def _scores(values: Values, true: Array, mean: Array) -> Array:
    """Cosine, centred cosine and `Ranks` of every frame, one below another: (7, T)."""
    found = np.empty((2 + len(Ranks._fields), len(true)))
    for start in range(0, len(true), CHUNK):
        part = slice(start, start + CHUNK)
        own = np.ascontiguousarray(values[part], np.float64)
        found[0, part] = cosine(own, true[part])
        found[1, part] = centred_cosine(own, true[part], mean)
    found[2:] = ranks(values, true, np.arange(len(true)))
    return found


def sample(frames: Indices, most: int) -> Indices:
    """At most ``most`` of some frames (N,), evenly spread over them.

    One of each of ``most`` equal stretches, at a place that changes from one to the next by the
    golden ratio: a fixed step could pick frames of one kind, such as train frames, alone.
    """
    if len(frames) <= most:
        return frames
    places = np.arange(most)
    share = places * (math.sqrt(5) - 1) / 2 % 1
    return np.asarray(frames[((places + share) * len(frames) / most).astype(np.intp)])


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
    scores: FrameScores,
    reference: FrameScores | None,
    split: str,
    chosen: Indices,
    resampled: Resamples,
) -> Measures:
    """The measures on the frames ``chosen`` of a split.

    ``reference`` are the scores of the best trivial baseline; without one, skill is 0.
    ``resampled`` are of ``chosen``.
    """
    r1, r5, near, rank, reciprocal = (values[chosen] for values in scores.ranks)
    error = 1 - scores.cosine[chosen]
    reference_error = error if reference is None else 1 - reference.cosine[chosen]
    return Measures(
        cosine=bootstrap_interval(scores.cosine[chosen], resampled, within=(-1, 1)),
        centred=bootstrap_interval(scores.centred[chosen], resampled, within=(-1, 1)),
        skill=bootstrap_interval(error, resampled, reference_error, (-math.inf, 1)),
        r1=bootstrap_interval(r1, resampled, within=(0, 1)),
        r5=bootstrap_interval(r5, resampled, within=(0, 1)),
        near=bootstrap_interval(near, resampled, within=(0, 1)),
        mrr=bootstrap_interval(reciprocal, resampled, within=(0, 1)),
        median_rank=float(np.median(rank)),
        cka=scores.alignments[split].cka,
        rsa=scores.alignments[split].rsa,
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
