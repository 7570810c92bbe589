"""Stored tables of train embeddings, of at most the CLIP head's bytes, read between frames.

A table is what a network competes with: train embeddings in 8 bits, stored as the weights of a
checkpoint of 8 bits are (`nerv_clip.models.quantisation`), and interpolated in time. Every table
stores a row of each shot, and a frame is read from the rows of its own shot only. In all functions
``shots`` None stands for a video of one shot.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from nerv_clip.evaluation.interpolation import alone, interpolated, shots_of
from nerv_clip.models.quantisation import pack, unpack
from nerv_clip.models.video_network import VideoNetwork
from nerv_clip.similarity import Array, Values, lengths, unit
from nerv_clip.video.shots import Shots

Indices = NDArray[np.intp]
COMPONENTS = "table: principal components, slerp"
CUBIC = "table: train embeddings, PCHIP"
PROCESS = "table: train embeddings, Gaussian process"
NEIGHBOURS = 16  # stored embeddings that a Gaussian process reads for one frame
LEAST = 4  # stored embeddings in a table
CHUNK = 256  # frames read at once: all neighbours of all frames would take too much memory
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


def head_bytes(model: VideoNetwork, bits: int) -> int:
    """Bytes of the CLIP heads' weights in a checkpoint of ``bits`` bits per weight."""
    heads = [network.get_submodule("clip_head") for network in model.networks]
    return sum(_bytes(pack(head.state_dict(), bits)) for head in heads)


def stored(rows: Values) -> Table:
    """Rows (N, D) as a checkpoint of 8 bits gives them back, and their bytes."""
    packed = pack({"rows": torch.from_numpy(rows).float()}, 8)
    return Table(unpack(packed)["rows"].double().numpy(), _bytes(packed))


def _bytes(packed: Any) -> int:  # noqa: ANN401 - nested dictionaries of tensors and shapes
    if isinstance(packed, torch.Tensor):
        return packed.nbytes
    return sum(_bytes(v) for v in packed.values()) if isinstance(packed, dict) else 0


def tables(
    true: Array, train: list[int], budget: int, shots: Shots | None = None
) -> Iterator[tuple[str, Table | None]]:
    """The largest table of each kind that takes at most ``budget`` bytes; None where none does.

    ``true`` (T, D) are unit embeddings, of which only those of the frames ``train`` are stored.
    """
    yield COMPONENTS, _table_of_components(true, train, budget, shots)
    every = thinned(train, shots)
    at = next((at for at in every if stored(true[at].astype(np.float32)).size <= budget), None)
    for name, read in ((CUBIC, read_by_cubic), (PROCESS, read_by_process)):
        yield name, None if at is None else _table_of_rows(read, true, at, shots)


def _table_of_components(
    true: Array, train: list[int], budget: int, shots: Shots | None
) -> Table | None:
    kept = _most_components(true, train, budget)
    if kept is None:
        return None
    values = read_by_slerp(kept.values, true, train, shots)
    values /= lengths(values)
    return Table(values, kept.size)


def _most_components(true: Array, train: list[int], budget: int) -> Table | None:
    """The train embeddings from as many components as fit; None where not one does."""
    table = components(true, train)
    counts = range(1, min(len(train), true.shape[1]) + 1) if len(train) >= LEAST else range(0)
    count = bisect.bisect_right(counts, budget, key=lambda n: table(n).size)
    return table(count) if count else None


def _table_of_rows(
    read: Callable[[Array, Indices, int, Shots | None], Array],
    true: Array,
    at: Indices,
    shots: Shots | None,
) -> Table:
    rows, size = stored(true[at].astype(np.float32))
    values = read(rows, at, len(true), shots)
    values /= lengths(values)
    return Table(values, size)


