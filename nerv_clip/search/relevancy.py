"""Relevancy of embeddings to a query: how far its terms score above what is not shown."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nerv_clip.search.absence import (
    Absence,
    best_in,
    estimate_absence,
    lasting,
    not_shown,
    stretch_of,
)
from nerv_clip.search.index import cosines
from nerv_clip.video.shots import Shots

Vectors = NDArray[np.float32]  # (K, dim), unit rows
Index = NDArray[np.float16]  # (N, dim), unit rows: embeddings of a video over time
Curve = NDArray[np.float32]  # (N,), a value for each row of an index
TEMPERATURE = 10.0  # of the logistic function, as in LERF (Kerr et al., 2023)
THRESHOLD = 0.5  # relevancy above which a match is clear
# share of absent texts with a clear match that the threshold aims for: below the 5 % that we
# promise, because the level is estimated from a few dozen texts
FALSE_MATCHES = 0.03
EDGE = 0.3  # share of absent texts above the level at which moments end and negated terms begin


class Reference(NamedTuple):
    """What the scores of a query are compared with, in one index.

    ``stretch`` (N,) is the stretch of each row, from 0. ``background`` (N, 1) is subtracted from
    the cosine similarities; ``absence`` says how high the rest goes in each of S stretches for what
    it does not show. ``absent`` (S, U) says which of the unrelated texts are taken as not shown.
    """

    stretch: NDArray[np.intp]
    background: Curve
    absence: Absence
    absent: NDArray[np.bool_]


class Scores(NamedTuple):
    """Scores of each row of an index: ``relevancy`` in [0, 1], ``cosine`` in [-1, 1].

    Moments with a relevancy above `THRESHOLD` are clear matches; they begin and end at the
    relevancy ``edge``, which each row has.
    """

    relevancy: Curve
    cosine: Curve
    edge: Curve


@dataclass(frozen=True)
class EncodedQuery:
    """A query as embeddings: the terms of a text, or an image.

    Shapes: ``vectors`` (K, dim), ``weights`` (K,), ``negated`` (K,) for K terms. ``label`` is shown
    in results, and ``reading``, how the query is understood. ``unrelated`` (U, dim) are the
    embeddings of unrelated texts; None for an image, because embeddings of images are nearer to
    each other than to any text. ``forms`` holds for each term the embeddings (U, dim) of the
    unrelated texts in its form, such as "a hand holds a red mug" for "a red mug"; None where its
    form is that of the unrelated texts. ``spot`` says that the query is the embedding of a cell,
    to be found in other cells instead of pooled embeddings.
    """

    label: str
    reading: str
    vectors: Vectors
    weights: NDArray[np.float32]
    negated: NDArray[np.bool_]
    unrelated: Vectors | None
    forms: tuple[Vectors | None, ...]
    spot: bool = False

    def reference(self, index: Index, grid: int = 1, shots: Shots | None = None) -> Reference:
        """The reference of an index with ``grid`` points per frame for this query.

        For an image there is no background, and what is above the mean cosine similarity of all
        pairs of rows of the index is a match.
        """
        if self.unrelated is not None:
            return text_reference(index, self.unrelated, grid, shots)
        centre = np.array(index, np.float32).mean(0)
        background = np.zeros((len(index), 1), np.float32)
        absence = Absence(np.array([centre @ centre]), np.zeros(1))
        return Reference(np.zeros(len(index), np.intp), background, absence, np.zeros((1, 0), bool))

    def scores(
        self,
        index: Index,
        reference: Reference,
        grid: int = 1,
        shots: Shots | None = None,
        clips: int = 1,
    ) -> Scores:
        """Score every row of an index with ``grid`` points per frame, of a video with ``shots``.

        A term's score is its cosine similarity minus the background. A share `FALSE_MATCHES` / n of
        absent texts exceeds the level of a match in a stretch, where n is the number of stretches
        times ``clips``, the number of videos that are searched together (Bonferroni). Relevancy is
        the logistic function of the least distance of all terms from their levels at the same time,
        averaged over a few frames of a shot. A weight multiplies a term's distance; relative
        weights change the order of moments, but not which are clear matches of a single term.
        """
        products = cosines(index, self.vectors)
        absences = [
            reference.absence if form is None else form_absence(index, form, reference, grid, shots)
            for form in self.forms
        ]
        own, chances = reference.stretch, clips * len(reference.absence.typical)
        present, absent = (
            np.stack([absence.level(rate)[own] for absence in absences], 1).astype(np.float32)
            for rate in (FALSE_MATCHES / chances, EDGE)
        )
        above = products - reference.background
        distances = np.where(self.negated, absent - above, above - present)
        least = (distances * (self.weights / self.weights.max())).min(1)
        shares = self.weights / self.weights.sum()
        cosine: Curve = products @ np.where(self.negated, -shares, shares).astype(np.float32)
        relevancy = logistic(lasting(least, grid, shots)).astype(np.float32)
        edge = logistic((absent - present).max(1)).astype(np.float32)
        return Scores(relevancy, cosine, edge)


def text_reference(
    index: Index, unrelated: Vectors, grid: int = 1, shots: Shots | None = None
) -> Reference:
    """The reference of an index for all text queries, from unrelated texts (U, dim).

    The background is the mean cosine similarity to these texts at each time.
    """
    products = cosines(index, unrelated)
    background = products.mean(1, keepdims=True)
    stretch = stretch_of(len(index), grid, shots)
    best = best_in(lasting(products - background, grid, shots), stretch)
    return Reference(stretch, background, estimate_absence(best), np.stack([*map(not_shown, best)]))


def form_absence(
    index: Index,
    form: Vectors,
    reference: Reference,
    grid: int = 1,
    shots: Shots | None = None,
) -> Absence:
    """How high texts of a form score in stretches of the index that do not show them.

    Longer texts score lower than the unrelated texts in ``reference`` themselves. From ``form``
    (U, dim), those in a form, the ones count whose unrelated text is not shown either: "a hand
    holds a red mug" scores high if there is a red mug that no hand holds.
    """
    above = cosines(index, form) - reference.background
    best = best_in(lasting(above, grid, shots), reference.stretch)
    return estimate_absence(best, reference.absent)


def image_query(label: str, vector: Vectors) -> EncodedQuery:
    """The query for frames that are similar to an image with the embedding ``vector`` (dim,)."""
    unit = vector.astype(np.float32) / np.linalg.norm(vector)
    one = np.ones(1, np.float32)
    return EncodedQuery(label, label, unit[None], one, np.zeros(1, bool), None, (None,))


def spot_query(label: str, vector: Vectors) -> EncodedQuery:
    """The query for places that are similar to a cell with the unit embedding ``vector`` (dim,)."""
    return replace(image_query(label, vector), spot=True)


def logistic(distance: NDArray[np.floating]) -> NDArray[np.floating]:
    """The relevancy in [0, 1] of a distance from the level of a match."""
    return np.asarray(1 / (1 + np.exp(-TEMPERATURE * distance)))
