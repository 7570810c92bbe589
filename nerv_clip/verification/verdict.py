"""The verdict in a sentence, by a rule whose thresholds stand here and in the README."""

from __future__ import annotations

from typing import NamedTuple

from nerv_clip.verification.statistics import Interval, Outcome

FEWEST_INDEPENDENT = 8.0  # frames; intervals from fewer blocks are too narrow to be believed
FEWEST_HELD_OUT = 8  # frames, of which each is one value in the mean that decides
SIGNIFICANCE = 0.05
MARGIN = 0.02  # of centred cosine: level with interpolation up to this much below it


class Verdict(NamedTuple):
    """One of the six labels of `judge`, and a sentence that says why."""

    label: str
    sentence: str


class Facts(NamedTuple):
    """What the verdict rests on.

    ``centred_train`` is the prediction's centred cosine on train frames. The differences are
    paired by frame: the prediction's centred cosine minus that of the nearest train frame and of
    the better interpolation (spherical or linear); ``train_ahead`` on train frames, theirs left
    out; None where it cannot be formed.
    """

    frames: int
    independent: float
    held_out: int
    shift: Outcome
    blocks: Outcome
    centred_train: Interval
    train_ahead: Interval | None
    over_nearest: Interval | None
    over_interpolation: Interval | None


def judge(facts: Facts) -> Verdict:
    """The first of the following that holds.

    1. *too few independent frames*: fewer than `FEWEST_INDEPENDENT`, or a video so short that no
       circular shift could be significant.
    2. *no evidence*: one of the two permutation tests is not significant, or the centred cosine
       on train frames is not above 0.
    3. *fits the train frames; generalisation untested*: fewer than `FEWEST_HELD_OUT` held out.
    4. *learned and generalises*: on held-out frames ahead of the nearest train frame, and no more
       than `MARGIN` behind interpolation.
    5. *memorised the train frames*: behind the nearest train frame on held-out frames, but ahead
       of interpolation on the train frames.
    6. *no better than interpolation*: the rest.

    A head trained with ``--arc_weight`` was taught interpolation: level with it is what it learned.

    'Ahead', 'behind', 'above' and 'no more than' speak of the end of the 95 % interval that is
    the less favourable to the claim.
    """
    if facts.shift.floor >= SIGNIFICANCE:
        return Verdict(
            "too few independent frames",
            f"{facts.frames} frames have so few circular shifts that no p is below "
            f"{facts.shift.floor:.2f}, so that neither success nor failure can be told.",
        )
    if facts.independent < FEWEST_INDEPENDENT:
        return Verdict(
            "too few independent frames",
            f"{facts.frames} frames change so little that they count as about "
            f"{facts.independent:.1f} independent ones; the rule asks for "
            f"{FEWEST_INDEPENDENT:.0f}, so that neither success nor failure can be told.",
        )
    worst = max(facts.shift, facts.blocks, key=lambda test: test.p)
    if worst.p >= SIGNIFICANCE or facts.centred_train.low <= 0:
        return Verdict(
            "no evidence",
            f"Its embeddings fit their own frames no better than frames at other times: p = "
            f"{worst.p:.3g}, centred cosine on train frames {_told(facts.centred_train)}.",
        )
    nearest, between, train = facts.over_nearest, facts.over_interpolation, facts.train_ahead
    if facts.held_out < FEWEST_HELD_OUT or nearest is None or between is None or train is None:
        return Verdict(
            "fits the train frames; generalisation untested",
            f"Centred cosine {_told(facts.centred_train)} on train frames, but "
            f"{facts.held_out} frames were held out: train with a --data_split such as 3_3_4.",
        )
    said = (
        f"On held-out frames its centred cosine is {_gap(nearest)} the nearest train frame's, and "
        f"{_gap(between)} interpolation's"
    )
    if nearest.low > 0 and between.low > -MARGIN:
        level = "both" if between.low > 0 else f"the one, within {MARGIN} of the other"
        return Verdict("learned and generalises", f"{said}: ahead of {level}.")
    if nearest.high < 0 < train.low:
        return Verdict(
            "memorised the train frames",
            f"{said}: a copy of the neighbour would serve better, though on train frames it is "
            f"ahead of their neighbours' interpolation by {_told(train)}.",
        )
    return Verdict(
        "no better than interpolation",
        f"{said}: its neighbours' true embeddings, kept in a table, would serve at least as well.",
    )


def _gap(value: Interval) -> str:
    """A difference as above or below; four digits, since a thousandth can decide."""
    if value.mean >= 0:
        return f"{value.mean:.4f} [{value.low:.4f}, {value.high:.4f}] above"
    return f"{-value.mean:.4f} [{-value.high:.4f}, {-value.low:.4f}] below"


def _told(value: Interval) -> str:
    return f"{value.mean:+.3f} [{value.low:+.3f}, {value.high:+.3f}]"
