"""Verify a checkpoint: compare its embeddings with baselines, test them, and give a verdict."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from nerv_clip.progress import SILENT, Progress, Task
from nerv_clip.similarity import Array
from nerv_clip.verification.baselines import (
    COMPARED,
    LINEAR,
    NEAREST,
    PREDICTION,
    SPHERICAL,
    Embeddings,
    Kind,
    prediction_and_baselines,
)
from nerv_clip.verification.evidence import Evidence, gather
from nerv_clip.verification.measures import (
    FrameScores,
    Measures,
    best_trivial_baseline,
    measure,
    prediction_differences,
    score_frames,
)
from nerv_clip.verification.names import SPLIT_TITLES
from nerv_clip.verification.statistics import (
    DRAWS,
    DRAWS_PER_STEP,
    Interval,
    PermutationResult,
    block_length,
    block_permutation_test,
    bootstrap_indices,
    circular_shift_test,
    effective_sample_size,
    mean_cosine_by_shift,
)
from nerv_clip.verification.verdict import Facts, Verdict, judge


class Row(NamedTuple):
    """The prediction or a baseline, with its measures by split.

    Measures are None where the split has fewer than two frames, or a frame without an embedding.
    ``missing`` is the reason why a baseline is not available, "" if it is.
    """

    name: str
    kind: Kind
    measures: dict[str, Measures | None]
    missing: str


class SplitStatistics(NamedTuple):
    """Statistics of the true embeddings of a split, and the circular shift test on it.

    ``frames`` is the number of frames, ``block`` the block length in frames, ``best_trivial`` the
    name of the trivial baseline that skill refers to.
    """

    frames: int
    effective_sample_size: float
    block: int
    best_trivial: str
    shift: PermutationResult


@dataclass(frozen=True)
class Verification:
    """The result of a verification.

    ``rows`` are the prediction and the baselines. ``splits`` and ``differences`` are by split:
    "all", "train" and "val", without those of fewer than two frames. ``blocks`` is the block
    permutation test on all frames. ``differences`` are those in centred cosine, prediction minus
    baseline, by the baseline's name. ``per_frame`` has a row for each frame: frame, t, timestamp
    (seconds), split, rank of the prediction, and cosine and centred cosine of the prediction and
    of each baseline. ``shifts`` (T,) is the mean cosine of the prediction at every circular shift.
    """

    evidence: Evidence
    rows: list[Row]
    splits: dict[str, SplitStatistics]
    blocks: PermutationResult
    differences: dict[str, dict[str, Interval]]
    verdict: Verdict
    per_frame: pd.DataFrame
    shifts: Array


def verify(
    checkpoint: Path | str,
    data_path: Path | str | None = None,
    *,
    progress: Progress = SILENT,
) -> Verification:
    """Verify a checkpoint in its run directory; `gather` describes ``data_path`` and the errors."""
    return verify_evidence(gather(Path(checkpoint), data_path, progress), progress)


def verify_evidence(evidence: Evidence, progress: Progress = SILENT) -> Verification:
    """Compute all baselines, measures and tests, and the verdict.

    Random numbers are seeded: the same evidence gives the same result.
    """
    steps = COMPARED + DRAWS // DRAWS_PER_STEP
    with progress.task("verifying", steps, "step") as task:
        return _verify(evidence, task)


def _verify(evidence: Evidence, task: Task) -> Verification:
    true, predicted = evidence.true, evidence.predicted
    compared, scores = _score_all(evidence, task)
    blocks = block_permutation_test(predicted, true, block_length(true), task=task)
    splits: dict[str, SplitStatistics] = {}
    measures: dict[str, dict[str, Measures]] = {}
    differences: dict[str, dict[str, Interval]] = {}
    for name in SPLIT_TITLES:
        chosen = np.array(evidence.indices(name), dtype=np.intp)
        if len(chosen) < 2:
            continue
        block = block_length(true[chosen])
        resampled = bootstrap_indices(len(chosen), block)
        best = best_trivial_baseline(compared, scores, chosen)
        splits[name] = SplitStatistics(
            len(chosen),
            effective_sample_size(true[chosen]),
            block,
            best,
            circular_shift_test(predicted[chosen], true[chosen]),
        )
        measures[name] = {
            each.name: measure(each, scores[each.name], scores.get(best), true, chosen, resampled)
            for each in compared
            if each.draws and not np.isnan(scores[each.name].cosine[chosen]).any()
        }
        differences[name] = prediction_differences(scores, chosen, resampled)
    return Verification(
        evidence=evidence,
        rows=_rows(compared, measures),
        splits=splits,
        blocks=blocks,
        differences=differences,
        verdict=judge(_facts(evidence, splits, blocks, measures, differences)),
        per_frame=_per_frame(evidence, scores),
        shifts=mean_cosine_by_shift(predicted, true),
    )


def _score_all(evidence: Evidence, task: Task) -> tuple[list[Embeddings], dict[str, FrameScores]]:
    """The prediction with all baselines, and frame scores of those available, by name."""
    compared: list[Embeddings] = []
    scores: dict[str, FrameScores] = {}
    for embeddings in prediction_and_baselines(evidence):
        compared.append(embeddings)
        if embeddings.draws:
            scores[embeddings.name] = score_frames(embeddings, evidence.true, evidence.train)
        task.advance()
    return compared, scores


def _rows(compared: list[Embeddings], measures: dict[str, dict[str, Measures]]) -> list[Row]:
    return [
        Row(
            each.name,
            each.kind,
            {split: measures.get(split, {}).get(each.name) for split in SPLIT_TITLES},
            each.missing,
        )
        for each in compared
    ]


def _facts(
    evidence: Evidence,
    splits: dict[str, SplitStatistics],
    blocks: PermutationResult,
    measures: dict[str, dict[str, Measures]],
    differences: dict[str, dict[str, Interval]],
) -> Facts:
    """The input of the rule of the verdict."""
    train = measures.get("train", {})
    held_out = differences.get("val", {})
    return Facts(
        frames=len(evidence.true),
        effective_sample_size=splits["all"].effective_sample_size,
        held_out=len(evidence.indices("val")),
        shift=splits["all"].shift,
        blocks=blocks,
        centred_train=train[PREDICTION].centred if train else Interval(0.0, 0.0, 0.0),
        train_over_interpolation=_over_better_interpolation(differences.get("train", {})),
        over_nearest=held_out.get(NEAREST),
        over_interpolation=_over_better_interpolation(held_out),
    )


def _over_better_interpolation(differences: dict[str, Interval]) -> Interval | None:
    """The smaller of the differences to linear and to spherical interpolation."""
    both = [differences[name] for name in (LINEAR, SPHERICAL) if name in differences]
    return min(both, key=lambda difference: difference.mean, default=None)


def _per_frame(evidence: Evidence, scores: dict[str, FrameScores]) -> pd.DataFrame:
    columns = {
        "frame": np.arange(len(evidence.split)),
        "t": evidence.times,
        "timestamp": list(evidence.config.video.timestamps),
        "split": evidence.split,
        "rank": scores[PREDICTION].ranks.rank,
    }
    for name, score in scores.items():
        columns[f"cosine: {name}"] = score.cosine
        columns[f"centred cosine: {name}"] = score.centred
    return pd.DataFrame(columns)
