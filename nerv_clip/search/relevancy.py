"""Relevancy of embeddings to a query, by the method of LERF (Kerr et al., 2023)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nerv_clip.search.index import cosines

Vectors = NDArray[np.float32]  # (K, dim), unit rows
Index = NDArray[np.float16]  # (N, dim), unit rows: embeddings of a video over time
Curve = NDArray[np.float32]  # (N,), a value for each row of an index
TEMPERATURE = 10.0  # of the softmax, as in LERF's code
QUANTILE = 0.95  # of the best relevancies of unrelated texts: above it, a match is clear


class Reference(NamedTuple):
    """Reference values of an index, which a query is compared with.

    ``background`` (N, 1) is the cosine similarity that gives a relevancy of 0.5. A match is clear
    where the best relevancy exceeds ``threshold``, in [0, 1].
    """

    background: Curve
    threshold: float


@dataclass(frozen=True)
class ReferenceTexts:
    """Embedded texts that text queries are compared with, computed once for each teacher.

    ``canonical`` (C, dim) are LERF's canonical texts: relevancy is measured against the nearest
    one. ``unrelated`` (U, dim) describe nothing in the video: the relevancies that they reach give
    the threshold of a clear match.
    """

    canonical: Vectors
    unrelated: Vectors

    def reference(self, index: Index) -> Reference:
        """The reference of an index (N, dim), the same for all text queries."""
        products = cosines(index, np.concatenate([self.canonical, self.unrelated]))
        canonical, unrelated = np.split(products, [len(self.canonical)], 1)
        background = canonical.max(1, keepdims=True)
        best = _logistic((unrelated - background).max(0))
        return Reference(background, float(np.quantile(best, QUANTILE)))


class Scores(NamedTuple):
    """Scores of each row of an index: ``relevancy`` in [0, 1], ``cosine`` in [-1, 1]."""

    relevancy: Curve
    cosine: Curve


@dataclass(frozen=True)
class EncodedQuery:
    """A query as embeddings: the terms of a text, or an image.

    Shapes: ``vectors`` (K, dim), ``weights`` (K,), ``negated`` (K,) for K terms. ``label`` is shown
    in results. ``reference_texts`` is None for an image: embeddings of images are nearer to each
    other than to any text, so an image is compared with the mean over the video instead.
    """

    label: str
    vectors: Vectors
    weights: NDArray[np.float32]
    negated: NDArray[np.bool_]
    reference_texts: ReferenceTexts | None

    def reference(self, index: Index) -> Reference:
        """The reference of an index for this query.

        For an image, the background is its mean cosine over the video, and the threshold is the
        relevancy of a cosine equal to the mean over all pairs of rows of the index.
        """
        if self.reference_texts is not None:
            return self.reference_texts.reference(index)
        mean = cosines(index, self.vectors).mean(0, keepdims=True)
        centre = np.array(index, np.float32).mean(0)
        return Reference(mean, float(_logistic(centre @ centre - mean.mean())))

    def scores(self, index: Index, reference: Reference) -> Scores:
        """Relevancy and cosine of every row of an index; a relevancy of 0.5 is the background.

        For one text, relevancy is the softmax of its cosine against that of the nearest canonical
        text. Terms are combined by their weighted geometric mean, negated terms as 1 - relevancy.
        The cosine is the weighted mean over terms, with a minus sign for negated ones.
        """
        products = cosines(index, self.vectors)
        values = _logistic(products - reference.background)
        values[:, self.negated] = 1 - values[:, self.negated]
        shares = self.weights / self.weights.sum()
        relevancy: Curve = np.exp(np.log(np.maximum(values, 1e-12)) @ shares)
        cosine: Curve = products @ np.where(self.negated, -shares, shares).astype(np.float32)
        return Scores(relevancy, cosine)


def image_query(label: str, vector: Vectors) -> EncodedQuery:
    """The query for frames that are similar to an image with the embedding ``vector`` (dim,)."""
    unit = vector.astype(np.float32) / np.linalg.norm(vector)
    return EncodedQuery(label, unit[None], np.ones(1, np.float32), np.zeros(1, bool), None)


def _logistic(difference: Curve) -> Curve:
    """The softmax of two cosines, from their difference."""
    return np.asarray(1 / (1 + np.exp(-TEMPERATURE * difference)))
