"""Where a query is shown: the relevancy of each cell of a video's maps, and the region of a peak.

The score of a cell is its cosine similarity to the text, minus that of the mean cell of its stretch
of the video. The level of a match is the score that few cells exceed for texts that the video does
not show. Relevancy compares a score with the level, so that it is absolute: the same value means
the same in every frame and for every query.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import grid_sample

from nerv_clip.search.absence import stretch_of
from nerv_clip.search.maps import MapIndex
from nerv_clip.search.relevancy import EncodedQuery, Vectors, logistic
from nerv_clip.teacher.dense import Grid
from nerv_clip.video.shots import Shots

Maps = NDArray[np.float32]  # (N, rows, columns), a value for each cell of the maps of an index
LIT = 0.003  # share of cells that exceed the level for texts that are not shown
SPOT = 0.85  # cosine similarity of a match with a spot, where directions from the mean are compared
SPOT_EDGE = 0.25  # relevancy of a spot at which moments begin and end
HEIGHT = 0.75  # of a peak above the mean cell; the region around it is at least as high
SAMPLED = 4  # every fourth map of a stretch tells how high absent texts score
BINS, LOWEST = 4096, -2.0  # of the scores, which lie between -2 and 2
FINE = 4  # points a cell along each side where the region of a peak is found


class Region(NamedTuple):
    """Where a map has its peak: places in the frame, from 0 to 1 to the right and downwards.

    ``left`` to ``bottom`` is the box around the connected region of at least `HEIGHT` of the peak's
    height; the peak is at (``x``, ``y``).
    """

    left: float
    top: float
    right: float
    bottom: float
    x: float
    y: float


class MapScores(NamedTuple):
    """Scores of each cell of the maps of an index for a query.

    ``relevancy`` in [0, 1] is absolute. ``height`` is a cosine similarity minus that of the mean
    cell, from which `region` finds the place of a peak.
    """

    relevancy: Maps
    height: Maps


class MapReference(NamedTuple):
    """What the scores of cells are compared with, in the S stretches of one index.

    ``stretch`` (N,) is the stretch of each map, ``mean`` (S, dim) the mean cell of each stretch.
    ``level`` (S,) is the score of a match. ``absent`` (S, U) says which of the unrelated texts a
    stretch does not show.
    """

    stretch: NDArray[np.intp]
    mean: Vectors
    level: NDArray[np.float32]
    absent: NDArray[np.bool_]


def map_reference(
    index: MapIndex, unrelated: Vectors, absent: NDArray[np.bool_], shots: Shots
) -> MapReference:
    """The reference of an index for text queries, from unrelated texts (U, dim).

    ``absent`` is that of a `nerv_clip.search.relevancy.Reference`.
    """
    stretch = stretch_of(shots.frames, 1, shots)[index.frames]
    mean = _means(index, stretch)
    levels = _levels(index, stretch, mean, unrelated, absent)
    return MapReference(stretch, mean, levels, absent)


def term_levels(
    index: MapIndex, query: EncodedQuery, reference: MapReference
) -> NDArray[np.float32]:
    """The score of a match of each of the K terms of a query, in each stretch: (K, S)."""
    stretch, mean, level, absent = reference
    found = [
        level if form is None else _levels(index, stretch, mean, form, absent)
        for form in query.forms
    ]
    return np.stack(found)


def map_scores(
    index: MapIndex,
    query: EncodedQuery,
    reference: MapReference,
    levels: NDArray[np.float32],
) -> MapScores:
    """Scores for a text or a spot: those of the best of the terms that are not negated.

    ``levels`` are those of `term_levels`. Of a spot, the directions from the mean cell are
    compared, and a cosine similarity of `SPOT` is the level of a match.
    """
    if query.spot:
        similar = _directions(index, query.vectors[0], reference)
        return MapScores(logistic(similar - SPOT).astype(np.float32), similar)
    shape = index.cells.shape[:3]
    found = MapScores(np.zeros(shape, np.float32), np.full(shape, LOWEST, np.float32))
    for vector, level, negated in zip(query.vectors, levels, query.negated, strict=True):
        if negated:
            continue
        height = centred_scores(index, vector, reference)
        relevancy = logistic(height - level[reference.stretch][:, None, None]).astype(np.float32)
        np.maximum(found.relevancy, relevancy, out=found.relevancy)
        np.maximum(found.height, height, out=found.height)
    return found


def centred_scores(index: MapIndex, vector: NDArray[np.float32], reference: MapReference) -> Maps:
    """Cosine similarities of each cell with a unit vector (dim,), minus that of the mean cell."""
    found = np.empty(index.cells.shape[:3], np.float32)
    for maps, products in _centred(index, reference.stretch, reference.mean, vector[None]):
        found[maps] = products[..., 0]
    return found


def _directions(index: MapIndex, vector: NDArray[np.float32], reference: MapReference) -> Maps:
    """Cosine similarities of cells and a vector (dim,), both seen from the mean cell."""
    found = np.empty(index.cells.shape[:3], np.float32)
    for maps, basis in index.parts():
        mean = reference.mean[reference.stretch[maps]] @ basis.T
        cells = np.array(index.cells[maps], np.float32) - mean[:, None, None]
        wanted = basis @ vector - mean
        dot = np.einsum("nrck,nk->nrc", cells, wanted)
        lengths = np.linalg.norm(cells, axis=-1) * np.linalg.norm(wanted, axis=-1)[:, None, None]
        found[maps] = dot / lengths.clip(1e-6)
    return found


def region(scores: NDArray[np.float32], grid: Grid) -> Region:
    """The region around the peak of a map (rows, columns) of centred scores.

    Between the middles of cells, scores are interpolated linearly.
    """
    from scipy.ndimage import label  # slow to import

    rows, columns = (FINE * side for side in scores.shape)
    fine = Grid(round(rows / grid.height), round(columns / grid.width)).centres()
    inside = 2 * fine / torch.tensor([grid.width, grid.height]) - 1
    values = torch.from_numpy(np.ascontiguousarray(scores))[None, None]
    shown = grid_sample(values, inside[None], "bilinear", "border", align_corners=False)[
        0, 0
    ].numpy()
    row, column = np.unravel_index(shown.argmax(), shown.shape)
    number, _ = label(shown >= shown[row, column] - (1 - HEIGHT) * abs(shown[row, column]))
    lit_rows, lit_columns = np.nonzero(number == number[row, column])
    height, width = shown.shape
    return Region(
        float(lit_columns.min() / width),
        float(lit_rows.min() / height),
        float((lit_columns.max() + 1) / width),
        float((lit_rows.max() + 1) / height),
        float((column + 0.5) / width),
        float((row + 0.5) / height),
    )


def _means(index: MapIndex, stretch: NDArray[np.intp]) -> Vectors:
    """The mean cell of each stretch: (S, dim)."""
    total = np.zeros((stretch[-1] + 1, index.bases[0].shape[1]), np.float32)
    for maps, basis in index.parts():
        cells = np.array(index.cells[maps], np.float32).mean((1, 2))
        np.add.at(total, stretch[maps], cells @ basis)
    counts = np.bincount(stretch).astype(np.float32)
    return np.asarray(total / counts.clip(1)[:, None], np.float32)


def _centred(
    index: MapIndex, stretch: NDArray[np.intp], mean: Vectors, vectors: Vectors
) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """As `MapIndex.cosines`, minus the cosine similarity of the mean cell of each map's stretch."""
    typical = mean @ vectors.T
    for maps, products in index.cosines(vectors):
        yield maps, products - typical[stretch[maps]][:, None, None]


def _levels(
    index: MapIndex,
    stretch: NDArray[np.intp],
    mean: Vectors,
    texts: Vectors,
    absent: NDArray[np.bool_],
) -> NDArray[np.float32]:
    """The score that a share `LIT` of the cells of each stretch exceeds for absent texts: (S,).

    Every `SAMPLED`-th map of a stretch is looked at.
    """
    edges = np.linspace(LOWEST, -LOWEST, BINS + 1)
    counts = np.zeros((len(mean), BINS))
    chosen = (np.arange(len(stretch)) - np.searchsorted(stretch, stretch)) % SAMPLED == 0
    for maps, products in _centred(index, stretch, mean, texts):
        for own, values in zip(stretch[maps][chosen[maps]], products[chosen[maps]], strict=True):
            counts[own] += np.histogram(values[..., absent[own]], edges)[0]
    below = counts.cumsum(1) / counts.sum(1, keepdims=True).clip(1)
    return np.asarray(edges[1:][(below >= 1 - LIT).argmax(1)], np.float32)
