"""A question as vectors of the teacher's space, and how well embeddings answer it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nerv_clip.search.index import cosines

Vectors = NDArray[np.float32]  # unit rows
Index = NDArray[np.float16]  # unit rows of a video
Curve = NDArray[np.float32]  # a value for each row of an index
TEMPERATURE = 10.0  # of relevancy, as LERF's code has it
QUANTILE = 0.95  # of what unrelated texts reach


class Level(NamedTuple):
    """What an index gives to texts that describe nothing: the measure of all that is asked of it.

    ``background`` (N, 1) is the cosine of the nearest canonical text; ``threshold`` the relevancy
    that the best moment of one unrelated text in twenty exceeds.
    """

    background: Curve
    threshold: float


@dataclass(frozen=True)
class Background:
    """What a teacher says to texts that describe nothing here, computed once for each teacher.

    ``canonical`` (C, dim) is the background of relevancy; ``unrelated`` (U, dim) are texts whose
    best moments show what a video gives to anything at all.
    """

    canonical: Vectors
    unrelated: Vectors

    def level(self, index: Index) -> Level:
        """The level of an index."""
        products = cosines(index, np.concatenate([self.canonical, self.unrelated]))
        canonical, texts = np.split(products, [len(self.canonical)], 1)
        background = canonical.max(1, keepdims=True)
        best = _logistic((texts - background).max(0))
        return Level(background, float(np.quantile(best, QUANTILE)))


class Scores(NamedTuple):
    """How well each row of an index answers: ``relevancy`` in [0, 1], ``cosine`` in [-1, 1]."""

    relevancy: Curve
    cosine: Curve


@dataclass(frozen=True)
class Question:
    """Texts, or a picture, with weights: ``vectors`` (K, dim), ``weights`` and ``negated`` (K,).

    ``background`` is None for a picture: pictures are nearer to each other than to any text, so
    that it is compared with the video's own average instead.
    """

    label: str
    vectors: Vectors
    weights: NDArray[np.float32]
    negated: NDArray[np.bool_]
    background: Background | None

    def level(self, index: Index) -> Level:
        """What relevancy is measured from, and above which the best moment is a match.

        For a picture: the mean cosine over the video, and the relevancy of what is as near to it
        as two moments of the video are to each other on average.
        """
        if self.background is not None:
            return self.background.level(index)
        mean = cosines(index, self.vectors).mean(0, keepdims=True)
        centre = np.array(index, np.float32).mean(0)
        return Level(mean, float(_logistic(centre @ centre - mean.mean())))

    def scores(self, index: Index, level: Level) -> Scores:
        """Relevancy and cosine of every row; 0.5 is as near as the background.

        For one text, relevancy is LERF's: the softmax of its cosine against the nearest canonical
        text's. Terms are joined by their weighted geometric mean, a negated one as 1 - relevancy.
        The cosine is the terms' weighted mean, negated ones with a minus.
        """
        products = cosines(index, self.vectors)
        values = _logistic(products - level.background)
        values[:, self.negated] = 1 - values[:, self.negated]
        shares = self.weights / self.weights.sum()
        relevancy: Curve = np.exp(np.log(np.maximum(values, 1e-12)) @ shares)
        cosine: Curve = products @ np.where(self.negated, -shares, shares).astype(np.float32)
        return Scores(relevancy, cosine)


def ask_vector(label: str, vector: Vectors) -> Question:
    """What is like a picture whose embedding (dim,) is known."""
    unit = vector.astype(np.float32) / np.linalg.norm(vector)
    return Question(label, unit[None], np.ones(1, np.float32), np.zeros(1, bool), None)


def _logistic(lead: Curve) -> Curve:
    return np.asarray(1 / (1 + np.exp(-TEMPERATURE * lead)))
