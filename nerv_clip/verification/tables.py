"""Stored tables of train embeddings, of at most the CLIP head's bytes, read between frames.

A table is what a network competes with: train embeddings in 8 bits, stored as the weights of a
checkpoint of 8 bits are (`nerv_clip.models.quantisation`), and interpolated in time.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from nerv_clip.evaluation.interpolation import interpolated
from nerv_clip.models.nerv_clip import NeRVClip
from nerv_clip.models.quantisation import pack, unpack
from nerv_clip.similarity import Array, unit

Indices = NDArray[np.intp]
COMPONENTS = "table: principal components, slerp"
CUBIC = "table: train embeddings, PCHIP"
PROCESS = "table: train embeddings, Gaussian process"
NEIGHBOURS = 16  # stored embeddings that a Gaussian process reads for one frame
LEAST = 4  # stored embeddings in a table
CHUNK = 1024  # frames read at once: all neighbours of all frames would take too much memory
TUNING = 500  # stored embeddings, at most, that are left out one by one to tune it
SCALES = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)  # length scales, in gaps between stored embeddings
NOISES = (1e-4, 1e-3, 1e-2, 1e-1, 0.3)  # variances of noise, relative to the signal's
KERNELS: dict[str, Callable[[Array], Array]] = {  # of the distance / length scale
    "Matérn 1/2": lambda r: np.exp(-r),
    "Matérn 3/2": lambda r: (1 + np.sqrt(3) * r) * np.exp(-np.sqrt(3) * r),
    "Matérn 5/2": lambda r: (1 + np.sqrt(5) * r + 5 / 3 * r**2) * np.exp(-np.sqrt(5) * r),
    "squared exponential": lambda r: np.exp(-(r**2) / 2),
}


class Table(NamedTuple):
    """Embeddings as a table gives them, a row for each frame, and the table's size in bytes."""

    values: Array
    size: int


def head_bytes(model: NeRVClip, bits: int) -> int:
    """Bytes of the CLIP head's weights in a checkpoint of ``bits`` bits per weight."""
    return _bytes(pack(model.get_submodule("clip_head").state_dict(), bits))


def stored(rows: Array) -> Table:
    """Rows (N, D) as a checkpoint of 8 bits gives them back, and their bytes."""
    packed = pack({"rows": torch.from_numpy(rows).float()}, 8)
    return Table(unpack(packed)["rows"].double().numpy(), _bytes(packed))


def _bytes(packed: Any) -> int:  # noqa: ANN401 - nested dictionaries of tensors and shapes
    if isinstance(packed, torch.Tensor):
        return packed.nbytes
    return sum(_bytes(v) for v in packed.values()) if isinstance(packed, dict) else 0


