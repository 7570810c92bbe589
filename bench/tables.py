"""Stored tables of train embeddings, verified as if a network had predicted them.

Each table is built from the true embeddings of the train frames only, stored in 8 bits as the
weights of a checkpoint are, and interpolated in time. Bytes of the CLIP head are those of its
weights in the checkpoint.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from report import heading, table, write
from scipy.interpolate import make_interp_spline

from nerv_clip.cli import Terminal, main_guard
from nerv_clip.similarity import Array, unit
from nerv_clip.verification import verify_evidence
from nerv_clip.verification.baselines import NEAREST, PREDICTION, SPHERICAL
from nerv_clip.verification.evidence import Evidence, gather
from nerv_clip.verification.tables import (
    Table,
    components,
    head_bytes,
    read_by_cubic,
    read_by_process,
    read_by_slerp,
    stored,
)
from nerv_clip.verification.text_report import format_interval
from nerv_clip.video.shots import Shots

Indices = NDArray[np.intp]
Reader = Callable[[Array, Indices, int, Shots], Array]  # rows, their frames, number of frames


def read_linearly(rows: Array, at: Indices, frames: int, shots: Shots) -> Array:
    """Embeddings of all frames by linear interpolation in each shot.

    Before its first and after its last row, that row.
    """
    found = np.empty((frames, rows.shape[1]))
    for own in shots.ranges():
        known = (at >= own.start) & (at < own.stop)
        inside = np.clip(np.arange(own.start, own.stop), at[known][0], at[known][-1])
        one = known.sum() == 1
        found[own] = rows[known] if one else make_interp_spline(at[known], rows[known], k=1)(inside)
    return found


def every(step: int, read: Reader) -> Callable[[Evidence], Table]:
    """Every ``step``-th train embedding of each shot in 8 bits."""

    def made(evidence: Evidence) -> Table:
        shots, train = evidence.shots, evidence.train
        kept = [list(shots.within(own.start, train))[::step] for own in shots.ranges()]
        at = np.array([index for frames in kept for index in frames], dtype=np.intp)
        rows, size = stored(evidence.true[at])
        return Table(unit(read(rows, at, len(evidence.true), shots)), size)

    return made


def principal(count: int) -> Callable[[Evidence], Table]:
    """Principal components of the train embeddings in 8 bits, read by slerp."""

    def made(evidence: Evidence) -> Table:
        rows, size = components(evidence.true, evidence.train)(count)
        found = read_by_slerp(rows, evidence.true, evidence.train, evidence.shots)
        return Table(unit(found), size)

    return made


EVERY = {1: "every", 2: "every second", 3: "every third"}
READERS = {"linear": read_linearly, "PCHIP": read_by_cubic, "Gaussian process": read_by_process}
TABLES: dict[str, Callable[[Evidence], Table]] = {
    **{
        f"{EVERY[step]} train embedding, {name}": every(step, read)
        for name, read in READERS.items()
        for step in EVERY
    },
    **{f"{count} principal components, slerp": principal(count) for count in (16, 24, 48, 96)},
}


def row(name: str, evidence: Evidence, size: int) -> dict[str, str]:
    """A row of the table: the verification of an evidence."""
    found = verify_evidence(evidence, Terminal())
    held_out = next(r for r in found.rows if r.name == PREDICTION).measures["val"]
    assert held_out is not None  # noqa: S101 - the script checks the split
    differences = found.differences["val"]
    return {
        "embeddings": name,
        "bytes": f"{size:,}",
        "verdict": found.verdict.label,
        "p": f"{found.test.p:.3f}",
        "centred cosine, held out": format_interval(held_out.centred),
        "minus nearest": format_interval(differences[NEAREST]),
        "minus slerp": format_interval(differences[SPHERICAL]),
        "R@1": f"{held_out.r1.mean:.3f}",
        "R@±2": f"{held_out.near.mean:.3f}",
    }


def main(argv: list[str]) -> None:
    """Print the table of a run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--out", type=Path, help="a Markdown file under bench/results")
    args = parser.parse_args(argv)
    evidence = gather(args.run / "model_best.pth", None, Terminal())
    rows = [
        row(
            "the network's CLIP head",
            evidence,
            head_bytes(evidence.model, evidence.config.train.bits),
        )
    ]
    for name, build in TABLES.items():
        made = build(evidence)
        rows.append(row(name, replace(evidence, predicted=made.values), made.size))
    rng = np.random.default_rng(0)
    random = evidence.predicted.copy()
    held_out = evidence.indices("val")
    random[held_out] = unit(rng.standard_normal((len(held_out), random.shape[1])))
    rows.append(row("the head, but random where held out", replace(evidence, predicted=random), 0))
    write(args.out, heading(__doc__) + table(rows))


if __name__ == "__main__":
    main_guard(main)
