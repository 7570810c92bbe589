"""Decode a network: frames and embeddings at frame indices, or embeddings alone at any times."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nerv_clip.models.video_network import VideoNetwork
from nerv_clip.progress import SILENT, Progress
from nerv_clip.video.times import frame_time


class DecodedFrames(NamedTuple):
    """Some decoded frames.

    ``frames`` (b, 3, H, W) in [0, 1], of the frame indices ``indices``; ``embeddings`` (b, dim),
    not normalised, None without a CLIP head; ``seconds`` that decoding took.
    """

    indices: list[int]
    frames: Tensor
    embeddings: Tensor | None
    seconds: float


@torch.no_grad()
def decode(model: VideoNetwork, indices: Sequence[int], batch: int = 1) -> Iterator[DecodedFrames]:
    """Decode the frames at ``indices``, ``batch`` at a time."""
    device = next(model.parameters()).device
    for start in range(0, len(indices), batch):
        chunk = list(indices[start : start + batch])
        t = torch.tensor([frame_time(i, model.arch.frames) for i in chunk], dtype=torch.float64)
        output = model(t.to(device))
        frames = output.frames.float().clamp(0, 1)
        yield DecodedFrames(chunk, frames, output.embedding, output.seconds)


@torch.no_grad()
def embed_times(
    model: VideoNetwork,
    times: Sequence[float] | NDArray[np.float64],
    batch: int = 1,
    progress: Progress = SILENT,
    label: str = "embedding",
) -> Tensor:
    """Predicted unit embeddings (N, dim) at times in [0, 1], on the CPU; no frame is drawn.

    ``label`` names the work in ``progress``. The network needs a CLIP head.
    """
    device = next(model.parameters()).device
    found = torch.empty(len(times), model.arch.clip_dim)
    with progress.task(label, len(times), "frame") as task:
        for start in range(0, len(times), batch):
            t = torch.tensor(times[start : start + batch], dtype=torch.float64, device=device)
            unit = torch.nn.functional.normalize(model.embed(t).float(), dim=1)
            found[start : start + batch] = unit.cpu()
            task.advance(len(t))
    return found
