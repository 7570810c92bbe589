"""A verification in words and tables."""

from __future__ import annotations

import math

from nerv_clip.verification.baselines import LINEAR, NEAREST, SPHERICAL
from nerv_clip.verification.statistics import Interval, Outcome
from nerv_clip.verification.verify import Figures, Row, Verification

PART_NAMES = {"all": "all frames", "train": "train frames", "val": "held-out frames"}
COLUMNS = {
    "cosine": "cosine",
    "centred": "centred",
    "skill": "skill",
    "r1": "R@1",
    "r5": "R@5",
    "near": "R@±2",
    "median_rank": "med. rank",
    "mrr": "MRR",
    "cka": "CKA",
    "rsa": "RSA",
}


def summary(verification: Verification) -> str:
    """The verdict, the tests and the tables as plain text, for a terminal."""
    v = verification
    lines = [f"verdict: {v.verdict.label}", v.verdict.sentence, "", *tests_told(v)]
    for part in v.parts:
        lines += ["", f"{PART_NAMES[part]} ({v.parts[part].frames})", *_text_table(v.rows, part)]
    lines += ["", *differences_told(v)]
    return "\n".join(lines)


def tests_told(v: Verification) -> list[str]:
    """Of every part its worth in independent frames, and the tests with their p."""
    lines = []
    for name, part in v.parts.items():
        lines.append(
            f"{PART_NAMES[name]}: {part.frames}, worth {part.independent:.1f} independent ones "
            f"(blocks of {part.block}); circular shifts: {_test(part.shift)}"
        )
    return [*lines, f"shuffled blocks, all frames: {_test(v.blocks)}"]


def _test(test: Outcome) -> str:
    return f"p = {test.p:.2g} (its floor {test.floor:.2g})"


def differences_told(v: Verification) -> list[str]:
    """The paired differences that the verdict rests on, with intervals."""
    return [
        f"centred cosine, {PART_NAMES[part]}: prediction less {name}: {spread(difference)}"
        for part, by_name in v.differences.items()
        for name, difference in by_name.items()
        if part != "all" and name in (NEAREST, LINEAR, SPHERICAL)
    ]


def _text_table(rows: list[Row], part: str) -> list[str]:
    width = max(len(row.name) for row in rows)
    lines = [" " * width + "".join(f"{title:>11}" for title in COLUMNS.values())]
    for row in rows:
        figures = row.figures[part]
        said = row.missing or "no neighbour to guess from"
        tail = f"  {said}" if figures is None else "".join(f"{c:>11}" for c in cells(figures))
        lines.append(f"{row.name:<{width}}{tail}")
    return lines


def cells(figures: Figures) -> list[str]:
    """A row of a table, in the order of `COLUMNS`."""
    out = []
    for name in COLUMNS:
        value = getattr(figures, name)
        mean = value.mean if isinstance(value, Interval) else value
        out.append("–" if math.isnan(mean) else f"{mean:.1f}" if "rank" in name else f"{mean:.4f}")
    return out


def spread(value: Interval, digits: int = 4) -> str:
    """A mean with its interval."""
    return f"{value.mean:.{digits}f} [{value.low:.{digits}f}, {value.high:.{digits}f}]"
