"""The part of ``verification.json`` that the app shows, as checked values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
from run_view import RunView
from verification_job import job_of

from nerv_clip import InputError
from nerv_clip.verification.names import SPLIT_TITLES
from nerv_clip.verification.verdict import RULE


@dataclass(frozen=True)
class StoredVerdict:
    """Label and explanation of a verdict."""

    label: str
    sentence: str


@dataclass(frozen=True)
class StoredTest:
    """The shift test on held-out frames: p, the smallest possible p, independent pairs."""

    p: float
    floor: float
    effective: float


@dataclass(frozen=True)
class StoredPart:
    """Frames of a split, and their effective sample size."""

    frames: int
    independent: float


@dataclass(frozen=True)
class StoredInterval:
    """A mean with its 95 % interval; None if it could not be computed."""

    mean: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class StoredRow:
    """The prediction or a baseline, with its measures by split.

    ``missing`` is why it has none on some frames, ``bytes`` what the CLIP head or a table takes.
    """

    name: str
    missing: str
    bytes: int | None
    figures: dict[str, dict[str, StoredInterval | float | None] | None]


@dataclass(frozen=True)
class StoredVerification:
    """The part of ``verification.json`` that the app shows.

    ``parts`` is empty where no frames could be compared.
    """

    checkpoint_hash: str
    rule: int
    verdict: StoredVerdict
    parts: dict[str, StoredPart]
    test: StoredTest
    rows: list[StoredRow]
    shifts: list[float | None]


def verification_content(view: RunView) -> dict[str, Any]:
    """The content of ``verification.json``, also where it could not be saved.

    Raises `InputError` where there is none that can be read.
    """
    job = job_of(view)
    return job.unsaved if job and job.unsaved else view.run.read_verification()


def stored_verification(view: RunView) -> StoredVerification | None:
    """The last verification of exactly this checkpoint, if there is one that can be read.

    One by an earlier rule is none: its verdict would mean something else.
    """
    try:
        found = msgspec.convert(verification_content(view), StoredVerification)
    except (InputError, msgspec.ValidationError):
        return None
    complete = found.parts.keys() <= SPLIT_TITLES.keys() and found.shifts
    current = complete and found.rule == RULE and found.checkpoint_hash == view.key
    return found if current else None
