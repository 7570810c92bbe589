"""Did a network learn its video's embeddings, or would anything score as well?"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nerv_clip.progress import SILENT, Progress, Task
from nerv_clip.similarity import (
    Array,
    Ranks,
    centred_cosine,
    cosine,
    debiased_cka,
    ranks,
    rsa,
)
from nerv_clip.verification.baselines import (
    LINEAR,
    NEAREST,
    PREDICTION,
    SPHERICAL,
    Candidate,
    Kind,
    candidates,
)
from nerv_clip.verification.evidence import Evidence, gather
from nerv_clip.verification.statistics import (
    DRAWS,
    Interval,
    Outcome,
    block_length,
    block_permutation_test,
    circular_shift_test,
    independent_frames,
    interval,
    resamples,
    shifted,
)
from nerv_clip.verification.verdict import Facts, Verdict, judge

PARTS = ("all", "train", "val")
STEPS = 14 + DRAWS // 100  # of the progress: candidates, and hundreds of permutations


class Figures(NamedTuple):
    """What a guess reaches on a part of the frames; intervals by block bootstrap.

    ``skill`` is 1 - mean(1 - cosine) / that of the best trivial guess on the same frames: 1 is
    perfect, 0 is what mean, nearest train frame or interpolation give. Rank figures are among all
    frames of the video; ``median_rank`` 1 is best.
    """

    cosine: Interval
    centred: Interval
    skill: Interval
    r1: Interval
    r5: Interval
    near: Interval
    mrr: Interval
    median_rank: float
    cka: float
    rsa: float


class Row(NamedTuple):
    """A guess with its figures by part; None where the part is empty or cannot be guessed."""

    name: str
    kind: Kind
    figures: dict[str, Figures | None]
    missing: str


class Part(NamedTuple):
    """A part of the frames: how many, worth how many independent ones, moved in which blocks."""

    frames: int
    independent: float
    block: int
    best_trivial: str
    shift: Outcome


@dataclass(frozen=True)
class Verification:
    """Everything that is reported of a checkpoint.

    ``per_frame`` has frame, t, timestamp, split, the prediction's rank, and of every guess its
    cosine and centred cosine; ``shifts`` is the mean cosine at every circular shift (T,).
    """

    evidence: Evidence
    rows: list[Row]
    parts: dict[str, Part]
    blocks: Outcome
    differences: dict[str, dict[str, Interval]]
    verdict: Verdict
    per_frame: pd.DataFrame
    shifts: Array


class _Scores(NamedTuple):
    """A guess frame by frame, (T,) each, averaged over its draws; NaN where it cannot guess."""

    cosine: Array
    centred: Array
    ranks: Ranks


def verify(
    checkpoint: Path | str, data_path: Path | None = None, progress: Progress = SILENT
) -> Verification:
    """Verify a checkpoint in its run directory; see `gather` for ``data_path`` and errors."""
    return verify_evidence(gather(Path(checkpoint), data_path, progress), progress)


def verify_evidence(evidence: Evidence, progress: Progress = SILENT) -> Verification:
    """All baselines, measures and tests.

    The same evidence gives the same result: everything that is random is seeded.
    """
    with progress.task("verifying", STEPS, "step") as task:
        return _verified(evidence, task)


def _verified(evidence: Evidence, task: Task) -> Verification:
    every = []
    scores: dict[str, _Scores] = {}
    for candidate in candidates(evidence):
        every.append(candidate)
        if candidate.values:
            scores[candidate.name] = _score(candidate, evidence)
        task.advance()
    true, predicted = evidence.true, evidence.predicted
    length = block_length(true)
    blocks = block_permutation_test(
        predicted, true, length, notice=lambda done: task.advance(done // 100)
    )
    parts, figures, differences = {}, {}, {}
    for name in PARTS:
        chosen = np.array(evidence.part(name), dtype=np.intp)
        if len(chosen) < 2:
            continue
        picked = resamples(len(chosen), block_length(true[chosen]))
        best = _best_trivial(every, scores, chosen)
        parts[name] = Part(
            len(chosen),
            independent_frames(true[chosen]),
            block_length(true[chosen]),
            best,
            circular_shift_test(predicted[chosen], true[chosen]),
        )
        figures[name] = {
            candidate.name: _figures(
                candidate, scores[candidate.name], scores.get(best), true, chosen, picked
            )
            for candidate in every
            if candidate.values and not np.isnan(scores[candidate.name].cosine[chosen]).any()
        }
        differences[name] = _differences(scores, chosen, picked)
    rows = [
        Row(g.name, g.kind, {p: figures.get(p, {}).get(g.name) for p in PARTS}, g.missing)
        for g in every
    ]
    facts = _facts(evidence, parts, blocks, figures, differences)
    return Verification(
        evidence=evidence,
        rows=rows,
        parts=parts,
        blocks=blocks,
        differences=differences,
        verdict=judge(facts),
        per_frame=_per_frame(evidence, scores),
        shifts=shifted(predicted, true),
    )


def _score(candidate: Candidate, evidence: Evidence) -> _Scores:
    true = evidence.true
    mean = true[evidence.train].mean(0)
    own = np.arange(len(true))
    drawn = [
        (
            cosine(values, true),
            centred_cosine(values, true, mean),
            *ranks(np.nan_to_num(values), true, own),
        )
        for values in candidate.values
    ]
    average = np.mean(drawn, axis=0)
    return _Scores(average[0], average[1], Ranks(*average[2:]))


def _best_trivial(
    every: list[Candidate], scores: dict[str, _Scores], chosen: NDArray[np.intp]
) -> str:
    """The trivial guess with the highest mean cosine on the chosen frames; "" without any."""
    means = {
        candidate.name: float(scores[candidate.name].cosine[chosen].mean())
        for candidate in every
        if candidate.kind == "trivial"
    }
    possible = {name: mean for name, mean in means.items() if not np.isnan(mean)}
    return max(possible, key=lambda name: possible[name], default="")


def _figures(
    candidate: Candidate,
    score: _Scores,
    best: _Scores | None,
    true: Array,
    chosen: NDArray[np.intp],
    picked: NDArray[np.intp],
) -> Figures:
    first, five, near, rank, reciprocal = (values[chosen] for values in score.ranks)
    error = 1 - score.cosine[chosen]
    against = error if best is None else 1 - best.cosine[chosen]
    alike = [(values[chosen], true[chosen]) for values in candidate.values]
    return Figures(
        cosine=interval(score.cosine[chosen], picked),
        centred=interval(score.centred[chosen], picked),
        skill=interval(error, picked, against),
        r1=interval(first, picked),
        r5=interval(five, picked),
        near=interval(near, picked),
        mrr=interval(reciprocal, picked),
        median_rank=float(np.median(rank)),
        cka=float(np.mean([debiased_cka(*pair) for pair in alike])),
        rsa=float(np.mean([rsa(*pair) for pair in alike])),
    )


def _differences(
    scores: dict[str, _Scores], chosen: NDArray[np.intp], picked: NDArray[np.intp]
) -> dict[str, Interval]:
    """The prediction's centred cosine less each other guess's, paired by frame."""
    own = scores[PREDICTION].centred[chosen]
    return {
        name: interval(own - score.centred[chosen], picked)
        for name, score in scores.items()
        if name != PREDICTION and not np.isnan(score.centred[chosen]).any()
    }


def _facts(
    evidence: Evidence,
    parts: dict[str, Part],
    blocks: Outcome,
    figures: dict[str, dict[str, Figures]],
    differences: dict[str, dict[str, Interval]],
) -> Facts:
    held, seen = differences.get("val", {}), differences.get("train", {})
    nothing = Interval(0.0, 0.0, 0.0)
    train = figures.get("train", {})
    return Facts(
        frames=len(evidence.true),
        independent=parts["all"].independent,
        held_out=len(evidence.part("val")),
        shift=parts["all"].shift,
        blocks=blocks,
        centred_train=train[PREDICTION].centred if train else nothing,
        train_ahead=_over_better(seen),
        over_nearest=held.get(NEAREST),
        over_interpolation=_over_better(held),
    )


def _over_better(differences: dict[str, Interval]) -> Interval | None:
    """The smaller of the leads over linear and over spherical interpolation."""
    both = [differences[name] for name in (LINEAR, SPHERICAL) if name in differences]
    return min(both, key=lambda difference: difference.mean, default=None)


def _per_frame(evidence: Evidence, scores: dict[str, _Scores]) -> pd.DataFrame:
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
