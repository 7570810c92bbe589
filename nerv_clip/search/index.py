"""The index of a video: predicted embeddings on a grid of times, cached by checkpoint hash."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from nerv_clip.cache import cached
from nerv_clip.errors import InputError
from nerv_clip.evaluation.decoding import embed_times
from nerv_clip.files import atomic_write, file_hash, user_cache
from nerv_clip.models.checkpoint import load_checkpoint, load_model
from nerv_clip.models.segments import VideoArchitecture
from nerv_clip.progress import SILENT, Progress
from nerv_clip.runs.arrays import read_array

BATCH = 8  # times embedded at once
CHUNK = 16_384  # rows compared at once: a large index is never in memory as a whole
MAX_GRID = 64


def grid_times(frames: int, grid: int) -> NDArray[np.float64]:
    """Times in [0, 1], ``grid`` for each interval between frames: ((frames - 1) · grid + 1,).

    Raises `InputError` for a ``grid`` outside 1 to `MAX_GRID`.
    """
    if not 1 <= grid <= MAX_GRID:
        raise InputError(f"`grid` {grid}: give 1 (the frames themselves) to {MAX_GRID}")
    return np.linspace(0, 1, (frames - 1) * grid + 1) if frames > 1 else np.zeros(1)


def load_index(
    checkpoint: Path,
    grid: int,
    progress: Progress = SILENT,
) -> NDArray[np.float16]:
    """Unit embeddings (times, dim) float16 at `grid_times`, memory-mapped.

    Computed once for each checkpoint and ``grid``, and stored in the user's cache under the
    SHA-256 of the checkpoint. Raises `InputError` for a checkpoint without a CLIP head, and for
    one that predicts NaN.
    """
    path = user_cache() / "indexes" / f"{file_hash(checkpoint)[:32]}-{grid}.npy"
    arch = VideoArchitecture.from_plain(load_checkpoint(checkpoint)["architecture"])
    if not arch.clip_dim:
        raise InputError(f"{checkpoint} has no CLIP head to search: train with `predict_clip`")
    times = grid_times(arch.frames, grid)

    def make(place: Path) -> None:
        model = load_model(checkpoint)
        values = embed_times(model, times, BATCH, progress, "indexing").half().numpy()
        if not all_finite(values):
            raise InputError(f"{checkpoint} predicts embeddings with NaN: train it again")
        with atomic_write(place) as temporary, temporary.open("wb") as file:
            np.save(file, values)

    return cached(path, lambda place: read_mapped(place, (len(times), arch.clip_dim)), make)


def read_mapped(path: Path, shape: tuple[int, ...]) -> NDArray[np.float16] | None:
    """A memory-mapped index; None where it is missing, damaged, or of another shape."""
    try:
        values = read_array(path, shape, mapped=True)
    except InputError:
        return None
    return values if values.dtype == np.float16 and all_finite(values) else None


def all_finite(index: NDArray[np.float16]) -> bool:
    """Whether no value of an index (N, …) is NaN or infinite; it is read in chunks."""
    chunks = range(0, len(index), CHUNK)
    return all(np.isfinite(index[start : start + CHUNK]).all() for start in chunks)


def cosines(index: NDArray[np.float16], vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Cosine similarities of unit rows (N, dim) with unit vectors (Q, dim): (N, Q) float32.

    The index is read in chunks: it may be memory-mapped and larger than memory.
    """
    out = np.empty((len(index), len(vectors)), np.float32)
    queries = torch.from_numpy(np.ascontiguousarray(vectors.T, np.float32))
    for start in range(0, len(index), CHUNK):
        rows = torch.from_numpy(np.array(index[start : start + CHUNK])).float()
        out[start : start + CHUNK] = (rows @ queries).numpy()
    return out
