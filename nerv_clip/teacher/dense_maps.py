"""The dense embeddings of a video in low rank, computed once and cached on disk.

A map of 512 numbers for each of 400 cells takes 0.8 MB a frame. The embeddings of one video lie
near a subspace of few dimensions, and 32 coefficients a cell take 26 kB. `DenseMaps.kept` measures
what that loses.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nerv_clip.cache import cached, read_cached
from nerv_clip.files import atomic_write, user_cache
from nerv_clip.progress import SILENT, Progress
from nerv_clip.teacher.dense import DenseTeacher, Grid
from nerv_clip.video.video import Video

SAMPLED = 64  # frames from which the subspace is found
BATCH = 4  # frames that are embedded at once


class DenseMaps:
    """The dense embeddings of N frames on a grid: unit vectors, as coefficients of a basis.

    ``basis`` (rank, dim) has orthonormal rows, so that the cosine similarity of two embeddings is
    that of their coefficients. ``coefficients`` (N, rank, rows, columns), float16, stay on disk.
    ``frames`` are the indices of the frames; by default, they are the first ones of a video.
    """

    def __init__(
        self,
        basis: Tensor,
        coefficients: NDArray[np.float16],
        frames: Sequence[int] | None = None,
    ) -> None:
        self.basis, self.coefficients = basis, coefficients
        self.frames = range(len(coefficients)) if frames is None else frames
        self._rows = {frame: row for row, frame in enumerate(self.frames)}

    def __contains__(self, frame: int) -> bool:
        return frame in self._rows

    def read(self, indices: Sequence[int]) -> Tensor:
        """Coefficients of frames: (B, rank, rows, columns) float32.

        Those of a frame without true embeddings are 0.
        """
        found = np.zeros((len(indices), *self.coefficients.shape[1:]), np.float32)
        known = [place for place, index in enumerate(indices) if index in self]
        found[known] = self.coefficients[[self._rows[indices[place]] for place in known]]
        return torch.from_numpy(found)

    def embeddings(self, indices: Sequence[int]) -> Tensor:
        """Embeddings of frames: (B, dim, rows, columns), shorter than 1 by what is lost."""
        return torch.einsum("rd,brhw->bdhw", self.basis, self.read(indices))

    def kept(self) -> float:
        """The share of the embeddings' squared length that the basis keeps, in [0, 1]."""
        total = sum(self.read([i]).square().sum(1).mean().item() for i in self.frames)
        return total / len(self.frames)


def map_video(
    dense: DenseTeacher,
    video: Video,
    chosen: Sequence[int],
    grid: Grid,
    rank: int,
    *,
    frames: Sequence[int] | None = None,
    cache_dir: Path | None = None,
    progress: Progress = SILENT,
) -> DenseMaps:
    """The dense embeddings of ``frames``, by default all, of a video or of a segment of one.

    The basis is found from at most `SAMPLED` of the frames ``chosen``, which should be train frames
    only. Basis and coefficients are cached by all that they depend on. ``cache_dir`` defaults to
    the user's cache folder.
    """
    folder = cache_dir or user_cache() / "dense"
    frames = range(len(video)) if frames is None else frames
    sample = [chosen[i] for i in _spread(len(chosen), SAMPLED)]
    # the hash of a segment is that of the whole video
    part = f"{video.hash} {video.timestamps[0]} {len(video)}"
    key = f"{part} {dense.id} {grid} {rank} {sample}"
    if len(frames) < len(video):
        key += f" {list(frames)}"
    name = hashlib.sha256(key.encode()).hexdigest()[:32]

    def make_basis(place: Path) -> None:
        second = torch.zeros(dense.dim, dense.dim, dtype=torch.float64)
        with progress.task("dense CLIP: basis", len(sample), "frame") as task:
            for _, maps in _maps(dense, video, sample, grid):
                vectors = maps.permute(0, 2, 3, 1).reshape(-1, dense.dim).double()
                second += vectors.T @ vectors
                task.advance(len(maps))
        rows = torch.linalg.eigh(second).eigenvectors[:, -rank:].flip(1).T
        with atomic_write(place) as temporary:
            np.save(temporary, rows.float().numpy())

    read_basis = partial(read_cached, shape=(rank, dense.dim), kind=np.float32)
    basis = torch.from_numpy(np.array(cached(folder / f"{name}-basis.npy", read_basis, make_basis)))
    shape = (len(frames), rank, grid.rows, grid.columns)

    def make(place: Path) -> None:
        with (
            progress.task("dense CLIP", len(frames), "frame") as task,
            atomic_write(place) as temporary,
        ):
            out = np.lib.format.open_memmap(temporary, "w+", np.float16, shape)
            for start, maps in _maps(dense, video, frames, grid):
                out[start : start + len(maps)] = torch.einsum("rd,bdhw->brhw", basis, maps).numpy()
                task.advance(len(maps))
            out.flush()

    read = partial(read_cached, shape=shape, kind=np.float16, mapped=True)
    return DenseMaps(basis, cached(folder / f"{name}.npy", read, make), frames)


def _maps(
    dense: DenseTeacher, video: Video, indices: Sequence[int], grid: Grid
) -> Iterator[tuple[int, Tensor]]:
    """Maps of a few frames at a time, with the place of the first one in ``indices``."""
    for start in range(0, len(indices), BATCH):
        frames = video.read(list(indices[start : start + BATCH]))
        yield start, dense.maps(frames, grid).cpu()


def _spread(count: int, most: int) -> list[int]:
    """At most ``most`` of the numbers below ``count``, evenly spread."""
    return [i * count // min(count, most) for i in range(min(count, most))]
