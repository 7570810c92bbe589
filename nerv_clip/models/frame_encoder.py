"""HNeRV's encoder: a frame to a small latent, used in training only."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nerv_clip.models.layers import ACTIVATIONS, NORMS


class ChannelNorm(nn.LayerNorm):
    """Layer normalisation over the channels of (B, C, h, w)."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class ConvNeXtBlock(nn.Module):
    """Depthwise 7x7, norm, two pointwise layers, scaled residual (ConvNeXt, arXiv 2201.03545)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(width, width, 7, padding=3, groups=width),
            ChannelNorm(width, eps=1e-6),
            nn.Conv2d(width, 4 * width, 1),
            nn.GELU(),
            nn.Conv2d(4 * width, width, 1, bias=True),
        )
        self.scale = nn.Parameter(1e-6 * torch.ones(width, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.scale * self.layers(x)  # type: ignore[no-any-return]


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def build_encoder(
    strides: tuple[int, ...],
    dims: tuple[int, int],
    blocks: int,
    kernel: int,
    conv_type: str,
    norm: str,
    act: str,
) -> nn.Sequential:
    """The encoder of HNeRV (arXiv 2304.02633): (B, 3, H, W) to latents (B, dims[1], h, w).

    ``strides`` divide the frame's sides; all stages have ``dims[0]`` channels but the last, which
    has ``dims[1]``. ``conv_type`` is ``convnext``, or ``conv`` / ``pshuffel`` for plain stages.
    """
    widths = [*[dims[0]] * (len(strides) - 1), dims[1]]
    stages: list[nn.Module] = []
    inside = 3
    for i, (width, stride) in enumerate(zip(widths, strides, strict=True)):
        if conv_type == "convnext":
            stages += _convnext_stage(inside, width, stride, blocks, first=i == 0)
        else:
            stages += _plain_stage(inside, width, stride, kernel, conv_type, norm, act)
        inside = width
    return nn.Sequential(*stages)


def _convnext_stage(
    inside: int, width: int, stride: int, blocks: int, first: bool
) -> list[nn.Module]:
    down: nn.Module = nn.Conv2d(inside, width, stride, stride)
    norm = ChannelNorm(width if first else inside, eps=1e-6)
    stage = [down, norm] if first else [norm, down]
    stage += [ConvNeXtBlock(width) for _ in range(blocks)]
    for module in stage:
        module.apply(_initialise)
    return stage


def _plain_stage(
    inside: int, width: int, stride: int, kernel: int, conv_type: str, norm: str, act: str
) -> list[nn.Module]:
    reach = kernel // 2
    if conv_type == "pshuffel":
        conv = nn.Conv2d(inside * stride**2, width, 2 * reach + 1, padding=reach)
        down: nn.Module = nn.Sequential(nn.PixelUnshuffle(stride), conv)
    else:
        down = nn.Conv2d(inside, width, stride + 2 * reach, stride, reach)
    return [down, NORMS[norm](width), ACTIVATIONS[act]()]


def pad_to(frames: Tensor, size: tuple[int, int]) -> Tensor:
    """Frames (B, 3, H, W) grown at the bottom and right to ``size`` by repeating the edge."""
    height, width = size
    return F.pad(frames, (0, width - frames.shape[-1], 0, height - frames.shape[-2]), "replicate")
