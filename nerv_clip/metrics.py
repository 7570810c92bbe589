"""Image quality metrics: PSNR, SSIM and MS-SSIM."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

WINDOW = 11  # pixels, with a standard deviation of 1.5, as the SSIM paper
TILE = 32  # rows or columns filtered by one small matrix product
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
C1, C2 = 0.01**2, 0.03**2


def psnr(frames: Tensor, target: Tensor) -> Tensor:
    """Peak signal-to-noise ratio of each frame in dB: (B, …) in [0, 1] twice, to (B,).

    Equal frames give 100 dB, not infinity, so that means stay finite.

    >>> psnr(torch.zeros(1, 3, 4, 4), torch.full((1, 3, 4, 4), 0.1))
    tensor([20.0000])
    """
    error = (frames - target).square().flatten(1).mean(1)
    return -10 * error.clamp(min=1e-10).log10()


def ssim(frames: Tensor, target: Tensor) -> Tensor:
    """Structural similarity of each frame, mean over channels: (B, C, H, W) twice, to (B,).

    Values in [-1, 1]; Gaussian window of 11 pixels, no padding (Wang et al., 2004). A side below
    11 gives NaN. Gradients flow to ``frames`` only.
    """
    if min(frames.shape[-2:]) < WINDOW:
        return frames.new_full((len(frames),), float("nan"))
    return _similarities(frames, target)[0].mean(1)


def ms_ssim_scales(height: int, width: int) -> int:
    """Scales of MS-SSIM that fit: the most S <= 5 with min side > 10 · 2^(S - 1); 0 for none.

    >>> ms_ssim_scales(720, 1280), ms_ssim_scales(160, 320), ms_ssim_scales(10, 10)
    (5, 4, 0)
    """
    side = min(height, width)
    return max((s for s in range(1, 6) if side > (WINDOW - 1) * 2 ** (s - 1)), default=0)


def ms_ssim(frames: Tensor, target: Tensor) -> Tensor:
    """Multi-scale structural similarity of each frame: (B, C, H, W) in [0, 1] twice, to (B,).

    The five standard weights (Wang et al., 2003) are renormalised over the `ms_ssim_scales` that
    fit the frame; a side below 11 gives NaN. Gradients flow to ``frames`` only.
    """
    scales = ms_ssim_scales(*frames.shape[-2:])
    if not scales:
        return frames.new_full((len(frames),), float("nan"))
    weights = torch.tensor(SCALE_WEIGHTS[:scales], device=frames.device)
    parts = []
    for scale in range(scales):
        if scale:
            odd = [side % 2 for side in frames.shape[-2:]]
            frames, target = (F.avg_pool2d(x, 2, padding=odd) for x in (frames, target))
        structural, contrast = _similarities(frames, target)
        parts.append(structural if scale == scales - 1 else contrast)
    # the power has an infinite slope at 0, so negative similarities are clamped just above it
    powers = torch.stack(parts).clamp(min=1e-6) ** (weights / weights.sum())[:, None, None]
    return powers.prod(0).mean(1)


def _similarities(frames: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """SSIM and its contrast-structure factor, (B, C) each, means over the pixels."""
    with torch.autocast(frames.device.type, enabled=False):
        height, width = frames.shape[-2:]
        x = frames.float().reshape(-1, height, width)
        y = target.float().reshape(-1, height, width)
        blurred = _Blur.apply(torch.cat([x, x * x + y * y, x * y]))
        mean_x, squares, product = blurred.chunk(3)
        mean_y = _blur(y)
        means, mean_squares = mean_x * mean_y, mean_x * mean_x + mean_y * mean_y
        contrast = (2 * (product - means) + C2) / (squares - mean_squares + C2)
        structural = (2 * means + C1) / (mean_squares + C1) * contrast
        shape = frames.shape[:2]
        return structural.mean((1, 2)).view(shape), contrast.mean((1, 2)).view(shape)


class _Blur(torch.autograd.Function):
    """`_blur` with its gradient, which is the same symmetric filter of the padded gradient."""

    @staticmethod
    def forward(ctx: Any, maps: Tensor) -> Tensor:  # noqa: ANN401 - torch's own context
        return _blur(maps)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # noqa: ANN401
        return _blur(F.pad(gradient, [WINDOW - 1] * 4))


def _blur(maps: Tensor) -> Tensor:
    """The Gaussian window over (N, H, W), valid part: (N, H - 10, W - 10).

    Computed as products with a banded matrix, tile by tile, which is faster on a CPU than a
    convolution with a single channel (measured by ``bench/ssim.py``).
    """
    count, height, width = maps.shape
    matrix = _band_matrix(maps.device)
    height, width = height - WINDOW + 1, width - WINDOW + 1
    maps = F.pad(maps, (0, -width % TILE, 0, -height % TILE))
    reach = TILE + WINDOW - 1
    rows = maps.unfold(2, reach, TILE).reshape(-1, reach) @ matrix.T
    rows = rows.view(count, maps.shape[1], -1)[:, :, :width].contiguous()
    tiles = matrix @ rows.unfold(1, reach, TILE).transpose(2, 3)
    return tiles.reshape(count, -1, width)[:, :height]


@lru_cache(maxsize=4)
def _band_matrix(device: torch.device) -> Tensor:
    """(TILE, TILE + 10): row i has the window's weights, starting at column i."""
    place = torch.arange(WINDOW) - WINDOW // 2
    window = torch.exp(-(place**2) / (2 * 1.5**2))
    matrix = torch.zeros(TILE, TILE + WINDOW - 1)
    for i in range(TILE):
        matrix[i, i : i + WINDOW] = window / window.sum()
    return matrix.to(device)
