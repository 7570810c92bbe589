"""A verification as JSON, and the files of a verification."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path

from nerv_clip.files import atomic_write, make_folder, sweep
from nerv_clip.runs.provenance import git_commit, versions
from nerv_clip.runs.run import Run
from nerv_clip.verification.html_report import to_html
from nerv_clip.verification.measures import Measures
from nerv_clip.verification.statistics import Interval
from nerv_clip.verification.verdict import RULE
from nerv_clip.verification.verify import SplitStatistics, Verification


def to_json(verification: Verification) -> dict[str, object]:
    """The content of ``verification.json``; NaN and infinite values become null."""
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
        "rule": RULE,
        "verdict": v.verdict._asdict(),
        "parts": {name: _split_to_json(statistics) for name, statistics in v.splits.items()},
        "test": v.test._asdict(),
        "rows": [
            {
                "name": row.name,
                "kind": row.kind,
                "missing": row.missing,
                "bytes": row.size,
                "figures": {
                    split: _measures_to_json(measures) for split, measures in row.measures.items()
                },
            }
            for row in v.rows
        ],
        "centred_cosine_differences": {
            split: {name: difference._asdict() for name, difference in by_name.items()}
            for split, by_name in v.differences.items()
        },
        "shifts": [round(float(value), 5) for value in v.shifts],
        "versions": versions(),
        "commit": git_commit(),
    }
    return {name: _finite(value) for name, value in content.items()}


def _split_to_json(statistics: SplitStatistics) -> dict[str, object]:
    return {
        "frames": statistics.frames,
        "independent": statistics.effective_sample_size,
        "block": statistics.block,
        "best_trivial": statistics.best_trivial,
    }


def _measures_to_json(measures: Measures | None) -> dict[str, object] | None:
    if measures is None:
        return None
    return {
        name: value._asdict() if isinstance(value, Interval) else value
        for name, value in measures._asdict().items()
    }


def _finite(value: object) -> object:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def store_in_run(verification: Verification) -> None:
    """Write ``verification.json`` into the run directory, with the hash of the checkpoint."""
    run = Run(verification.evidence.checkpoint.parent)
    run.write_json(run.verification, to_json(verification))


def write_verification(verification: Verification, folder: Path) -> None:
    """Write ``verification.json``, ``per_frame.csv`` and ``report.html`` into a folder."""
    sweep(make_folder(folder))
    with atomic_write(folder / "verification.json") as temporary:
        temporary.write_text(json.dumps(to_json(verification), indent=2) + "\n")
    with atomic_write(folder / "per_frame.csv") as temporary:
        verification.per_frame.to_csv(temporary, index=False)
    with atomic_write(folder / "report.html") as temporary:
        temporary.write_text(to_html(verification), encoding="utf-8")
