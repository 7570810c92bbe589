"""Verify a checkpoint: compare its embeddings with baselines, test them, and give a verdict."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nerv_clip.evaluation.interpolation import alone, shots_of
from nerv_clip.progress import SILENT, Progress, Task
from nerv_clip.similarity import Array
from nerv_clip.verification.baselines import (
    COMPARED,
    INTERPOLATIONS,
    NEAREST,
    PREDICTION,
    Embeddings,
    Kind,
    prediction_and_baselines,
)
from nerv_clip.verification.evidence import Evidence, gather
from nerv_clip.verification.measures import (
    FrameScores,
    Measures,
    best_trivial_baseline,
    difference,
    measure,
    score_frames,
)
from nerv_clip.verification.names import SPLIT_TITLES
from nerv_clip.verification.statistics import (
    Interval,
    ShiftTest,
    block_length,
    bootstrap,
    effective_sample_size,
    local_deviations,
    mean_cosine_by_shift,
    shift_test,
)
from nerv_clip.verification.verdict import Facts, Verdict, judge


class Row(NamedTuple):
    """The prediction or a baseline, with its measures by split.

    Measures are None where the split has fewer than two frames, or frames without an embedding.
    ``missing`` is the reason why a baseline has no measures on some or all frames, "" if it has.
    ``size`` as in `Embeddings`.
    """

    name: str
    kind: Kind
    measures: dict[str, Measures | None]
    missing: str
    size: int | None


class SplitStatistics(NamedTuple):
    """Statistics of the true embeddings of a split.

    ``frames`` is the number of frames that are compared, ``block`` the block length in frames,
    ``best_trivial`` the name of the trivial baseline that skill refers to.
    """

    frames: int
    effective_sample_size: float
    block: int
    best_trivial: str


@dataclass(frozen=True)
class Verification:
    """The result of a verification.

    ``rows`` are the prediction and the baselines. ``splits`` and ``differences`` are by split:
    "all", "train" and "val", without those of fewer than two frames. A train frame that is alone in
    its shot is in none of them: no other embedding can stand for it. ``test`` is the shift test of
    local deviations, on held-out frames. ``differences`` are those in centred cosine, prediction
    minus baseline, by the baseline's name. ``per_frame`` has a row for each frame: frame, t,
    timestamp (seconds), split, rank of the prediction, and cosine and centred cosine of the
    prediction and of each baseline. ``shifts`` (T,) is the mean cosine of the prediction at every
    circular shift, for a plot: no p-value comes of it, because trends would make it wrong.
    """

    evidence: Evidence
    rows: list[Row]
    splits: dict[str, SplitStatistics]
    test: ShiftTest
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
    with progress.task("verifying", COMPARED, "step") as task:
        return _verify(evidence, task)


def _verify(evidence: Evidence, task: Task) -> Verification:
    true = evidence.true
    chosen_in = {name: compared_frames(evidence, name) for name in SPLIT_TITLES}
    chosen_in = {name: chosen for name, chosen in chosen_in.items() if len(chosen) >= 2}
    compared, scores = _score_all(evidence, chosen_in, task)
    splits: dict[str, SplitStatistics] = {}
    measures: dict[str, dict[str, Measures]] = {}
    differences: dict[str, dict[str, Interval]] = {}
    gain: Interval | None = None
    for name, chosen in chosen_in.items():
        block = block_length(true[chosen])
        resampled = bootstrap(len(chosen), block)
        best = best_trivial_baseline(compared, scores, chosen)
        splits[name] = SplitStatistics(
            len(chosen),
            effective_sample_size(true[chosen]),
            block,
            best,
        )
        measures[name] = {
            each: measure(own, scores.get(best), name, chosen, resampled)
            for each, own in scores.items()
            if name in own.alignments
        }
        found = {
            other: difference(scores, PREDICTION, other, chosen, resampled)
            for other in scores
            if other != PREDICTION
        }
        differences[name] = {other: value for other, value in found.items() if value is not None}
        if name == "val" and (interpolation := best_interpolation(differences[name])):
            gain = difference(scores, interpolation, NEAREST, chosen, resampled)
    test = held_out_test(evidence)
    return Verification(
        evidence=evidence,
        rows=_rows(compared, measures),
        splits=splits,
        test=test,
        differences=differences,
        verdict=judge(_facts(evidence, test, measures, differences, gain)),
        per_frame=_per_frame(evidence, scores),
        shifts=mean_cosine_by_shift(evidence.predicted, true),
    )


def compared_frames(evidence: Evidence, name: str) -> NDArray[np.intp]:
    """The frames of a split on which all rows are compared: without train frames alone in a shot.

    Nearest train frame and interpolation have no embedding there, and all rows share their frames.
    """
    lone = alone(evidence.train, evidence.shots)
    return np.setdiff1d(np.array(evidence.indices(name), dtype=np.intp), lone)


def best_interpolation(differences: dict[str, Interval]) -> str:
    """The interpolation that the prediction exceeds least; "" where there is none."""
    over = [name for name in INTERPOLATIONS if name in differences]
    return min(over, key=lambda name: differences[name].mean, default="")


def held_out_test(evidence: Evidence) -> ShiftTest:
    """The shift test on held-out frames.

    A frame's neighbours are held-out frames of its shot at least as far away as the longest gap
    between train frames of a shot, so that what no interpolation can follow is not all that is
    tested.
    """
    held_out, train, shots = evidence.indices("val"), evidence.train, evidence.shots
    gap = int(np.diff(train)[np.diff(shots_of(train, shots)) == 0].max(initial=1))
    deviations = [
        local_deviations(values, held_out, gap, shots)
        for values in (evidence.predicted, evidence.true)
    ]
    return shift_test(*deviations)


def _score_all(
    evidence: Evidence, splits: dict[str, NDArray[np.intp]], task: Task
) -> tuple[list[Embeddings], dict[str, FrameScores]]:
    """The prediction with all baselines, and scores of those available, by name.

    The embeddings themselves are dropped: all of them together may not fit into memory.
    """
    compared: list[Embeddings] = []
    scores: dict[str, FrameScores] = {}
    true, train = evidence.true, evidence.train
    for each in prediction_and_baselines(evidence):
        if each.draws is not None:
            scores[each.name] = score_frames(each.draws, true, train, splits)
        compared.append(each._replace(draws=None))
        del each  # before the next embeddings are made
        task.advance()
    return compared, scores


def _rows(compared: list[Embeddings], measures: dict[str, dict[str, Measures]]) -> list[Row]:
    return [
        Row(
            each.name,
            each.kind,
            {split: measures.get(split, {}).get(each.name) for split in SPLIT_TITLES},
            each.missing,
            each.size,
        )
        for each in compared
    ]


def _facts(
    evidence: Evidence,
    test: ShiftTest,
    measures: dict[str, dict[str, Measures]],
    differences: dict[str, dict[str, Interval]],
    gain: Interval | None,
) -> Facts:
    """The input of the rule of the verdict."""
    held_out = differences.get("val", {})
    prediction = measures.get("val", {}).get(PREDICTION)
    interpolation = best_interpolation(held_out)
    return Facts(
        held_out=len(evidence.indices("val")),
        test=test,
        centred=prediction and prediction.centred,
        interpolation=interpolation,
        over_nearest_train=differences.get("train", {}).get(NEAREST),
        gain=gain,
        over_interpolation=held_out.get(interpolation),
        slerp_weight=evidence.config.train.slerp_loss_weight,
        every=evidence.config.train.clip_every,
    )


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
