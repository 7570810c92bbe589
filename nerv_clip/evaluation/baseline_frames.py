"""Baselines made of true frames: the blend of neighbouring train frames, and a perturbed frame."""

from __future__ import annotations

import io

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from nerv_clip.evaluation.interpolation import blend_weights
from nerv_clip.video.video import Video


def blend(video: Video, index: int, train: list[int], device: torch.device) -> Tensor | None:
    """The linear blend of the neighbouring train frames in the same shot: (1, 3, H, W) in [0, 1].

    None where the shot has no other train frame.
    """
    parts = blend_weights(index, train, video.shots)
    if not parts:
        return None
    frames = video.read([i for i, _ in parts]).to(device).float() / 255
    weights = torch.tensor([w for _, w in parts], device=device).view(-1, 1, 1, 1)
    return (weights * frames).sum(0, keepdim=True)


def perturb(frame: Tensor) -> Tensor:
    """A frame (1, 3, H, W) in [0, 1] without 2 % at each side, after JPEG with quality 75."""
    height, width = frame.shape[-2:]
    top, left = (min(max(1, side // 50), (side - 1) // 2) for side in (height, width))
    inside = frame[0, :, top : height - top, left : width - left]
    pixels = inside.mul(255).round().byte().permute(1, 2, 0).cpu().numpy()
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=75)
    kept = np.asarray(Image.open(file)).astype(np.float32) / 255
    return torch.from_numpy(kept).permute(2, 0, 1)[None]
