"""A run as something to ask: where in its video is this?"""

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
from nerv_clip.search.question import Curve, Index, Level, Question, ask_vector

GRID = 4  # points a frame


class Moment(NamedTuple):
    """A stretch of a video that answers a question.

    ``start``, ``peak``, ``end`` are times in [0, 1]; the ``_seconds`` are the source's timestamps;
    ``frame`` is the frame index nearest to the peak, ``held_out`` whether training never saw it.
    ``relevancy`` in [0, 1], ``z`` in standard deviations over the video and ``cosine`` are those of
    the predicted embedding at the peak; ``true_relevancy`` is the true embedding's at ``frame``,
    None where the run stores none.
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
    """What a run says to one question: curves over its grid of times, and the best moments.

    ``match`` is False, no clear match, where the best relevancy does not exceed ``threshold``:
    ``moments`` holds the nearest then. ``true_relevancy`` (T,) is by the frames' true embeddings,
    None where the run stores none.
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
    """A run directory with its teacher, made by `load_run`."""

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
        self._levels: dict[int, Level] = {}

    @cached_property
    def true(self) -> Index | None:
        """True embeddings of the frames (T, dim), where the run stores them."""
        if not self.run.true.exists():
            return None
        return read_array(self.run.true, mapped=True)

    def index(self, grid: int = GRID) -> Index:
        """Predicted unit embeddings at `grid_times`; see `load_index`."""
        if grid not in self._indexes:
            self._indexes[grid] = load_index(self.run.best, grid, self._progress)
        return self._indexes[grid]

    def _level(self, question: Question, grid: int) -> Level:
        """The level of an index: for texts it is the same each time."""
        if question.background is None:
            return question.level(self.index(grid))
        if grid not in self._levels:
            self._levels[grid] = question.level(self.index(grid))
        return self._levels[grid]

    def search(self, query: str, top: int = 5, grid: int = GRID) -> Answer:
        """The moments that a text describes; `parse_query` says how terms are weighed or negated.

        Raises `InputError` for an empty query and for words that the teacher does not know.
        """
        return self.answer(self.query_encoder.ask_text(query), top, grid)

    def search_image(self, path: Path, top: int = 5, grid: int = GRID) -> Answer:
        """The moments that look like an image file."""
        return self.answer(self.query_encoder.ask_image(path), top, grid)

    def search_like(self, start: float, end: float, top: int = 5, grid: int = GRID) -> Answer:
        """The other moments that are like the one from ``start`` to ``end``, in source seconds."""
        index, times = self.index(grid), grid_times(self.frames, grid)
        seconds = self.seconds(times)
        chosen = (seconds >= start) & (seconds <= end)
        if not chosen.any():
            raise InputError(
                f"no moment from {start:g} to {end:g} s: the video runs from {seconds[0]:g} to "
                f"{seconds[-1]:g} s"
            )
        mean = np.array(index[chosen], np.float32).mean(0)
        question = ask_vector(f"like {start:g} to {end:g} s", mean)
        return self.answer(question, top, grid, besides=chosen)

    def answer(
        self,
        question: Question,
        top: int = 5,
        grid: int = GRID,
        besides: NDArray[np.bool_] | None = None,
    ) -> Answer:
        """The best ``top`` moments for a question, none that touches the points ``besides``."""
        level = self._level(question, grid)
        relevancy, cosine = question.scores(self.index(grid), level)
        true = None
        if self.true is not None:
            true = question.scores(self.true, question.level(self.true)).relevancy
        found = [
            span
            for span in spans(relevancy, grid)
            if besides is None or not besides[span.start : span.end + 1].any()
        ]
        clear = [span for span in found if relevancy[span.peak] > level.threshold]
        times = grid_times(self.frames, grid)
        moments = [
            self._moment(span, times, relevancy, cosine, true) for span in (clear or found)[:top]
        ]
        return Answer(
            question.label, times, relevancy, cosine, true, level.threshold, bool(clear), moments
        )

    def seconds(self, times: NDArray[np.float64]) -> NDArray[np.float64]:
        """The source's timestamps at times in [0, 1], linear between frames."""
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
    """A run to search, by its directory; raises `InputError` where it has no CLIP head.

    The teacher is loaded with the first text or image; runs with the same teacher may share a
    ``query_encoder``.

    >>> load_run("checkpoints/kitchen").search("a purple kettle").moments[0].frame  # doctest: +SKIP
    """
    return TrainedRun(Path(path), query_encoder, progress)
