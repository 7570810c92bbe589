"""The true embeddings of a video's frames, computed once and cached on disk."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from nerv_clip.cache import cached, read_cached
from nerv_clip.files import atomic_write, user_cache
from nerv_clip.progress import SILENT, Progress
from nerv_clip.teacher.encoder import ClipEncoder
from nerv_clip.video.video import Video


def embed_video(
    encoder: ClipEncoder,
    video: Video,
    *,
    cache_dir: Path | None = None,
    batch: int = 16,
    progress: Progress = SILENT,
) -> Tensor:
    """The true embeddings of all frames: unit (T, dim) float32, on the CPU.

    They are cached by the video's hash and the encoder's id, so another video, crop, model,
    weights file or preprocessing is computed anew. ``cache_dir`` defaults to the user's cache
    folder. ``batch`` frames are embedded at once.
    """
    folder = cache_dir or user_cache() / "embeddings"
    key = hashlib.sha256(f"{video.hash} {encoder.id}".encode()).hexdigest()[:32]
    path = folder / f"{re.sub(r'[^A-Za-z0-9.-]+', '_', encoder.name)[-40:]}-{key}.npy"
    shape = (len(video), encoder.dim)

    def make(place: Path) -> None:
        embeddings = _embed(encoder, video, batch, progress)
        with atomic_write(place) as temporary, temporary.open("wb") as file:
            np.save(file, embeddings.numpy())

    return cached(path, lambda place: _read_cache(place, shape), make)


def _embed(encoder: ClipEncoder, video: Video, batch: int, progress: Progress) -> Tensor:
    parts = []
    with progress.task("CLIP", len(video), "frame") as task:
        for start in range(0, len(video), batch):
            frames = video.read(range(start, min(start + batch, len(video))))
            parts.append(encoder.images(frames).cpu())
            task.advance(len(frames))
    return torch.cat(parts)


def _read_cache(path: Path, shape: tuple[int, int]) -> Tensor | None:
    values = read_cached(path, shape, np.float32)
    return None if values is None or not np.isfinite(values).all() else torch.from_numpy(values)