def tables(true: Array, train: list[int], budget: int) -> Iterator[tuple[str, Table | None]]:
    """The largest table of each kind that takes at most ``budget`` bytes; None where none does.

    ``true`` (T, D) are unit embeddings, of which only those of the frames ``train`` are stored.
    """
    table = components(true, train)
    counts = range(1, min(len(train), true.shape[1]) + 1) if len(train) >= LEAST else range(0)
    count = bisect.bisect_right(counts, budget, key=lambda n: table(n).size)
    if count:
        rows, size = table(count)
        yield COMPONENTS, Table(unit(read_by_slerp(rows, true, train)), size)
    else:
        yield COMPONENTS, None
    for step in range(1, len(train) // LEAST + 1):
        rows, size = stored(true[train[::step]])
        if size <= budget:
            at = np.array(train[::step], dtype=np.intp)
            yield CUBIC, Table(unit(read_by_cubic(rows, at, len(true))), size)
            yield PROCESS, Table(unit(read_by_process(rows, at, len(true))), size)
            return
    yield CUBIC, None
    yield PROCESS, None


def components(true: Array, train: list[int]) -> Callable[[int], Table]:
    """A function that gives the train embeddings (N, D) from so many principal components."""
    mean = true[train].mean(0, keepdims=True)
    _, _, basis = np.linalg.svd(true[train] - mean, full_matrices=False)
    weights = basis @ (true[train] - mean).T

    def table(count: int) -> Table:
        # a step size for the weights of each component: they differ in range
        parts = [stored(values) for values in (mean, basis[:count], weights[:count])]
        centre, directions, kept = (part.values for part in parts)
        return Table(centre + kept.T @ directions, sum(part.size for part in parts))

    return table


def read_by_slerp(rows: Array, true: Array, train: list[int]) -> Array:
    """Embeddings like ``true`` (T, D), from ``rows`` (N, D) at the frames ``train``, by slerp."""
    placed = np.zeros_like(true)
    placed[train] = unit(rows)
    return interpolated(placed, train, spherical=True)


def read_by_cubic(rows: Array, at: Indices, frames: int) -> Array:
    """Embeddings of all frames from ``rows`` (N, D) at the frames ``at`` (N,): (frames, D).

    A monotone piecewise cubic, PCHIP (Fritsch and Butland, 1984); before the first and after the
    last row, that row.
    """
    from scipy.interpolate import PchipInterpolator  # slow to import

    inside = np.clip(np.arange(frames), at[0], at[-1])
    return np.asarray(PchipInterpolator(at, rows)(inside))


def read_by_process(rows: Array, at: Indices, frames: int) -> Array:
    """The same by a Gaussian process around the mean of ``rows``.

    Kernel, length scale and noise are those with the least error where each row is predicted from
    the others. A frame is predicted from the `NEIGHBOURS` nearest rows.
    """
    mean = rows.mean(0)
    centred = rows - mean
    chosen = np.unique(np.linspace(0, len(at) - 1, min(len(at), TUNING)).round().astype(np.intp))
    others = _nearest(at[chosen], at, leave_out=True)
    settings = [
        (kernel, scale * float(np.diff(at).mean()), noise)
        for kernel in KERNELS
        for scale in SCALES
        for noise in NOISES
    ]

    def error(setting: tuple[str, float, float]) -> float:
        left_out = _process(at[chosen], at, centred, others, setting)
        return float(((left_out - centred[chosen]) ** 2).sum())

    times = np.arange(frames)
    near = _nearest(times, at, leave_out=False)
    return np.asarray(mean + _process(times, at, centred, near, min(settings, key=error)))


def _process(
    times: Indices, at: Indices, rows: Array, near: Indices, setting: tuple[str, float, float]
) -> Array:
    """Prediction at ``times`` (N,) from ``rows`` (M, D) at ``at`` (M,), of mean 0: (N, D).

    ``near`` (N, K) are the indices of the rows that are read for each time. ``setting`` is kernel,
    length scale in frames, and noise.
    """
    name, scale, noise = setting
    kernel = KERNELS[name]
    among = kernel(np.abs(at[near][:, :, None] - at[near][:, None, :]) / scale)
    to_time = kernel(np.abs(times[:, None] - at[near]) / scale)
    weights = np.linalg.solve(among + noise * np.eye(near.shape[1]), to_time[:, :, None])[:, :, 0]
    found = np.empty((len(times), rows.shape[1]))
    for start in range(0, len(times), CHUNK):
        part = slice(start, start + CHUNK)
        found[part] = np.einsum("nk,nkd->nd", weights[part], rows[near[part]])
    return found


def _nearest(times: Indices, at: Indices, *, leave_out: bool) -> Indices:
    """Indices into ``at`` (M,), increasing, of those nearest to each of ``times`` (N,): (N, K).

    With ``leave_out``, one at the same time is left out.
    """
    count = min(NEIGHBOURS, len(at) - leave_out)
    window = np.searchsorted(at, times)[:, None] + np.arange(-NEIGHBOURS, NEIGHBOURS + 1)
    inside = np.clip(window, 0, len(at) - 1)
    distance = np.abs(times[:, None] - at[inside]).astype(np.float64)
    distance[window != inside] = np.inf
    if leave_out:
        distance[distance == 0] = np.inf
    nearest = np.argpartition(distance, count - 1, axis=1)[:, :count]
    found: Indices = np.take_along_axis(inside, nearest, 1)
    return found
