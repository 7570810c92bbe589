"""A question as vectors of the teacher's space, and how well embeddings answer it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nerv_clip.search.index import cosines

Vectors = NDArray[np.float32]  # unit rows
Index = NDArray[np.float16]  # unit rows of a clip
Curve = NDArray[np.float32]  # a value for each row of an index
TEMPERATURE = 10.0  # of relevancy, as LERF's code has it
QUANTILE = 0.95  # of what unrelated texts reach


@dataclass(frozen=True)
class Background:
    """What a teacher says to texts that describe nothing here, computed once for each teacher.

    ``canonical`` (C, dim) is the background of relevancy; ``unrelated`` (U, dim) are texts whose
    best moments show what a clip gives to anything at all.
    """

    canonical: Vectors
    unrelated: Vectors

    def threshold(self, index: Index) -> float:
        """The relevancy that the best moment of one unrelated text in twenty exceeds."""
        products = cosines(index, np.concatenate([self.canonical, self.unrelated]))
        background, texts = np.split(products, [len(self.canonical)], 1)
        lead = (texts - background.max(1, keepdims=True)).max(0)
        return float(np.quantile(_logistic(lead), QUANTILE))


@dataclass(frozen=True)
class Question:
    """Texts, or a picture, with weights: ``vectors`` (K, dim), ``weights`` and ``negated`` (K,).

    ``background`` is None for a picture: pictures are nearer to each other than to any text, so
    that it is compared with the clip's own average instead.
    """

    label: str
    vectors: Vectors
    weights: NDArray[np.float32]
    negated: NDArray[np.bool_]
    background: Background | None

    def relevancy(self, index: Index) -> Curve:
        """In [0, 1] for every row: 0.5 is as near as the background.

        For one text it is LERF's: the softmax of its cosine against the nearest canonical text's.
        Terms are joined by their weighted geometric mean; a negated one counts as 1 - relevancy.
        """
        products = cosines(index, self.vectors)
        values = _logistic(products - self._background(index, products))
        values[:, self.negated] = 1 - values[:, self.negated]
        logs = np.log(np.maximum(values, 1e-12))
        joined: Curve = np.exp(logs @ (self.weights / self.weights.sum()))
        return joined

    def cosine(self, index: Index) -> Curve:
        """The terms' weighted mean cosine with every row, negated ones with a minus."""
        signed = np.where(self.negated, -self.weights, self.weights) / self.weights.sum()
        joined: Curve = cosines(index, self.vectors) @ signed.astype(np.float32)
        return joined

    def threshold(self, index: Index) -> float:
        """The relevancy above which the best moment is a match.

        For texts, what unrelated ones reach; for a picture, what it would have if it were as near
        as two moments of the clip are to each other on average.
        """
        if self.background is not None:
            return self.background.threshold(index)
        centre = np.array(index, np.float32).mean(0)
        own = cosines(index, self.vectors).mean()
        return float(_logistic(np.array(centre @ centre - own)))

    def _background(self, index: Index, products: Curve) -> Curve:
        if self.background is None:
            return np.asarray(products.mean(0, keepdims=True))
        return np.asarray(cosines(index, self.background.canonical).max(1, keepdims=True))


def ask_vector(label: str, vector: Vectors) -> Question:
    """What is like a picture whose embedding (dim,) is known."""
    unit = vector.astype(np.float32) / np.linalg.norm(vector)
    return Question(label, unit[None], np.ones(1, np.float32), np.zeros(1, bool), None)


def _logistic(lead: Curve) -> Curve:
    values: Curve = 1 / (1 + np.exp(-TEMPERATURE * lead))
    return values
