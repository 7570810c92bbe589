"""The maps of a video: predicted embeddings of the cells of its frames, cached by checkpoint."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
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
from nerv_clip.runs.arrays import read_array
from nerv_clip.runs.inputs import dense_grid
from nerv_clip.search.index import all_finite
from nerv_clip.teacher.dense import Grid
from nerv_clip.video.times import frame_time

MOST = 4000  # maps of a video; of a longer one, every second frame has a map, or every third, …
CHUNK = 64  # maps that are computed or compared at once


@dataclass(frozen=True)
class MapIndex:
    """Embeddings of the cells of N frames: unit vectors, as coefficients of a basis.

    ``frames`` (N,) are frame indices. ``cells`` (N, rows, columns, rank), float16, may be mapped
    from disk. ``bases`` (rank, dim) have orthonormal rows; the maps of a basis begin at the same
    place of ``starts``, the first one at 0. ``grid`` says where in a frame the cells lie.
    """

    frames: NDArray[np.intp]
    cells: NDArray[np.float16]
    bases: tuple[NDArray[np.float32], ...]
    starts: tuple[int, ...]
    grid: Grid

    def parts(self) -> Iterator[tuple[slice, NDArray[np.float32]]]:
        """A few maps at a time, and their basis."""
        ends = (*self.starts[1:], len(self.cells))
        for basis, first, last in zip(self.bases, self.starts, ends, strict=True):
            for start in range(first, last, CHUNK):
                yield slice(start, min(start + CHUNK, last)), basis

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
        basis = self.bases[self._basis(number)]
        found: NDArray[np.float32] = self.cells[number, row, column].astype(np.float32) @ basis
        return found

    def with_map(self, frame: int, embeddings: NDArray[np.float32]) -> MapIndex:
        """An index of one map: the unit embeddings (dim, rows, columns) of a frame."""
        basis = self.bases[self._basis(self.nearest(frame))]
        cells = np.einsum("rd,dhw->hwr", basis, embeddings)
        cells /= np.linalg.norm(cells, axis=-1, keepdims=True).clip(1e-6)
        one = cells[None].astype(np.float16)
        return MapIndex(np.array([frame]), one, (basis,), (0,), self.grid)

    def _basis(self, number: int) -> int:
        """The place in ``bases`` of the basis of a map."""
        return int(np.searchsorted(self.starts, number, side="right")) - 1

    def nearest(self, frame: int) -> int:
        """The number of the map whose frame is nearest."""
        return int(np.abs(self.frames - frame).argmin())


def load_maps(checkpoint: Path, progress: Progress = SILENT) -> MapIndex:
    """The maps of a checkpoint with a dense head.

    Computed once for each checkpoint, and stored in the user's cache under its SHA-256. Raises
    `InputError` for a checkpoint without a dense head, and for one that predicts NaN.
    """
    model = load_model(checkpoint)
    arch = model.arch.first
    if not arch.dense_dim:
        raise InputError(f"{checkpoint} has no dense head: train with `predict_dense`")
    frames = np.arange(0, model.arch.frames, -(-model.arch.frames // MOST))
    grid = dense_grid(arch)
    shape = (len(frames), grid.rows, grid.columns, arch.dense_rank)

    def make(place: Path) -> None:
        with progress.task("maps", len(frames), "frame") as task, atomic_write(place) as temporary:
            out = np.lib.format.open_memmap(temporary, "w+", np.float16, shape)
            for start in range(0, len(frames), CHUNK):
                chosen = frames[start : start + CHUNK]
                out[start : start + CHUNK] = _cells(model, chosen)
                task.advance(len(chosen))
            if not np.isfinite(out).all():
                raise InputError(f"{checkpoint} predicts embeddings with NaN: train it again")
            out.flush()

    path = user_cache() / "indexes" / f"{file_hash(checkpoint)[:32]}-maps.npy"
    cells = cached(path, partial(_read, shape=shape), make)
    firsts = [segment.first for segment in model.arch.segments]
    heads = [network.head("dense") for network in model.networks]
    bases = tuple(head.basis.detach().numpy() for head in heads if isinstance(head, DenseHead))
    starts = tuple(int(i) for i in np.searchsorted(frames, firsts))
    return MapIndex(frames, cells, bases, starts, grid)


@torch.inference_mode()
def _cells(model: VideoNetwork, frames: NDArray[np.intp]) -> NDArray[np.float32]:
    """Unit coefficients (B, rows, columns, rank) of frames."""
    count = model.arch.frames
    t = torch.tensor([frame_time(int(i), count) for i in frames], dtype=torch.float64)
    unit = torch.nn.functional.normalize(model.map_coefficients(t), dim=1)
    return unit.permute(0, 2, 3, 1).numpy()


def _read(path: Path, shape: tuple[int, ...]) -> NDArray[np.float16] | None:
    """Cells mapped from disk; None where they are missing, damaged, or of another shape."""
    try:
        values = read_array(path, shape, mapped=True)
    except InputError:
        return None
    return values if values.dtype == np.float16 and all_finite(values) else None
