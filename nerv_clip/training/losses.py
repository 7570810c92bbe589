"""Loss functions: the pixel losses that HNeRV names, and the CLIP loss."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch.nn.functional as F
from torch import Tensor

from nerv_clip.errors import InputError
from nerv_clip.metrics import WINDOW, ms_ssim, psnr, ssim

TERMS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "L1": F.l1_loss,
    "L2": F.mse_loss,
    "PSNR": lambda frames, target: 100 - psnr(frames, target).mean(),  # equal frames: 100 dB
    "SSIM": lambda frames, target: 1 - ssim(frames, target).mean(),
    "MS-SSIM": lambda frames, target: 1 - ms_ssim(frames, target).mean(),
}
PIXEL_LOSSES: dict[str, Mapping[str, float]] = {
    # Our default optimises the metrics that are reported. A decibel weighs the same in every
    # frame, whereas a squared error is dominated by the hardest frames.
    "PSNR-SSIM": {"PSNR": 0.004, "SSIM": 0.1},
    "PSNR": {"PSNR": 0.004},
    # The weights of the others are those of HNeRV's `loss_fn` (github.com/haochen-rye/HNeRV).
    "L2": {"L2": 1},
    "MSE": {"L2": 1},
    "L1": {"L1": 1},
    "SSIM": {"SSIM": 1},
    "Fusion1": {"L2": 0.3, "SSIM": 0.7},
    "Fusion2": {"L1": 0.3, "SSIM": 0.7},
    "Fusion3": {"L2": 0.5, "SSIM": 0.5},
    "Fusion4": {"L1": 0.5, "SSIM": 0.5},
    "Fusion5": {"L2": 0.7, "SSIM": 0.3},
    "Fusion6": {"L1": 0.7, "SSIM": 0.3},
    "Fusion7": {"L2": 0.7, "L1": 0.3},
    "Fusion8": {"L2": 0.5, "L1": 0.5},
    "Fusion9": {"L1": 0.9, "SSIM": 0.1},
    "Fusion10": {"L1": 0.7, "MS-SSIM": 0.3},
    "Fusion11": {"L1": 0.9, "MS-SSIM": 0.1},
    "Fusion12": {"L1": 0.8, "MS-SSIM": 0.2},
}


def pixel_loss(name: str, frames: Tensor, target: Tensor) -> Tensor:
    """The pixel loss ``name``, a key of `PIXEL_LOSSES`: a scalar, 0 for equal frames.

    ``frames`` and ``target`` are (B, 3, H, W) in [0, 1].
    """
    terms = [weight * TERMS[term](frames, target) for term, weight in PIXEL_LOSSES[name].items()]
    return sum(terms[1:], terms[0])


def clip_loss(predicted: Tensor, true: Tensor, weights: Tensor | None = None) -> Tensor:
    """1 - cosine similarity of embeddings (B, dim, …), mean over all: a scalar in [0, 2].

    ``weights`` (B,) multiply the values of each row.
    """
    if weights is None:
        return 1 - F.cosine_similarity(predicted.float(), true.float(), dim=1).mean()
    error = 1 - F.cosine_similarity(predicted.float(), true.float(), dim=1)
    return (weights * error.reshape(len(error), -1).mean(1)).mean()


def slerp(start: Tensor, end: Tensor, fraction: Tensor) -> Tensor:
    """Spherical linear interpolation between unit vectors (B, dim): unit vectors (B, dim).

    ``fraction`` (B,) in [0, 1] is 0 at ``start``. It is
    `nerv_clip.similarity.slerp` for a batch of tensors on any device.
    """
    cosine = F.cosine_similarity(start.float(), end.float(), dim=-1)
    angle = cosine.clamp(-1, 1).acos()[:, None].clamp(min=1e-6)
    fraction = fraction[:, None]
    between = ((1 - fraction) * angle).sin() * start + (fraction * angle).sin() * end
    return F.normalize(between, dim=1)


def check_loss_fits(name: str, height: int, width: int) -> None:
    """Raise `InputError` for an unknown loss, and for frames too small for its SSIM term."""
    if name not in PIXEL_LOSSES:
        raise InputError(f"`loss` {name} is unknown: choose from {', '.join(PIXEL_LOSSES)}")
    structural = any("SSIM" in term for term in PIXEL_LOSSES[name])
    if structural and min(height, width) < WINDOW:
        raise InputError(
            f"`loss` {name} needs frames of at least {WINDOW}x{WINDOW} pixels, but these are "
            f"{height}x{width}: use `loss` L2 or L1"
        )
