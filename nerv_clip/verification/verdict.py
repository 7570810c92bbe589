"""The verdict: one of six labels, by a rule with fixed thresholds."""

from __future__ import annotations

from typing import NamedTuple

from nerv_clip.verification.statistics import Interval, PermutationResult

MIN_EFFECTIVE_SAMPLE_SIZE = 8.0  # frames; intervals from fewer blocks are too narrow
MIN_HELD_OUT = 8  # frames; the mean over fewer decides nothing
SIGNIFICANCE = 0.05
MARGIN = 0.02  # in centred cosine: matching interpolation means at most this much below it


class Verdict(NamedTuple):
    """One of the six labels of `judge`, and a sentence with the reason."""

    label: str
    sentence: str


class Facts(NamedTuple):
    """The input of `judge`.

    ``frames`` and ``held_out`` are numbers of frames. ``centred_train`` is the centred cosine of
    the prediction on train frames. The last three are differences in centred cosine, paired by
    frame: the prediction minus the better of linear and spherical interpolation on train frames
    (each interpolated without itself), and the prediction minus the nearest train frame and minus
    the better interpolation on held-out frames. They are None where they cannot be computed.
    """

    frames: int
    effective_sample_size: float
    held_out: int
    shift: PermutationResult
    blocks: PermutationResult
    centred_train: Interval
    train_over_interpolation: Interval | None
    over_nearest: Interval | None
    over_interpolation: Interval | None


def judge(facts: Facts) -> Verdict:
    """Return the first verdict of this list whose condition holds.

    1. *too few independent frames*: the effective sample size is below
       `MIN_EFFECTIVE_SAMPLE_SIZE`, or the video is so short that no circular shift test can be
       significant.
    2. *no evidence*: one of the two permutation tests is not significant, or the centred cosine
       on train frames is not above 0.
    3. *fits the train frames; generalisation untested*: fewer than `MIN_HELD_OUT` held-out frames.
    4. *learned and generalises*: on held-out frames, above the nearest train frame, and at most
       `MARGIN` below interpolation.
    5. *memorised the train frames*: on held-out frames, below the nearest train frame; on train
       frames, above interpolation.
    6. *no better than interpolation*: otherwise.

    Comparisons use the whole 95 % interval: 'above' means that its lower end is above, 'below'
    that its upper end is below, 'at most' that its lower end is within the margin.

    A head trained with a ``slerp_loss_weight`` above 0 was trained towards spherical
    interpolation: matching it shows only that the head learned to interpolate.
    """
    return (
        _too_few_frames(facts)
        or _no_evidence(facts)
        or _generalisation_untested(facts)
        or _compared_with_baselines(facts)
    )


def _too_few_frames(facts: Facts) -> Verdict | None:
    label = "too few independent frames"
    if facts.shift.floor >= SIGNIFICANCE:
        return Verdict(
            label,
            f"{facts.frames} frames allow so few circular shifts that the smallest possible p is "
            f"{facts.shift.floor:.2f}: no result would be significant.",
        )
    if facts.effective_sample_size < MIN_EFFECTIVE_SAMPLE_SIZE:
        return Verdict(
            label,
            f"The effective sample size is {facts.effective_sample_size:.1f} of {facts.frames} "
            f"frames, because the embeddings change too little; at least "
            f"{MIN_EFFECTIVE_SAMPLE_SIZE:.0f} are needed.",
        )
    return None


def _no_evidence(facts: Facts) -> Verdict | None:
    worst = max(facts.shift, facts.blocks, key=lambda test: test.p)
    if worst.p < SIGNIFICANCE and facts.centred_train.low > 0:
        return None
    return Verdict(
        "no evidence",
        "Predicted embeddings do not match their own frames significantly better than frames at "
        f"other times: p = {worst.p:.3g}, centred cosine on train frames "
        f"{_signed(facts.centred_train)}.",
    )


def _generalisation_untested(facts: Facts) -> Verdict | None:
    comparisons = (facts.over_nearest, facts.over_interpolation, facts.train_over_interpolation)
    if facts.held_out >= MIN_HELD_OUT and None not in comparisons:
        return None
    if facts.held_out < MIN_HELD_OUT:
        reason = f"only {facts.held_out} frames were held out; at least {MIN_HELD_OUT} are needed"
    else:
        reason = "there are too few train frames to interpolate between"
    return Verdict(
        "fits the train frames; generalisation untested",
        f"Centred cosine on train frames is {_signed(facts.centred_train)}, but {reason}: train "
        "with a split such as 3_3_4.",
    )


def _compared_with_baselines(facts: Facts) -> Verdict:
    nearest, between = facts.over_nearest, facts.over_interpolation
    train = facts.train_over_interpolation
    assert nearest is not None  # noqa: S101 - `_generalisation_untested` checks all three
    assert between is not None  # noqa: S101
    assert train is not None  # noqa: S101
    comparison = (
        f"On held-out frames, the centred cosine differs by {_signed(nearest, 4)} from that of the "
        f"nearest train frame and by {_signed(between, 4)} from that of interpolation"
    )
    if nearest.low > 0 and between.low > -MARGIN:
        second = (
            "above both" if between.low > 0 else f"above the first, within {MARGIN} of the second"
        )
        return Verdict("learned and generalises", f"{comparison}: {second}.")
    if nearest.high < 0 < train.low:
        return Verdict(
            "memorised the train frames",
            f"{comparison}: a copy of the nearest train embedding is closer. On train frames, it "
            f"exceeds interpolation by {_signed(train)}.",
        )
    return Verdict(
        "no better than interpolation",
        f"{comparison}: this is no evidence that the network does better than a stored table of "
        "the train embeddings.",
    )


def _signed(value: Interval, digits: int = 3) -> str:
    low, high = (f"{end:+.{digits}f}" for end in (value.low, value.high))
    return f"{value.mean:+.{digits}f} [{low}, {high}]"
