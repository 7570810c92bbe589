"""A verification as plain text: the verdict, the test and the tables."""

from __future__ import annotations

import math

from nerv_clip.evaluation.interpolation import alone
from nerv_clip.verification.baselines import INTERPOLATIONS, NEAREST
from nerv_clip.verification.measures import Measures
from nerv_clip.verification.names import MEASURES, SPLIT_TITLES
from nerv_clip.verification.statistics import Interval
from nerv_clip.verification.verify import Row, Verification


def summary(verification: Verification) -> str:
    """The verdict, the test and the tables as plain text, for a terminal."""
    v = verification
    lines = [f"verdict: {v.verdict.label}", v.verdict.sentence, "", *describe_tests(v)]
    for split, statistics in v.splits.items():
        lines += ["", f"{SPLIT_TITLES[split]} ({statistics.frames})", *_text_table(v.rows, split)]
    lines += ["", *describe_differences(v)]
    return "\n".join(lines)


def describe_tests(verification: Verification) -> list[str]:
    """The test on held-out frames, the effective sample sizes, and what is not compared."""
    test, evidence = verification.test, verification.evidence
    lines = [
        f"shift test of local deviations, held-out frames: p = {test.p:.2g} (smallest possible: "
        f"{test.floor:.2g}), correlation {test.statistic:.3f}, {test.effective:.1f} independent "
        "pairs"
    ]
    lines += [
        f"{SPLIT_TITLES[name]}: effective sample size {split.effective_sample_size:.1f} of "
        f"{split.frames} frames (block length {split.block})"
        for name, split in verification.splits.items()
    ]
    count, known = len(evidence.split), len(evidence.indices("all"))
    if known < count:
        lines.append(f"not compared: {count - known} frames that the teacher did not embed")
    if lone := len(alone(evidence.train, evidence.shots)):
        lines.append(f"not compared: {lone} train frames without another one in their shot")
    return lines


def describe_differences(verification: Verification) -> list[str]:
    """The differences in centred cosine that decide the verdict, with intervals."""
    return [
        f"centred cosine on {SPLIT_TITLES[split]}, prediction minus {name}: "
        f"{format_interval(difference)}"
        for split, by_name in verification.differences.items()
        for name, difference in by_name.items()
        if split != "all" and name in (NEAREST, *INTERPOLATIONS)
    ]


def _text_table(rows: list[Row], split: str) -> list[str]:
    width = max(len(row.name) for row in rows)
    lines = [" " * width + "".join(f"{title:>11}" for title in ("bytes", *MEASURES.values()))]
    for row in rows:
        measures = row.measures[split]
        if measures is None:
            lines.append(f"{row.name:<{width}}  {row.missing}")
        else:
            values = (size_cell(row.size), *cells(measures))
            lines.append(f"{row.name:<{width}}" + "".join(f"{value:>11}" for value in values))
    return lines


def size_cell(size: int | None) -> str:
    """Bytes as text, or an en dash for a baseline that stores nothing."""
    return "–" if size is None else f"{size:,}"


def cells(measures: Measures) -> list[str]:
    """The cells of a table row, in the order of `MEASURES`; an en dash for NaN."""
    found = []
    for name in MEASURES:
        value = getattr(measures, name)
        mean = value.mean if isinstance(value, Interval) else value
        digits = 1 if name == "median_rank" else 4
        found.append("–" if math.isnan(mean) else f"{mean:.{digits}f}")
    return found


def format_interval(value: Interval, digits: int = 4) -> str:
    """A mean with its 95 % interval in brackets."""
    return f"{value.mean:.{digits}f} [{value.low:.{digits}f}, {value.high:.{digits}f}]"
