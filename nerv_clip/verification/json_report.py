"""A verification as JSON, and the files that it leaves in a folder."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

from nerv_clip.files import atomic_write, make_folder
from nerv_clip.runs.provenance import git_commit, versions
from nerv_clip.runs.run import Run
from nerv_clip.verification.html_report import page
from nerv_clip.verification.statistics import Interval
from nerv_clip.verification.verify import Figures, Verification


def to_json(verification: Verification) -> dict[str, Any]:
    """Everything as JSON has it; what is not a number is null."""
    v = verification
    config = v.evidence.config
    content = {
        "checkpoint_hash": v.evidence.checkpoint_hash,
        "checkpoint": str(v.evidence.checkpoint),
        "video": {
            "path": config.video.path,
            "hash": config.video.hash,
            "frames": config.video.frames,
            "height": config.video.height,
            "width": config.video.width,
        },
        "teacher": config.teacher and asdict(config.teacher),
        "data_split": config.split.rule,
        "seed": config.train.seed,
        "verdict": v.verdict._asdict(),
        "parts": {
            name: {**part._asdict(), "shift": part.shift._asdict()}
            for name, part in v.parts.items()
        },
        "block_permutation": v.blocks._asdict(),
        "rows": [
            {
                "name": row.name,
                "kind": row.kind,
                "missing": row.missing,
                "figures": {part: _plain(figures) for part, figures in row.figures.items()},
            }
            for row in v.rows
        ],
        "centred_cosine_differences": {
            part: {name: difference._asdict() for name, difference in by_name.items()}
            for part, by_name in v.differences.items()
        },
        "shifts": [round(float(value), 5) for value in v.shifts],
        "versions": versions(),
        "commit": git_commit(),
    }
    return {name: _finite(value) for name, value in content.items()}


def _plain(figures: Figures | None) -> dict[str, Any] | None:
    if figures is None:
        return None
    return {k: v._asdict() if isinstance(v, Interval) else v for k, v in figures._asdict().items()}


def _finite(value: object) -> object:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def store_in_run(verification: Verification) -> None:
    """Leave the result in the run directory, under its checkpoint's hash, for the app to show."""
    run = Run(verification.evidence.checkpoint.parent)
    run.write_json(run.verification, to_json(verification))


def write_verification(verification: Verification, folder: Path) -> None:
    """``verification.json``, ``per_frame.csv`` and ``report.html`` into a folder."""
    make_folder(folder)
    with atomic_write(folder / "verification.json") as temporary:
        temporary.write_text(json.dumps(to_json(verification), indent=2) + "\n")
    with atomic_write(folder / "per_frame.csv") as temporary:
        verification.per_frame.to_csv(temporary, index=False)
    with atomic_write(folder / "report.html") as temporary:
        temporary.write_text(page(verification), encoding="utf-8")
