"""Is the predicted index as good as the real one? The same queries asked of both, and of others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nerv_clip.errors import InputError
from nerv_clip.evaluation.interpolation import interpolated
from nerv_clip.metrics import average_precision
from nerv_clip.progress import SILENT, Progress
from nerv_clip.runs.arrays import read_arrays
from nerv_clip.search.moments import spans
from nerv_clip.search.question import Curve, Index
from nerv_clip.search.trained_run import TrainedRun

PARTS = ("all", "train", "val")
TOPS = (1, 5, 10)


class LabelledQuery(NamedTuple):
    """A text, and of which frames it is true (T,) where that is known."""

    text: str
    truth: NDArray[np.bool_] | None


def fidelity(
    run: TrainedRun,
    queries: Sequence[LabelledQuery],
    progress: Progress = SILENT,
) -> pd.DataFrame:
    """A row for every query, index and part of the frames.

    Indexes: ``true`` embeddings, ``predicted``, ``interpolated`` (spherical, between the
    neighbouring train frames' true embeddings, a train frame's own left out), and ``teacher on
    reconstruction`` where the run stores it. Columns, of the frames' relevancies:

    - ``spearman`` with the true index's; NaN where one does not vary
    - ``overlap@k``: the share of the k best frames that are also the true index's
    - ``shortfall``: how much less the five best frames' mean true score is than the true index's
      five best, in units of the range of the true scores
    - ``ap``: average precision by the labels; NaN without, or where all or none are true
    - ``iou``: of the frames in the query's moments with the labelled ones, over all frames
    """
    indexes = indexes_of(run)
    levels = {name: run.query_encoder.background.level(index) for name, index in indexes.items()}
    rows = []
    with progress.task("querying", len(queries), "query") as task:
        for query in queries:
            if query.truth is not None and len(query.truth) != run.frames:
                raise InputError(
                    f"the labels are of {len(query.truth)} frames, {run.run.path} has {run.frames}"
                )
            question = run.query_encoder.ask_text(query.text)
            scores = {
                name: question.scores(index, levels[name]).relevancy
                for name, index in indexes.items()
            }
            for part in PARTS:
                chosen = np.array([part in ("all", name) for name in run.split])
                if chosen.sum() < 2:
                    continue
                for name in indexes:
                    row = _row(scores[name], scores["true"], query.truth, chosen, part)
                    rows.append({"query": query.text, "index": name, "frames": part, **row})
            task.advance()
    return pd.DataFrame(rows)


def indexes_of(run: TrainedRun) -> dict[str, Index]:
    """Unit embeddings (T, dim) of the frames, by what they were made from."""
    if run.true is None:
        raise InputError(
            f"{run.run.path} stores no true.npy to compare with: evaluate it with --eval_only"
        )
    train = [i for i, name in enumerate(run.split) if name == "train"]
    between = interpolated(np.array(run.true, np.float64), train, spherical=True)
    found = {"true": run.true, "predicted": run.index(1)}
    if not np.isnan(between).any():
        between /= np.linalg.norm(between, axis=1, keepdims=True)
        found["interpolated"] = between.astype(np.float16)
    if run.run.baselines.exists():
        stored = read_arrays(run.run.baselines)
        if "reconstruction" in stored:
            found["teacher on reconstruction"] = stored["reconstruction"]
    return found


def _row(
    score: Curve,
    true_score: Curve,
    truth: NDArray[np.bool_] | None,
    chosen: NDArray[np.bool_],
    part: str,
) -> dict[str, float]:
    from scipy.stats import spearmanr  # slow to import

    mine, theirs = score[chosen], true_score[chosen]
    varies = min(np.ptp(mine), np.ptp(theirs)) > 0
    best, true_best = np.argsort(-mine, kind="stable"), np.argsort(-theirs, kind="stable")
    row = {"spearman": float(spearmanr(mine, theirs).statistic) if varies else np.nan}
    for k in TOPS:
        top = min(k, len(mine))
        row[f"overlap@{k}"] = len(set(best[:top]) & set(true_best[:top])) / top
    less = theirs[true_best[:5]].mean() - theirs[best[:5]].mean()
    row["shortfall"] = float(less / max(np.ptp(theirs), 1e-12))
    row["ap"] = row["iou"] = np.nan
    if truth is not None:
        if 0 < truth[chosen].sum() < chosen.sum():
            row["ap"] = average_precision(mine, truth[chosen])
        if part == "all" and truth.any():
            row["iou"] = _overlap(score, truth)
    return row


def _overlap(score: Curve, truth: NDArray[np.bool_]) -> float:
    inside = np.zeros(len(score), bool)
    for span in spans(score):
        inside[span.start : span.end + 1] = True
    return float((inside & truth).sum() / (inside | truth).sum())


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """The mean over queries for each index and part, in the order of `PARTS`."""
    means = table.drop(columns="query").groupby(["frames", "index"], sort=False).mean()
    return means.reset_index()
