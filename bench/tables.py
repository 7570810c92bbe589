"""Stored tables of train embeddings, verified as if a network had predicted them.

Each table is built from the true embeddings of the train frames only, stored in bytes, read back,
and interpolated in time. Bytes of a table are those of its arrays after zlib; bytes of the CLIP
head are those of its weights in the checkpoint.
"""

from __future__ import annotations

import argparse
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from report import heading, table, write
from scipy.interpolate import PchipInterpolator

from nerv_clip.cli import Terminal, main_guard
from nerv_clip.similarity import Array, slerp, unit
from nerv_clip.verification import verify_evidence
from nerv_clip.verification.baselines import PREDICTION, SPHERICAL
from nerv_clip.verification.evidence import Evidence, gather
from nerv_clip.verification.text_report import format_interval

Reader = Callable[[Array, list[int], int], Array]  # rows, their frames, the number of frames


class Stored(NamedTuple):
    """Embeddings of all frames read from a table (T, D), and the bytes of the table."""

    values: Array
    size: int


def quantised(values: Array) -> tuple[Array, int]:
    """Rows (N, D) as int8 with a scale each: what is read back, and the bytes."""
    scale = np.abs(values).max(1, keepdims=True).astype(np.float32) / 127
    codes: NDArray[np.int8] = np.round(values / np.maximum(scale, 1e-12)).astype(np.int8)
    return codes * scale.astype(np.float64), _bytes(codes, scale)


def _bytes(*arrays: NDArray[np.generic]) -> int:
    return len(zlib.compress(b"".join(array.tobytes() for array in arrays), 9))


def between(
    rows: Array, at: list[int], frames: int, join: Callable[[Array, Array, float], Array]
) -> Array:
    """Embeddings of all frames from ``rows`` at the frames ``at``, by their two neighbours."""
    values = np.empty((frames, rows.shape[1]))
    for frame in range(frames):
        after = int(np.clip(np.searchsorted(at, frame), 1, len(at) - 1))
        share = float(np.clip((frame - at[after - 1]) / (at[after] - at[after - 1]), 0, 1))
        values[frame] = join(rows[after - 1], rows[after], share)
    return unit(values)


def lerp(a: Array, b: Array, share: float) -> Array:
    """Linear interpolation of two embeddings."""
    mixed: Array = (1 - share) * a + share * b
    return mixed


def linear(rows: Array, at: list[int], frames: int) -> Array:
    """Embeddings of all frames by linear interpolation."""
    return between(rows, at, frames, lerp)


def pchip(rows: Array, at: list[int], frames: int) -> Array:
    """Embeddings of all frames by a monotone cubic; before and after ``rows``, the nearest one."""
    return unit(PchipInterpolator(at, rows)(np.clip(np.arange(frames), at[0], at[-1])))


def every(
    step: int, read: Callable[[Array, list[int], int], Array]
) -> Callable[[Evidence], Stored]:
    """Every ``step``-th train embedding in int8."""

    def stored(evidence: Evidence) -> Stored:
        kept = evidence.train[::step]
        rows, size = quantised(evidence.true[kept])
        return Stored(read(rows, kept, len(evidence.true)), size)

    return stored


def components(count: int) -> Callable[[Evidence], Stored]:
    """Principal components of the train embeddings, all in int8, read by slerp."""

    def stored(evidence: Evidence) -> Stored:
        train = evidence.true[evidence.train]
        mean = train.mean(0, keepdims=True)
        _, _, basis = np.linalg.svd(train - mean, full_matrices=False)
        kept, basis_bytes = quantised(basis[:count])
        weights, weight_bytes = quantised(((train - mean) @ basis[:count].T).T)
        centre, centre_bytes = quantised(mean)
        rows = centre + weights.T @ kept
        size = basis_bytes + weight_bytes + centre_bytes
        return Stored(between(unit(rows), evidence.train, len(evidence.true), slerp), size)

    return stored


EVERY = {1: "every", 2: "every second", 3: "every third"}
TABLES: dict[str, Callable[[Evidence], Stored]] = {
    **{f"{EVERY[n]} train embedding, int8, linear": every(n, linear) for n in EVERY},
    **{f"{EVERY[n]} train embedding, int8, PCHIP": every(n, pchip) for n in EVERY},
    **{f"{n} principal components, int8, slerp": components(n) for n in (16, 24, 48, 96)},
}


def head_bytes(evidence: Evidence) -> int:
    """Bytes of the CLIP head's weights, at the checkpoint's bits a weight."""
    return evidence.config.parameters.clip_head * evidence.config.train.bits // 8


def row(name: str, evidence: Evidence, size: int) -> dict[str, str]:
    """A row of the table: the verification of an evidence."""
    found = verify_evidence(evidence, Terminal())
    held_out = next(r for r in found.rows if r.name == PREDICTION).measures["val"]
    assert held_out is not None  # noqa: S101 - the script checks the split
    difference = found.differences["val"][SPHERICAL]
    return {
        "embeddings": name,
        "bytes": f"{size:,}",
        "verdict": found.verdict.label,
        "centred cosine, held out": format_interval(held_out.centred),
        "minus slerp": f"{difference.mean:+.4f} [{difference.low:+.4f}, {difference.high:+.4f}]",
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
    rows = [row("the network's CLIP head", evidence, head_bytes(evidence))]
    for name, build in TABLES.items():
        stored = build(evidence)
        rows.append(row(name, replace(evidence, predicted=stored.values), stored.size))
    rng = np.random.default_rng(0)
    random = evidence.predicted.copy()
    held_out = evidence.indices("val")
    random[held_out] = unit(rng.standard_normal((len(held_out), random.shape[1])))
    rows.append(row("the head, but random where held out", replace(evidence, predicted=random), 0))
    write(args.out, heading(__doc__) + table(rows))


if __name__ == "__main__":
    main_guard(main)
