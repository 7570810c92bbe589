"""Compare the search results of predicted embeddings with those of true and other embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nerv_clip.errors import InputError
from nerv_clip.evaluation.interpolation import alone, interpolated
from nerv_clip.evaluation.results import SPLITS
from nerv_clip.progress import SILENT, Progress
from nerv_clip.runs.arrays import read_arrays
from nerv_clip.search.moments import spans
from nerv_clip.search.relevancy import THRESHOLD, Index, Scores, text_reference
from nerv_clip.search.trained_run import TrainedRun
from nerv_clip.similarity import average_precision
from nerv_clip.video.shots import Shots
from nerv_clip.video.split import train_indices

TOPS = (1, 5, 10)


class LabelledQuery(NamedTuple):
    """A text, and the mask (T,) of the frames that show it; None where that is not known."""

    text: str
    truth: NDArray[np.bool_] | None


def fidelity(
    run: TrainedRun,
    queries: Sequence[LabelledQuery],
    progress: Progress = SILENT,
) -> pd.DataFrame:
    """Run the same queries on several indexes of the frames of a run.

    Indexes: ``true`` and ``predicted`` embeddings; ``interpolated``, the spherical interpolation of
    the true embeddings of the neighbouring train frames in the same shot, without the frame itself;
    and ``teacher on reconstruction`` where the run stores it. Left out of all measures, for all
    indexes, are frames that the teacher did not embed (in all indexes, the nearest one with an
    embedding stands for them), and train frames without another one in their shot, which cannot be
    interpolated.

    Returns a row for every query, index and split ("all", "train", "val"; column ``frames``), with
    these measures of the relevancies of the frames:

    - ``spearman``: rank correlation with the true index; NaN where one does not vary
    - ``overlap@k``: share of the k best frames that are also among the k best of the true index
    - ``shortfall``: mean true relevancy of the true index's five best frames, minus that of this
      index's five best, relative to the range of the true relevancies
    - ``ap``: average precision by the labels; NaN without labels of both values
    - ``iou``: intersection over union of the frames in the moments with the labelled frames, on
      all frames

    Raises `InputError` where the run stores no true embeddings, and where the labels have the wrong
    number of frames.
    """
    indexes = indexes_of(run)
    shots, compared = run.shots, np.zeros(run.frames, bool)
    compared[run.embedded] = True
    compared[alone(_train_frames(run), shots)] = False
    unrelated = run.query_encoder.unrelated
    references = {
        name: text_reference(index, unrelated, shots=shots) for name, index in indexes.items()
    }
    rows = []
    with progress.task("querying", len(queries), "query") as task:
        for query in queries:
            if query.truth is not None and len(query.truth) != run.frames:
                raise InputError(
                    f"the labels are of {len(query.truth)} frames, but {run.run.path} has "
                    f"{run.frames}: give the labels of its video"
                )
            encoded = run.query_encoder.encode_text(query.text)
            truth = query.truth
            scores = {
                name: encoded.scores(index, references[name], shots=shots)
                for name, index in indexes.items()
            }
            for part in SPLITS:
                chosen = compared & np.array([part in ("all", name) for name in run.split])
                if chosen.sum() < 2:
                    continue
                for name in indexes:
                    row = _row(scores[name], scores["true"], truth, chosen)
                    if part == "all" and truth is not None:
                        found = _in_moments(scores[name], shots)
                        row["iou"] = _intersection_over_union(found[chosen], truth[chosen])
                    rows.append({"query": query.text, "index": name, "frames": part, **row})
            task.advance()
    return pd.DataFrame(rows)


def indexes_of(run: TrainedRun) -> dict[str, Index]:
    """The indexes of `fidelity`: unit embeddings (T, dim) of the frames, by name.

    Where nothing can be interpolated, ``interpolated`` holds the train frame's own embedding.
    """
    if run.true is None:
        raise InputError(
            f"{run.run.path} has no {run.run.true.name}, the true embeddings: evaluate the run "
            "again (`evaluate`)"
        )
    train = _train_frames(run)
    true = np.array(run.true, np.float64)
    between, lone = interpolated(true, train, run.shots, spherical=True), alone(train, run.shots)
    between[lone] = true[lone]
    between /= np.linalg.norm(between, axis=1, keepdims=True)
    indexes = {"true": run.true, "predicted": run.index(1)}
    indexes["interpolated"] = between.astype(np.float16)
    if run.run.baselines.exists():
        shape = (run.frames, run.config.architecture.clip_dim)
        stored = read_arrays(run.run.baselines, ["reconstruction"], shape)
        if "reconstruction" in stored:
            indexes["teacher on reconstruction"] = stored["reconstruction"]
    if len(run.embedded) < run.frames:
        indexes = {name: index[run.nearest_embedded] for name, index in indexes.items()}
    return indexes


def _train_frames(run: TrainedRun) -> list[int]:
    """The train frames with a true embedding."""
    known = set(run.embedded)
    return [i for i in train_indices(run.split) if i in known]


def _row(
    scores: Scores,
    true_scores: Scores,
    truth: NDArray[np.bool_] | None,
    chosen: NDArray[np.bool_],
) -> dict[str, float]:
    """The measures of an index on the frames ``chosen``; ``iou`` is left to the caller."""
    from scipy.stats import spearmanr  # slow to import

    own, true = scores.relevancy[chosen], true_scores.relevancy[chosen]
    varies = min(np.ptp(own), np.ptp(true)) > 0
    best, true_best = np.argsort(-own, kind="stable"), np.argsort(-true, kind="stable")
    row = {"spearman": float(spearmanr(own, true).statistic) if varies else np.nan}
    for k in TOPS:
        top = min(k, len(own))
        row[f"overlap@{k}"] = len(set(best[:top]) & set(true_best[:top])) / top
    shortfall = true[true_best[:5]].mean() - true[best[:5]].mean()
    row["shortfall"] = float(shortfall / max(np.ptp(true), 1e-12))
    row["ap"] = row["iou"] = np.nan
    if truth is not None and 0 < truth[chosen].sum() < chosen.sum():
        row["ap"] = average_precision(own, truth[chosen])
    return row


def _in_moments(scores: Scores, shots: Shots) -> NDArray[np.bool_]:
    """Which of the frames are in a moment of a query."""
    inside = np.zeros(shots.frames, bool)
    for span in spans(scores.relevancy, THRESHOLD, scores.edge, shots=shots):
        inside[span.start : span.end + 1] = True
    return inside


def _intersection_over_union(found: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    """Of the frames in moments with the labelled frames, (N,) each; NaN without a label."""
    return float((found & truth).sum() / (found | truth).sum()) if truth.any() else np.nan


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """The mean over queries for each index and split, in the order of `fidelity`."""
    means = table.drop(columns="query").groupby(["frames", "index"], sort=False).mean()
    return means.reset_index()
