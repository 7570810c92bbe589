"""Where a query is shown: the relevancy of each cell of a video's maps, and the region of a peak.

The height of a cell is its cosine similarity to the text, minus that of the mean cell of its
stretch of the video. The level of a stretch is the height that few of its cells exceed for texts
that it does not show. Relevancy compares the two, so that no frame has a scale of its own.
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
Levels = NDArray[np.float32]  # (K, S), for each term of a query and each stretch
LIT = 0.003  # share of cells that exceed the level for texts that are not shown
SPOT = 0.85  # cosine similarity of a match with a spot, where directions from the mean are compared
SPOT_EDGE = 0.25  # relevancy of a spot at which moments begin and end
HEIGHT = 0.75  # of a peak above the mean cell; the region around it is at least as high
SAMPLED = 0.25  # share of the maps of a stretch that its level is estimated from
BINS, LOWEST = 4096, -2.0  # of heights, which lie between -2 and 2
FINE = 4  # points a cell along each side where the region of a peak is found


class Region(NamedTuple):
    """Where a map has its peak: ``left`` to ``bottom`` is a box around it, (``x``, ``y``) itself.

    The unit is that of the function that returns it.
    """

    left: float
    top: float
    right: float
    bottom: float
    x: float
    y: float


class MapScores(NamedTuple):
    """Scores of each cell of the maps of an index for a query.

    ``relevancy`` is in [0, 1], and above 0.5 where ``height`` (of a text: see the module; of a
    spot: the cosine similarity of directions from the mean cell) is above the level.
    """

    relevancy: Maps
    height: Maps


class Stretches(NamedTuple):
    """The stretch of each map, ``own`` (N,), and the mean cell of each of S stretches (S, dim)."""

    own: NDArray[np.intp]
    mean: Vectors

    def take(self, numbers: NDArray[np.intp]) -> Stretches:
        """Those of some of the maps."""
        return Stretches(self.own[numbers], self.mean)


def stretches_of(index: MapIndex, shots: Shots) -> Stretches:
    """The stretches of the maps of an index, as in `nerv_clip.search.absence`."""
    own = stretch_of(shots.frames, 1, shots)[index.frames]
    total = np.zeros((own[-1] + 1, index.bases.shape[2]), np.float32)
    for maps, basis in index.parts():
        cells = np.array(index.cells[maps], np.float32).mean((1, 2))
        np.add.at(total, own[maps], cells @ basis)
    counts = np.bincount(own).astype(np.float32)
    return Stretches(own, np.asarray(total / counts[:, None], np.float32))


class TextReference(NamedTuple):
    """What the heights of texts are compared with in S stretches.

    ``level`` (S,) is that of the unrelated texts, ``absent`` (S, U) says which of these a stretch
    does not show.
    """

    level: NDArray[np.float32]
    absent: NDArray[np.bool_]


def text_reference_of_maps(
    index: MapIndex, stretches: Stretches, unrelated: Vectors, absent: NDArray[np.bool_]
) -> TextReference:
    """The reference of an index for all texts, from unrelated texts (U, dim).

    ``absent`` is that of a `nerv_clip.search.relevancy.Reference`.
    """
    return TextReference(_level(index, stretches, unrelated, absent), absent)


def term_levels(
    index: MapIndex, stretches: Stretches, query: EncodedQuery, reference: TextReference
) -> Levels:
    """The level of each term of a text; a term in a form is compared with texts in this form."""
    own = [
        reference.level if form is None else _level(index, stretches, form, reference.absent)
        for form in query.forms
    ]
    return np.stack(own)


def map_scores(
    index: MapIndex, stretches: Stretches, query: EncodedQuery, levels: Levels | None = None
) -> MapScores:
    """Scores for a text, of which the best of the terms not negated counts, or for a spot.

    ``levels`` are those of `term_levels`; a spot has the level `SPOT` everywhere.
    """
    if levels is None:
        height = map_heights(index, stretches, query)
        return MapScores(logistic(height - SPOT).astype(np.float32), height)
    height, above = (
        np.full(index.cells.shape[:3], value, np.float32) for value in (LOWEST, -np.inf)
    )
    for vector, level in zip(query.vectors[~query.negated], levels[~query.negated], strict=True):
        own = _heights(index, stretches, vector)
        np.maximum(height, own, out=height)
        np.maximum(above, own - level[stretches.own][:, None, None], out=above)
    return MapScores(logistic(above).astype(np.float32), height)


def map_heights(index: MapIndex, stretches: Stretches, query: EncodedQuery) -> Maps:
    """The ``height`` of `MapScores`."""
    if query.spot:
        return _directions(index, stretches, query.vectors[0])
    found = np.full(index.cells.shape[:3], LOWEST, np.float32)
    for vector in query.vectors[~query.negated]:
        np.maximum(found, _heights(index, stretches, vector), out=found)
    return found


def region(scores: NDArray[np.float32], grid: Grid) -> Region:
    """The region around the peak of a map (rows, columns) of heights, in shares of the frame.

    Its box is that of the connected part that is at least `HEIGHT` as high as the peak. Between
    the middles of cells, heights are interpolated linearly.
    """
    from scipy.ndimage import label  # slow to import

    rows, columns = (FINE * side for side in scores.shape)
    size = round(rows / grid.height), round(columns / grid.width)
    shown = resampled(scores[None], grid, *size)[0]
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


def resampled(maps: Maps, grid: Grid, rows: int, columns: int) -> Maps:
    """Maps (N, …) at the middles of ``rows`` x ``columns`` parts of the frame, linear between."""
    places = 2 * Grid(rows, columns).centres() / torch.tensor([grid.width, grid.height]) - 1
    values = torch.from_numpy(np.ascontiguousarray(maps))[:, None]
    places = places[None].expand(len(values), -1, -1, -1)
    shown = grid_sample(values, places, "bilinear", "border", align_corners=False)
    return np.asarray(shown[:, 0].numpy())


def _heights(index: MapIndex, stretches: Stretches, vector: NDArray[np.float32]) -> Maps:
    """Cosine similarities of each cell with a unit vector (dim,), minus that of the mean cell."""
    found = np.empty(index.cells.shape[:3], np.float32)
    for maps, products in _centred(index, stretches, vector[None]):
        found[maps] = products[..., 0]
    return found


def _centred(
    index: MapIndex, stretches: Stretches, vectors: Vectors
) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """As `MapIndex.cosines`, minus the cosine similarity of the mean cell of each map's stretch."""
    typical = stretches.mean @ vectors.T
    for maps, products in index.cosines(vectors):
        yield maps, products - typical[stretches.own[maps]][:, None, None]


