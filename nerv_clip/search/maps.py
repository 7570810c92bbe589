"""The maps of a video: predicted embeddings of the cells of its frames, cached by checkpoint."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from nerv_clip.cache import cached
from nerv_clip.errors import InputError
from nerv_clip.files import atomic_write, file_hash, user_cache
from nerv_clip.models.checkpoint import load_model
from nerv_clip.models.heads import DenseHead
from nerv_clip.models.video_network import VideoNetwork
from nerv_clip.progress import SILENT, Progress
from nerv_clip.runs.inputs import dense_grid
from nerv_clip.search.index import all_finite, read_mapped
from nerv_clip.teacher.dense import Grid
from nerv_clip.video.shots import Shots
from nerv_clip.video.times import frame_time

MOST = 4000  # maps of a video; of a longer one, every second frame has a map, or every third, …
CHUNK = 64  # maps that are computed or compared at once


@dataclass(frozen=True)
class MapIndex:
    """Embeddings of the cells of N frames: unit vectors, as coefficients of a basis.

    ``frames`` (N,) are frame indices. ``cells`` (N, rows, columns, rank), float16, may be mapped
    from disk. ``bases`` (S, rank, dim) have orthonormal rows, and ``basis`` (N,) says which one a
    map has. ``grid`` says where in a frame the cells lie.
    """

    frames: NDArray[np.intp]
    cells: NDArray[np.float16]
    bases: NDArray[np.float32]
    basis: NDArray[np.intp]
    grid: Grid

    def __len__(self) -> int:
        return len(self.frames)

    def take(self, numbers: NDArray[np.intp]) -> MapIndex:
        """The index of some of the maps."""
        cells = np.asarray(self.cells[numbers])
        return MapIndex(self.frames[numbers], cells, self.bases, self.basis[numbers], self.grid)

    def parts(self) -> Iterator[tuple[slice, NDArray[np.float32]]]:
        """A few maps at a time that have one basis, and the basis."""
        changes = np.flatnonzero(np.diff(self.basis)) + 1
        starts = sorted({*range(0, len(self), CHUNK), *changes.tolist()})
        for start, stop in pairwise([*starts, len(self)]):
            yield slice(start, stop), self.bases[self.basis[start]]

    def cosines(self, vectors: NDArray[np.float32]) -> Iterator[tuple[slice, NDArray[np.float32]]]:
        """Cosine similarities with vectors (K, dim), a few maps at a time.

        Yields the maps, and (n, rows, columns, K) for them.
        """
        for maps, basis in self.parts():
            cells = torch.from_numpy(np.array(self.cells[maps], np.float32))
            yield maps, (cells @ torch.from_numpy(basis @ vectors.T)).numpy()

    def vector(self, number: int, x: float, y: float) -> NDArray[np.float32]:
        """The embedding (dim,) of the cell at (x, y) in [0, 1] of a map."""
        _, rows, columns, _ = self.cells.shape
        row = min(int(y / self.grid.height * rows), rows - 1)
        column = min(int(x / self.grid.width * columns), columns - 1)
        cell = self.cells[number, row, column].astype(np.float32)
        return np.asarray(cell @ self.bases[self.basis[number]], np.float32)

    def replaced(self, number: int, embeddings: NDArray[np.float32]) -> MapIndex:
        """The index of one map, with the unit embeddings (dim, rows, columns) in its place."""
        cells = np.einsum("rd,dhw->hwr", self.bases[self.basis[number]], embeddings)
        cells /= np.linalg.norm(cells, axis=-1, keepdims=True).clip(1e-6)
        return replace(self.take(np.array([number])), cells=cells[None].astype(np.float16))


def mapped_frames(shots: Shots) -> NDArray[np.intp]:
    """The frames that have a map: at least one of each shot."""
    step = -(-shots.frames // MOST)
    return np.concatenate([np.arange(own.start, own.stop, step) for own in shots.ranges()])


def map_of_frames(frames: NDArray[np.intp], shots: Shots) -> NDArray[np.intp]:
    """The number of the nearest map of the same shot, for each frame of the video: (T,)."""
    numbers = np.empty(shots.frames, np.intp)
    for own in shots.ranges():
        first, after = np.searchsorted(frames, [own.start, own.stop])
        nearest = np.interp(
            np.arange(own.start, own.stop), frames[first:after], range(first, after)
        )
        numbers[own.start : own.stop] = np.rint(nearest)
    return numbers


def load_maps(checkpoint: Path, progress: Progress = SILENT) -> MapIndex:
    """The maps of a checkpoint with a dense head.

    Computed once for each checkpoint, and stored in the user's cache under its SHA-256. Raises
    `InputError` for a checkpoint without a dense head, and for one that predicts NaN.
    """
    model = load_model(checkpoint)
    arch = model.arch.first
    if not arch.dense_dim:
        raise InputError(f"{checkpoint} has no dense head: train with `predict_dense`")
    frames = mapped_frames(model.arch.cuts)
    grid = dense_grid(arch)
    shape = (len(frames), grid.rows, grid.columns, arch.dense_rank)

    def make(place: Path) -> None:
        with progress.task("maps", len(frames), "frame") as task, atomic_write(place) as temporary:
            out = np.lib.format.open_memmap(temporary, "w+", np.float16, shape)
            for start in range(0, len(frames), CHUNK):
                chosen = frames[start : start + CHUNK]
                out[start : start + CHUNK] = _cells(model, chosen)
                task.advance(len(chosen))
            if not all_finite(out):
                raise InputError(f"{checkpoint} predicts embeddings with NaN: train it again")
            out.flush()

    path = user_cache() / "indexes" / f"{file_hash(checkpoint)[:32]}-maps.npy"
    cells = cached(path, partial(read_mapped, shape=shape), make)
    firsts = [segment.first for segment in model.arch.segments]
    heads = [network.head("dense") for network in model.networks]
    bases = [head.basis.detach().numpy() for head in heads if isinstance(head, DenseHead)]
    basis = np.searchsorted(firsts, frames, side="right") - 1
    return MapIndex(frames, cells, np.stack(bases), basis, grid)


@torch.inference_mode()
def _cells(model: VideoNetwork, frames: NDArray[np.intp]) -> NDArray[np.float32]:
    """Unit coefficients (B, rows, columns, rank) of frames."""
    count = model.arch.frames
    t = torch.tensor([frame_time(int(i), count) for i in frames], dtype=torch.float64)
    return model.map_coefficients(t).permute(0, 2, 3, 1).numpy()
