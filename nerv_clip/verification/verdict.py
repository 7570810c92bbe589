"""The verdict: one of six labels, by a rule with fixed thresholds (`docs/verification.md`)."""

from __future__ import annotations

from typing import NamedTuple

from nerv_clip.verification.statistics import Interval, ShiftTest

RULE = 2  # of `judge`; a result by another rule is not shown as this one's
MIN_HELD_OUT = 8  # frames; the mean over fewer decides nothing
MIN_EFFECTIVE = 8.0  # independent pairs of deviations; of fewer, p is wrong
SIGNIFICANCE = 0.05
MARGIN = 0.1  # of what interpolation gains over the nearest train frame

UNDECIDABLE = "undecidable"
NO_EVIDENCE = "no evidence"
REPRODUCES = "reproduces train embeddings (nothing between was tested)"
WORSE = "worse than interpolation"
EQUIVALENT = "equivalent to interpolation: a table would serve"
BEYOND = "predicts beyond interpolation"
LABELS = (UNDECIDABLE, NO_EVIDENCE, REPRODUCES, WORSE, EQUIVALENT, BEYOND)


class Verdict(NamedTuple):
    """One of `LABELS`, and a sentence with the reason."""

    label: str
    sentence: str


class Facts(NamedTuple):
    """The input of `judge`.

    ``held_out`` is the number of held-out frames with a true embedding, of which the teacher was
    asked for one in ``every``, ``test`` the shift test on them, and ``centred``
    the centred cosine of the prediction on them. ``interpolation`` is the name of the best
    interpolation on held-out frames; the differences in centred cosine, paired by frame, are:
    ``over_nearest_train``, prediction minus nearest other train frame, on train frames;
    ``gain``, that interpolation minus the nearest train frame, and ``over_interpolation``,
    prediction minus that interpolation, both on held-out frames. Intervals are None where they
    cannot be computed. ``slerp_weight`` is the run's ``slerp_loss_weight``.
    """

    held_out: int
    test: ShiftTest
    centred: Interval | None
    interpolation: str
    over_nearest_train: Interval | None
    gain: Interval | None
    over_interpolation: Interval | None
    slerp_weight: float
    every: int = 1


def judge(facts: Facts) -> Verdict:
    """Return the first verdict of this list whose condition holds.

    With fewer than `MIN_HELD_OUT` held-out frames:

    1. *reproduces train embeddings*: on train frames, above the nearest other train frame.
    2. *no evidence*: otherwise.

    With held-out frames, all on held-out frames:

    1. *undecidable*: no test is possible or valid (`_undecidable_test`).
    2. *no evidence*: the test is not significant, or the centred cosine is not above 0.
    3. *undecidable*: interpolation is not above the nearest train frame.
    4. *equivalent to interpolation*: the whole interval of the difference is within ± the margin,
       which is `MARGIN` of what interpolation gains over the nearest train frame.
    5. *worse than interpolation*: below the best interpolation.
    6. *predicts beyond interpolation*: above the best interpolation.
    7. *undecidable*: otherwise.

    Comparisons use the whole 95 % interval: 'above' means that its lower end is above, 'below'
    that its upper end is below. 'Interpolation' is the best of linear and spherical interpolation
    of all train embeddings, and of tables that take no more bytes than the CLIP head.
    """
    if facts.held_out < MIN_HELD_OUT:
        return _without_held_out_frames(facts)
    verdict = _undecidable_test(facts.test) or _no_evidence(facts) or _compared(facts)
    if facts.slerp_weight > 0 and verdict.label in (WORSE, EQUIVALENT, BEYOND):
        return verdict._replace(
            sentence=f"{verdict.sentence} The head was trained towards spherical interpolation "
            f"(slerp_loss_weight {facts.slerp_weight:g}), so a match with interpolation shows only "
            "that it learned to interpolate."
        )
    return verdict


def _without_held_out_frames(facts: Facts) -> Verdict:
    train = facts.over_nearest_train
    advice = "Train with a split such as 3_3_4 to test frames between train frames."
    having = "were held out"
    if facts.every > 1:
        advice = "Train with a smaller clip_every, or hold out more frames."
        having = f"were held out and embedded by the teacher (clip_every {facts.every})"
    if train is None:
        return Verdict(UNDECIDABLE, f"No shot has two train frames to compare. {advice}")
    sentence = (
        f"Only {facts.held_out} frames {having}; at least {MIN_HELD_OUT} are needed. On train "
        f"frames, the centred cosine differs by {_signed(train)} from that of the nearest other "
        f"train frame. {advice}"
    )
    return Verdict(REPRODUCES if train.low > 0 else NO_EVIDENCE, sentence)


def _undecidable_test(test: ShiftTest) -> Verdict | None:
    if test.floor >= SIGNIFICANCE:
        return Verdict(
            UNDECIDABLE,
            "Too few held-out frames differ from their neighbours: the smallest possible p of the "
            f"shift test is {test.floor:.2f}, so no result would be significant.",
        )
    if test.effective < MIN_EFFECTIVE:
        return Verdict(
            UNDECIDABLE,
            "The embeddings change too smoothly or periodically: the held-out frames give "
            f"{test.effective:.1f} independent pairs of deviations, and with fewer than "
            f"{MIN_EFFECTIVE:.0f} no test is valid.",
        )
    return None


def _no_evidence(facts: Facts) -> Verdict | None:
    centred = facts.centred
    if centred is not None and centred.low > 0 and facts.test.p < SIGNIFICANCE:
        return None
    return Verdict(
        NO_EVIDENCE,
        "Predicted embeddings do not follow the held-out frames significantly better than frames "
        f"at other times: p = {facts.test.p:.3g} (shift test of local deviations), centred cosine "
        f"{'not available' if centred is None else _signed(centred, 3)}.",
    )


def _compared(facts: Facts) -> Verdict:
    gain, between = facts.gain, facts.over_interpolation
    if gain is None or between is None:
        return Verdict(UNDECIDABLE, "There are too few train frames to interpolate between.")
    if gain.low <= 0:
        return Verdict(
            UNDECIDABLE,
            "On held-out frames, interpolation is no better than the nearest train frame "
            f"({_signed(gain)}): the frames between train frames hold nothing to predict.",
        )
    margin = MARGIN * gain.mean
    sentence = (
        f"On held-out frames, the centred cosine differs by {_signed(between)} from that of the "
        f"best interpolation ({facts.interpolation}), which is {gain.mean:.4f} above the nearest "
        f"train frame; the margin is {margin:.4f}."
    )
    if -margin < between.low and between.high < margin:
        return Verdict(EQUIVALENT, sentence)
    if between.high < 0:
        return Verdict(WORSE, sentence)
    if between.low > 0:
        return Verdict(BEYOND, sentence)
    return Verdict(UNDECIDABLE, f"{sentence} The interval is too wide to decide.")


def _signed(value: Interval, digits: int = 4) -> str:
    low, high = (f"{end:+.{digits}f}" for end in (value.low, value.high))
    return f"{value.mean:+.{digits}f} [{low}, {high}]"