def _directions(index: MapIndex, stretches: Stretches, vector: NDArray[np.float32]) -> Maps:
    """Cosine similarities of cells and a vector (dim,), both seen from the mean cell."""
    found = np.empty(index.cells.shape[:3], np.float32)
    for maps, basis in index.parts():
        mean = stretches.mean[stretches.own[maps]] @ basis.T
        cells = np.array(index.cells[maps], np.float32) - mean[:, None, None]
        wanted = basis @ vector - mean
        dot = np.einsum("nrck,nk->nrc", cells, wanted)
        lengths = np.linalg.norm(cells, axis=-1) * np.linalg.norm(wanted, axis=-1)[:, None, None]
        found[maps] = dot / lengths.clip(1e-6)
    return found


def _level(
    index: MapIndex, stretches: Stretches, texts: Vectors, absent: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """The height that a share `LIT` of the cells of each stretch exceeds for absent texts: (S,).

    It is estimated from the first map of each stretch and a random part of the others; at even
    intervals, they could all be held-out frames.
    """
    first = np.diff(stretches.own, prepend=-1) > 0
    chosen = np.flatnonzero(first | (np.random.default_rng(0).random(len(index)) < SAMPLED))
    part, own = index.take(chosen), stretches.take(chosen)
    edges = np.linspace(LOWEST, -LOWEST, BINS + 1)
    counts = np.zeros((len(stretches.mean), BINS))
    for maps, products in _centred(part, own, texts):
        for stretch, values in zip(own.own[maps], products, strict=True):
            counts[stretch] += np.histogram(values[..., absent[stretch]], edges)[0]
    below = counts.cumsum(1) / counts.sum(1, keepdims=True).clip(1)
    return np.asarray(edges[1:][(below >= 1 - LIT).argmax(1)], np.float32)