def thinned(train: list[int], shots: Shots | None = None) -> Iterator[Indices]:
    """All train frames, then every second one of each shot, every third one, and so on.

    The first train frame of a shot is always one of them; together they are at least `LEAST`.
    """
    at = np.array(train, dtype=np.intp)
    own = shots_of(at, shots)
    place = np.arange(len(at)) - np.searchsorted(own, own)  # in the shot
    for step in range(1, min(len(at) // LEAST, int(place.max()) + 1) + 1):
        yield at[place % step == 0]


def components(true: Array, train: list[int]) -> Callable[[int], Table]:
    """A function that gives the train embeddings (N, D) from so many principal components."""
    centred = true[train]
    mean = centred.mean(0, keepdims=True)
    centred -= mean
    few = np.linalg.qr(centred, "r") if len(centred) > centred.shape[1] else centred
    _, _, basis = np.linalg.svd(few, full_matrices=False)  # those of the embeddings themselves
    weights = (basis @ centred.T).astype(np.float32)

    def table(count: int) -> Table:
        # a step size for the weights of each component: they differ in range
        parts = [stored(values) for values in (mean, basis[:count], weights[:count])]
        centre, directions, kept = (part.values for part in parts)
        values = kept.T @ directions
        values += centre
        return Table(values, sum(part.size for part in parts))

    return table


def read_by_slerp(rows: Array, true: Array, train: list[int], shots: Shots | None = None) -> Array:
    """Embeddings like ``true`` (T, D), from ``rows`` (N, D) at the frames ``train``, by slerp.

    A train frame is read from the others of its shot, or from its own row where there is none.
    """
    found, at = np.empty_like(true), np.array(train, dtype=np.intp)
    for own in (shots or Shots(len(true))).ranges():
        known = slice(*np.searchsorted(at, [own.start, own.stop]))
        inside = (at[known] - own.start).tolist()
        placed = np.zeros((len(own), true.shape[1]))
        placed[inside] = unit(rows[known])
        part, lone = interpolated(placed, inside, spherical=True), alone(inside)
        part[lone] = placed[lone]
        found[own.start : own.stop] = part
    return found


def read_by_cubic(rows: Array, at: Indices, frames: int, shots: Shots | None = None) -> Array:
    """Embeddings of all frames from ``rows`` (N, D) at the frames ``at`` (N,): (frames, D).

    A monotone piecewise cubic, PCHIP (Fritsch and Butland, 1984), in each shot; before its first
    and after its last row, that row. ``at`` has a frame of each shot.
    """
    from scipy.interpolate import PchipInterpolator  # slow to import

    times = np.arange(frames)
    of_rows, of_times = shots_of(at, shots), shots_of(times, shots)
    found = np.empty((frames, rows.shape[1]))
    for shot in np.unique(of_times):
        known, wanted = of_rows == shot, of_times == shot
        own, values = at[known], rows[known]
        inside = np.clip(times[wanted], own[0], own[-1])
        found[wanted] = values if len(own) == 1 else PchipInterpolator(own, values)(inside)
    return found


def read_by_process(rows: Array, at: Indices, frames: int, shots: Shots | None = None) -> Array:
    """The same by a Gaussian process around the mean of the rows of each shot.

    Kernel, length scale and noise are the same for all shots: those with the least error where
    each row is predicted from the others, in shots of at least `LEAST` rows if there are any (a
    mean of fewer holds too much of the row that is left out). A frame is predicted from the
    `NEIGHBOURS` nearest rows of its shot.
    """
    times, own = np.arange(frames), shots_of(at, shots)
    counts = np.bincount(own)
    means = np.stack([rows[own == shot].mean(0) for shot in range(len(counts))])
    centred = rows - means[own]
    left_out = _evenly(np.flatnonzero(counts[own] >= min(LEAST, counts.max())), TUNING)
    others = _nearest(at[left_out], at, shots, leave_out=True)
    gaps = np.diff(at)[np.diff(own) == 0]
    settings = [
        (kernel, scale * float(gaps.mean() if len(gaps) else 1), noise)
        for kernel in KERNELS
        for scale in SCALES
        for noise in NOISES
    ]

    def error(setting: tuple[str, float, float]) -> float:
        found = _process(at[left_out], at, centred, others, setting)
        return float(((found - centred[left_out]) ** 2).sum())

    near = _nearest(times, at, shots, leave_out=False)
    found = _process(times, at, centred, near, min(settings, key=error))
    of_times = shots_of(times, shots)
    for shot in range(len(means)):
        found[of_times == shot] += means[shot]
    return found


def _evenly(values: Indices, count: int) -> Indices:
    """At most ``count`` of the values (N,), evenly spaced."""
    places = np.linspace(0, len(values) - 1, min(len(values), count)).round().astype(np.intp)
    return values[np.unique(places)]


def _process(
    times: Indices, at: Indices, rows: Array, near: Indices, setting: tuple[str, float, float]
) -> Array:
    """Prediction at ``times`` (N,) from ``rows`` (M, D) at ``at`` (M,), of mean 0: (N, D).

    ``near`` (N, K) are the indices of the rows that are read for each time, -1 for none.
    ``setting`` is kernel, length scale in frames, and noise.
    """
    name, scale, noise = setting
    kernel = KERNELS[name]
    found = np.empty((len(times), rows.shape[1]))
    for start in range(0, len(times), CHUNK):
        part = slice(start, start + CHUNK)
        own, known = near[part], near[part] >= 0
        among = kernel(np.abs(at[own][:, :, None] - at[own][:, None, :]) / scale)
        among *= known[:, :, None] & known[:, None, :]
        to_time = kernel(np.abs(times[part, None] - at[own]) / scale) * known
        weights = np.linalg.solve(among + noise * np.eye(near.shape[1]), to_time[:, :, None])
        found[part] = np.einsum("nk,nkd->nd", weights[:, :, 0], rows[own])
    return found


def _nearest(
    times: Indices, at: Indices, shots: Shots | None = None, *, leave_out: bool
) -> Indices:
    """Indices into ``at`` (M,), increasing, of those nearest to each of ``times`` (N,): (N, K).

    All are in the shot of the time; -1 fills up where there are fewer than K. With ``leave_out``,
    one at the same time is left out.
    """
    count = min(NEIGHBOURS, len(at) - leave_out)
    window = np.searchsorted(at, times)[:, None] + np.arange(-NEIGHBOURS, NEIGHBOURS + 1)
    inside = np.clip(window, 0, len(at) - 1)
    distance = np.abs(times[:, None] - at[inside]).astype(np.float64)
    distance[window != inside] = np.inf
    distance[shots_of(at, shots)[inside] != shots_of(times, shots)[:, None]] = np.inf
    if leave_out:
        distance[distance == 0] = np.inf
    nearest = np.argpartition(distance, count - 1, axis=1)[:, :count]
    found: Indices = np.take_along_axis(inside, nearest, 1)
    found[np.isinf(np.take_along_axis(distance, nearest, 1))] = -1
    return found
