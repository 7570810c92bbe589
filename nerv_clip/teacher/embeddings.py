"""The true embeddings of a video's frames, computed once and cached on disk."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from nerv_clip.cache import cached, read_cached
from nerv_clip.files import atomic_write, user_cache
from nerv_clip.progress import SILENT, Progress
from nerv_clip.similarity import present
from nerv_clip.teacher.encoder import ClipEncoder
from nerv_clip.video.video import Video


def embed_video(
    encoder: ClipEncoder,
    video: Video,
    frames: Sequence[int] | None = None,
    *,
    cache_dir: Path | None = None,
    batch: int = 16,
    progress: Progress = SILENT,
) -> Tensor:
    """The true embeddings of ``frames``, by default all: unit (T, dim) float32, on the CPU.

    Rows of other frames are NaN. Embeddings are cached by the video's hash, the encoder's id and
    the frames, so another video, crop, model, weights file or preprocessing is computed anew.
    ``cache_dir`` defaults to the user's cache folder. ``batch`` frames are embedded at once.
    """
    every = list(range(len(video)))
    chosen = every if frames is None else list(frames)
    folder = cache_dir or user_cache() / "embeddings"
    stem = re.sub(r"[^A-Za-z0-9.-]+", "_", encoder.name)[-40:]

    def place_of(indices: list[int]) -> Path:
        about = f"{video.hash} {encoder.id}" + (f" {indices}" if indices != every else "")
        return folder / f"{stem}-{hashlib.sha256(about.encode()).hexdigest()[:32]}.npy"

    def make(place: Path) -> None:
        embeddings = _embed(encoder, video, chosen, batch, progress)
        with atomic_write(place) as temporary, temporary.open("wb") as file:
            np.save(file, embeddings.numpy())

    whole = _read_cache(place_of(every), (len(video), encoder.dim))
    if whole is not None:
        found = whole[chosen]
    else:
        read = partial(_read_cache, shape=(len(chosen), encoder.dim))
        found = cached(place_of(chosen), read, make)
    true = torch.full((len(video), encoder.dim), torch.nan)
    true[chosen] = found
    return true


def frames_embedded(true: Tensor) -> list[int]:
    """The frames that have a true embedding, of rows (T, dim) that are NaN for the others."""
    return np.flatnonzero(present(true.cpu().numpy())).tolist()


def _embed(
    encoder: ClipEncoder, video: Video, indices: list[int], batch: int, progress: Progress
) -> Tensor:
    parts = []
    with progress.task("CLIP", len(indices), "frame") as task:
        for start in range(0, len(indices), batch):
            frames = video.read(indices[start : start + batch])
            parts.append(encoder.images(frames).cpu())
            task.advance(len(frames))
    return torch.cat(parts)


def _read_cache(path: Path, shape: tuple[int, int]) -> Tensor | None:
    values = read_cached(path, shape, np.float32)
    return None if values is None or not np.isfinite(values).all() else torch.from_numpy(values)
