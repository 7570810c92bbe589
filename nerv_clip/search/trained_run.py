"""Search the video of one run by text, by image, or by similarity to one of its moments."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nerv_clip.errors import InputError
from nerv_clip.progress import SILENT, Progress
from nerv_clip.runs.arrays import read_array
from nerv_clip.runs.run import Run
from nerv_clip.search.index import grid_times, load_index
from nerv_clip.search.maps import map_of_frames
from nerv_clip.search.moments import Span, spans
from nerv_clip.search.places import SPOT_EDGE, Region
from nerv_clip.search.query_encoder import QueryEncoder
from nerv_clip.search.relevancy import (
    THRESHOLD,
    Curve,
    EncodedQuery,
    Index,
    Reference,
    Scores,
    image_query,
    spot_query,
)
from nerv_clip.search.run_places import RunPlaces
from nerv_clip.similarity import present

GRID = 4  # points per frame


class Moment(NamedTuple):
    """A part of a video that matches a query.

    ``start``, ``peak``, ``end`` are times in [0, 1], of one shot; ``start_seconds`` and so on are
    the timestamps of the source. ``frame`` is the index of the frame nearest to the peak;
    ``held_out`` is whether it is a held-out frame. ``relevancy`` in [0, 1] and ``cosine`` in
    [-1, 1] are of the predicted embeddings at the peak. ``true_relevancy`` is that of the true
    embedding of ``frame``, None where the run does not store one. ``where`` is the place in
    ``frame`` that matches best, in pixels of the source as they are stored, before rotation,
    stretch, crop and resize; whole numbers are edges of pixels. It is None for a query that is not
    a text or a spot, and for a run without a dense head or without ``source_map``.
    """

    start: float
    peak: float
    end: float
    start_seconds: float
    peak_seconds: float
    end_seconds: float
    frame: int
    held_out: bool
    relevancy: float
    cosine: float
    true_relevancy: float | None
    where: Region | None = None


@dataclass(frozen=True)
class Answer:
    """The result of a query on one run: curves over a grid of times, and the best moments.

    ``question`` is the query as text, ``reading`` its terms as they are understood. ``times`` in
    [0, 1], ``relevancy`` in [0, 1] and ``cosine`` in [-1, 1] have an entry for each point of the
    grid. ``match`` is False, no clear match, where the best relevancy does not exceed
    ``threshold``, which is always 0.5; ``moments`` are the nearest ones then. ``true_relevancy``
    (T,) is of the true embeddings of the frames, NaN for frames without; None where the run does
    not store them.
    """

    question: str
    reading: str
    times: NDArray[np.float64]
    relevancy: Curve
    cosine: Curve
    true_relevancy: Curve | None
    threshold: float
    match: bool
    moments: list[Moment]


class TrainedRun:
    """A run directory with its teacher, to search in; made by `load_run`.

    ``clips`` is the number of videos that are searched together, 1 unless a `Library` sets it: the
    more, the higher a score has to be for a clear match.
    """

    def __init__(
        self, path: Path, query_encoder: QueryEncoder | None = None, progress: Progress = SILENT
    ) -> None:
        self.run, self._progress = Run(path), progress
        self.config = self.run.read_config()
        if not self.config.architecture.clip_dim:
            raise InputError(f"{path} has no CLIP head to search: train with `predict_clip`")
        self.query_encoder = query_encoder or QueryEncoder(self.run, progress)
        self.frames = self.config.architecture.frames
        self.source_fps = self.config.video.source_fps
        self.split = self.config.split_frames()
        self.shots = self.config.video.cuts
        self.timestamps = np.array(self.config.video.timestamps)
        self._indexes: dict[int, Index] = {}
        self._text_references: dict[str | int, Reference] = {}
        self.clips = 1

    @cached_property
    def true(self) -> Index | None:
        """True unit embeddings of the frames (T, dim); None where the run does not store them.

        They are NaN for frames that the teacher did not embed.
        """
        if not self.run.true.exists():
            return None
        shape = (self.frames, self.config.architecture.clip_dim)
        return read_array(self.run.true, shape, mapped=True)

    @cached_property
    def embedded(self) -> list[int]:
        """The frames that have a `true` embedding; empty where the run does not store them."""
        return [] if self.true is None else np.flatnonzero(present(self.true)).tolist()

    @cached_property
    def nearest_embedded(self) -> NDArray[np.intp]:
        """For each frame the nearest one of its shot that has a `true` embedding: (T,).

        Scores are means over some frames: where frames have none, this one stands for them.
        """
        known = np.array(self.embedded)
        return np.asarray(known[map_of_frames(known, self.shots)])

    def index(self, grid: int = GRID) -> Index:
        """Predicted unit embeddings at `grid_times`; see `load_index`."""
        if grid not in self._indexes:
            self._indexes[grid] = load_index(self.run.best, grid, self._progress)
        return self._indexes[grid]

    @cached_property
    def places(self) -> RunPlaces | None:
        """To find places in the frames; None for a run without a dense head."""
        if not self.config.architecture.first.dense_dim:
            return None
        encoder, pooled = self.query_encoder, partial(self.index, 1)
        return RunPlaces(self.run.best, self.shots, encoder, pooled, self._progress)

    def dense_places(self) -> RunPlaces:
        """The `places`; raises `InputError` for a run without a dense head."""
        if self.places is None:
            raise InputError(f"{self.run.path} has no dense head: train with `predict_dense`")
        return self.places

    def scores(self, query: EncodedQuery, grid: int = GRID) -> Scores:
        """Scores of the predicted embeddings at `grid_times`, for a spot those of the `maps`."""
        if query.spot:
            return self._spot_scores(query, grid)
        return self._scores(query, self.index(grid), grid, grid)

    def true_scores(self, query: EncodedQuery) -> Scores | None:
        """Scores (T,) of the true embeddings of the frames, NaN for frames without.

        None where the run does not store them, and for a spot.
        """
        if self.true is None or query.spot:
            return None
        filled = self.true[self.nearest_embedded] if len(self.embedded) < self.frames else self.true
        found = self._scores(query, filled, 1, "true")
        known = np.isin(np.arange(self.frames), self.embedded)
        return Scores(*(np.where(known, values, np.float32(np.nan)) for values in found))

    def _spot_scores(self, query: EncodedQuery, grid: int) -> Scores:
        """Scores of the best cell of each frame, at `grid_times`."""
        places = self.dense_places()
        found, times = places.scores(query), grid_times(self.frames, grid)
        frames = np.rint(self.shots.settle(times * (self.frames - 1))).astype(int)
        rows = places.map_of[frames]
        best = found.relevancy.max((1, 2))[rows], found.height.max((1, 2))[rows]
        return Scores(*best, np.full(len(rows), SPOT_EDGE, np.float32))

    def _scores(self, query: EncodedQuery, index: Index, grid: int, key: str | int) -> Scores:
        """Scores of an index; its reference is computed once for all texts, under ``key``."""
        if query.unrelated is None:
            reference = query.reference(index, grid, self.shots)
        else:
            if key not in self._text_references:
                self._text_references[key] = query.reference(index, grid, self.shots)
            reference = self._text_references[key]
        return query.scores(index, reference, grid, self.shots, self.clips)

    def search(self, query: str, top: int = 5, grid: int = GRID) -> Answer:
        """Find the best ``top`` moments for a text, in the syntax of `parse_query`.

        ``grid`` is the number of points per frame. Raises `InputError` for an empty query and for
        words outside the teacher's vocabulary.
        """
        return self.find_moments(self.query_encoder.encode_text(query), top, grid)

    def search_image(self, path: Path, top: int = 5, grid: int = GRID) -> Answer:
        """Find the moments that are similar to an image file.

        Raises `InputError` where the file cannot be read.
        """
        return self.find_moments(self.query_encoder.encode_image(path), top, grid)

    def search_like(self, start: float, end: float, top: int = 5, grid: int = GRID) -> Answer:
        """Find other moments that are similar to the one from ``start`` to ``end``.

        Both are timestamps of the source, in seconds. Raises `InputError` where the video has no
        frame or grid point between them.
        """
        index, times = self.index(grid), grid_times(self.frames, grid)
        seconds = self.seconds(times)
        chosen = (seconds >= start) & (seconds <= end)
        if not chosen.any():
            raise InputError(
                f"no moment from {start:g} to {end:g} s: the video runs from {seconds[0]:g} to "
                f"{seconds[-1]:g} s"
            )
        mean = np.array(index[chosen], np.float32).mean(0)
        query = image_query(f"like {start:g} to {end:g} s", mean)
        return self.find_moments(query, top, grid, exclude=chosen)

    def search_spot(self, x: float, y: float, frame: int, top: int = 5, grid: int = GRID) -> Answer:
        """Find other moments that show what is at a place of a frame.

        ``x`` and ``y`` run from 0 to 1, to the right and downwards. Raises `InputError` for a
        place or a frame outside of the video, and for a run without a dense head.
        """
        query = self.encode_spot(x, y, frame)
        own = np.abs(grid_times(self.frames, grid) * (self.frames - 1) - frame) < 1
        return self.find_moments(query, top, grid, exclude=own)

    def encode_spot(self, x: float, y: float, frame: int) -> EncodedQuery:
        """The query for `search_spot`; raises `InputError` as it does."""
        places = self.dense_places()
        if not (0 <= x <= 1 and 0 <= y <= 1):
            raise InputError(f"x {x:g}, y {y:g} is outside of the frame: give numbers from 0 to 1")
        if not 0 <= frame < self.frames:
            raise InputError(f"frame {frame}: give 0 to {self.frames - 1}")
        label = f"like ({x:.2f}, {y:.2f}) of frame {frame}"
        return spot_query(label, places.vector(x, y, frame))

    def find_moments(
        self,
        query: EncodedQuery,
        top: int = 5,
        grid: int = GRID,
        exclude: NDArray[np.bool_] | None = None,
    ) -> Answer:
        """Find the best ``top`` moments for an encoded query.

        Moments that contain a grid point of the mask ``exclude`` are left out.
        """
        scores, true_scores = self.scores(query, grid), self.true_scores(query)
        true = None if true_scores is None else true_scores.relevancy
        found = [
            span
            for span in spans(scores.relevancy, THRESHOLD, scores.edge, grid, self.shots)
            if exclude is None or not exclude[span.start : span.end + 1].any()
        ]
        times = grid_times(self.frames, grid)
        return Answer(
            question=query.label,
            reading=query.reading,
            times=times,
            relevancy=scores.relevancy,
            cosine=scores.cosine,
            true_relevancy=true,
            threshold=THRESHOLD,
            match=any(scores.relevancy[span.peak] > THRESHOLD for span in found),
            moments=self._placed(
                [self._moment(span, times, scores, true) for span in found[:top]], query
            ),
        )

    def _placed(self, moments: list[Moment], query: EncodedQuery) -> list[Moment]:
        """The moments with their places, where the query is a text or a spot."""
        source = self.config.video.source_map
        if self.places is None or source is None or (query.unrelated is None and not query.spot):
            return moments
        found = self.places.regions(query, [moment.frame for moment in moments])
        wheres = [Region(*source.box(*own[:4]), *source.pixel(own.x, own.y)) for own in found]
        return [m._replace(where=where) for m, where in zip(moments, wheres, strict=True)]

    def seconds(self, times: NDArray[np.float64]) -> NDArray[np.float64]:
        """Timestamps of the source, in seconds, at times in [0, 1].

        Linear between frames of a shot; between two shots, that of the nearer frame.
        """
        places = self.shots.settle(times * (self.frames - 1))
        return np.asarray(np.interp(places, np.arange(self.frames), self.timestamps))

    def _settled(self, times: NDArray[np.float64]) -> NDArray[np.float64]:
        """Times in [0, 1], those between two shots moved to the nearer frame (`Shots.settle`)."""
        places = times * (self.frames - 1)
        moved = self.shots.settle(places)
        return np.where(moved == places, times, moved / max(self.frames - 1, 1))

    def _moment(
        self,
        span: Span,
        times: NDArray[np.float64],
        scores: Scores,
        true: Curve | None,
    ) -> Moment:
        own = self._settled(times[list(span)])
        start, peak, end = (float(time) for time in own)
        seconds = [float(s) for s in self.seconds(own)]
        frame = round(peak * (self.frames - 1))
        return Moment(
            start=start,
            peak=peak,
            end=end,
            start_seconds=seconds[0],
            peak_seconds=seconds[1],
            end_seconds=seconds[2],
            frame=frame,
            held_out=self.split[frame] == "val",
            relevancy=float(scores.relevancy[span.peak]),
            cosine=float(scores.cosine[span.peak]),
            true_relevancy=None if true is None or np.isnan(true[frame]) else float(true[frame]),
        )


def load_run(
    path: Path | str,
    *,
    query_encoder: QueryEncoder | None = None,
    progress: Progress = SILENT,
) -> TrainedRun:
    """Load a run directory, to search its video.

    The teacher is loaded with the first text or image; runs with the same teacher may share a
    ``query_encoder``. Raises `InputError` where the run has no CLIP head.

    >>> load_run("checkpoints/kitchen").search("a purple kettle").moments[0].frame  # doctest: +SKIP
    """
    return TrainedRun(Path(path), query_encoder, progress)
