"""Search the video of one run by text, by image, or by similarity to one of its moments."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nerv_clip.errors import InputError
from nerv_clip.progress import SILENT, Progress
from nerv_clip.runs.arrays import read_array
from nerv_clip.runs.run import Run
from nerv_clip.search.index import grid_times, load_index
from nerv_clip.search.moments import Span, spans
from nerv_clip.search.query_encoder import QueryEncoder
from nerv_clip.search.relevancy import Curve, EncodedQuery, Index, Reference, image_query

GRID = 4  # points per frame


class Moment(NamedTuple):
    """A part of a video that matches a query.

    ``start``, ``peak``, ``end`` are times in [0, 1]; ``start_seconds`` and so on are the timestamps
    of the source. ``frame`` is the index of the frame nearest to the peak; ``held_out`` is whether
    it is a held-out frame. ``relevancy`` in [0, 1], ``cosine`` in [-1, 1] and ``z``, the z-score of
    the cosine over the video, are of the predicted embedding at the peak. ``true_relevancy`` is of
    the true embedding of ``frame``, None where the run does not store it.
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
    z: float
    cosine: float
    true_relevancy: float | None


@dataclass(frozen=True)
class Answer:
    """The result of a query on one run: curves over a grid of times, and the best moments.

    ``question`` is the query as text. ``times`` in [0, 1], ``relevancy`` in [0, 1] and ``cosine``
    in [-1, 1] have an entry for each point of the grid. ``match`` is False, no clear match, where
    the best relevancy does not exceed ``threshold``; ``moments`` are the nearest ones then.
    ``true_relevancy`` (T,) is of the true embeddings of the frames, None where the run does not
    store them.
    """

    question: str
    times: NDArray[np.float64]
    relevancy: Curve
    cosine: Curve
    true_relevancy: Curve | None
    threshold: float
    match: bool
    moments: list[Moment]


class TrainedRun:
    """A run directory with its teacher, to search in; made by `load_run`."""

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
        self.timestamps = np.array(self.config.video.timestamps)
        self._indexes: dict[int, Index] = {}
        self._text_references: dict[int, Reference] = {}

    @cached_property
    def true(self) -> Index | None:
        """True unit embeddings of the frames (T, dim); None where the run does not store them."""
        if not self.run.true.exists():
            return None
        shape = (self.frames, self.config.architecture.clip_dim)
        return read_array(self.run.true, shape, mapped=True)

    def index(self, grid: int = GRID) -> Index:
        """Predicted unit embeddings at `grid_times`; see `load_index`."""
        if grid not in self._indexes:
            self._indexes[grid] = load_index(self.run.best, grid, self._progress)
        return self._indexes[grid]

    def _reference(self, query: EncodedQuery, grid: int) -> Reference:
        """The reference of an index, computed once for all texts."""
        if query.reference_texts is None:
            return query.reference(self.index(grid))
        if grid not in self._text_references:
            self._text_references[grid] = query.reference(self.index(grid))
        return self._text_references[grid]

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
        reference = self._reference(query, grid)
        relevancy, cosine = query.scores(self.index(grid), reference)
        true = None
        if self.true is not None:
            true = query.scores(self.true, query.reference(self.true)).relevancy
        found = [
            span
            for span in spans(relevancy, grid)
            if exclude is None or not exclude[span.start : span.end + 1].any()
        ]
        clear = [span for span in found if relevancy[span.peak] > reference.threshold]
        times = grid_times(self.frames, grid)
        moments = [
            self._moment(span, times, relevancy, cosine, true) for span in (clear or found)[:top]
        ]
        return Answer(
            question=query.label,
            times=times,
            relevancy=relevancy,
            cosine=cosine,
            true_relevancy=true,
            threshold=reference.threshold,
            match=bool(clear),
            moments=moments,
        )

    def seconds(self, times: NDArray[np.float64]) -> NDArray[np.float64]:
        """Timestamps of the source, in seconds, at times in [0, 1]; linear between frames."""
        place = times * (self.frames - 1)
        return np.asarray(np.interp(place, np.arange(self.frames), self.timestamps))

    def _moment(
        self,
        span: Span,
        times: NDArray[np.float64],
        relevancy: Curve,
        cosine: Curve,
        true: Curve | None,
    ) -> Moment:
        start, peak, end = (float(times[point]) for point in span)
        seconds = [float(s) for s in self.seconds(times[list(span)])]
        frame = round(peak * (self.frames - 1))
        spread = float(cosine.std())
        return Moment(
            start=start,
            peak=peak,
            end=end,
            start_seconds=seconds[0],
            peak_seconds=seconds[1],
            end_seconds=seconds[2],
            frame=frame,
            held_out=self.split[frame] == "val",
            relevancy=float(relevancy[span.peak]),
            z=float((cosine[span.peak] - cosine.mean()) / spread) if spread else 0.0,
            cosine=float(cosine[span.peak]),
            true_relevancy=None if true is None else float(true[frame]),
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
