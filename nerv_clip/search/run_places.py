"""Where queries are shown in the frames of one run, by the maps of its dense head."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from nerv_clip.progress import SILENT, Progress
from nerv_clip.search.maps import MapIndex, load_maps, map_of_frames
from nerv_clip.search.places import (
    Levels,
    MapScores,
    Region,
    Stretches,
    TextReference,
    map_heights,
    map_scores,
    region,
    stretches_of,
    term_levels,
    text_reference_of_maps,
)
from nerv_clip.search.query_encoder import QueryEncoder
from nerv_clip.search.relevancy import EncodedQuery, Index, text_reference
from nerv_clip.teacher.dense import DenseTeacher
from nerv_clip.video.shots import Shots


class RunPlaces:
    """The maps of a checkpoint, to find places in; made by `TrainedRun.places`.

    ``pooled`` gives the predicted embeddings of the frames, which tell what a stretch does not
    show. Only texts need the teacher.
    """

    def __init__(
        self,
        checkpoint: Path,
        shots: Shots,
        query_encoder: QueryEncoder,
        pooled: Callable[[], Index],
        progress: Progress = SILENT,
    ) -> None:
        self.shots = shots
        self._checkpoint, self._progress = checkpoint, progress
        self._query_encoder, self._pooled = query_encoder, pooled

    @cached_property
    def index(self) -> MapIndex:
        """Predicted embeddings of the cells; see `load_maps`."""
        return load_maps(self._checkpoint, self._progress)

    @cached_property
    def map_of(self) -> NDArray[np.intp]:
        """The number of the map of each frame; see `map_of_frames`."""
        return map_of_frames(self.index.frames, self.shots)

    @cached_property
    def _stretches(self) -> Stretches:
        return stretches_of(self.index, self.shots)

    @cached_property
    def _reference(self) -> TextReference:
        unrelated = self._query_encoder.unrelated
        absent = text_reference(self._pooled(), unrelated, 1, self.shots).absent
        return text_reference_of_maps(self.index, self._stretches, unrelated, absent)

    def scores(self, query: EncodedQuery) -> MapScores:
        """Scores of all cells for a text or a spot."""
        return map_scores(self.index, self._stretches, query, self._levels(query))

    def true_scores(self, query: EncodedQuery, frame: int, pixels: NDArray[np.uint8]) -> MapScores:
        """Scores of the cells of a true frame (H, W, 3), by the teacher itself: one map.

        They are compared with the same levels as those of the predicted maps.
        """
        dense, number = DenseTeacher(self._query_encoder.encoder), self.map_of[frame]
        shown = torch.from_numpy(np.array(pixels)).permute(2, 0, 1)[None]
        embeddings = dense.maps(shown, self.index.grid)[0].cpu().numpy()
        index = self.index.replaced(number, embeddings)
        stretches = self._stretches.take(np.array([number]))
        return map_scores(index, stretches, query, self._levels(query))

    def regions(self, query: EncodedQuery, frames: list[int]) -> list[Region]:
        """The region of the highest place in each of some frames, for a text or a spot."""
        numbers = self.map_of[frames]
        index, stretches = self.index.take(numbers), self._stretches.take(numbers)
        return [region(own, index.grid) for own in map_heights(index, stretches, query)]

    def vector(self, x: float, y: float, frame: int) -> NDArray[np.float32]:
        """The embedding (dim,) of the cell at a place of a frame."""
        return self.index.vector(int(self.map_of[frame]), x, y)

    def _levels(self, query: EncodedQuery) -> Levels | None:
        if query.spot:
            return None
        return term_levels(self.index, self._stretches, query, self._reference)
