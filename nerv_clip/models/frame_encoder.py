"""HNeRV's encoder, from a frame to a small latent; it is used in training only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

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
        change: Tensor = self.layers(x)
        return x + self.scale * change


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


class EncoderStage(Protocol):
    """Builds the layers of a stage: (B, inside, h, w) to (B, width, h / stride, w / stride)."""

    def __call__(
        self,
        *,
        inside: int,
        width: int,
        stride: int,
        blocks: int,
        kernel: int,
        norm: str,
        act: str,
        first: bool,
    ) -> list[nn.Module]: ...


def convnext_stage(
    *,
    inside: int,
    width: int,
    stride: int,
    blocks: int,
    kernel: int,
    norm: str,
    act: str,
    first: bool,
) -> list[nn.Module]:
    """A strided convolution and ``blocks`` `ConvNeXtBlock`; ``kernel``, norm and act are fixed."""
    down: nn.Module = nn.Conv2d(inside, width, stride, stride)
    channel_norm = ChannelNorm(width if first else inside, eps=1e-6)
    stage = [down, channel_norm] if first else [channel_norm, down]
    stage += [ConvNeXtBlock(width) for _ in range(blocks)]
    for module in stage:
        module.apply(_initialise)
    return stage


def unshuffle_stage(
    *,
    inside: int,
    width: int,
    stride: int,
    blocks: int,
    kernel: int,
    norm: str,
    act: str,
    first: bool,
) -> list[nn.Module]:
    """A PixelUnshuffle and one convolution, normalisation, activation."""
    reach = kernel // 2
    conv = nn.Conv2d(inside * stride**2, width, 2 * reach + 1, padding=reach)
    down = nn.Sequential(nn.PixelUnshuffle(stride), conv)
    return [down, NORMS[norm](width), ACTIVATIONS[act]()]


def strided_stage(
    *,
    inside: int,
    width: int,
    stride: int,
    blocks: int,
    kernel: int,
    norm: str,
    act: str,
    first: bool,
) -> list[nn.Module]:
    """One strided convolution, normalisation, activation."""
    reach = kernel // 2
    down = nn.Conv2d(inside, width, stride + 2 * reach, stride, reach)
    return [down, NORMS[norm](width), ACTIVATIONS[act]()]


# Names of HNeRV's option `conv_type` for the encoder.
ENCODER_STAGES: dict[str, EncoderStage] = {
    "convnext": convnext_stage,
    "conv": strided_stage,
    "pshuffel": unshuffle_stage,
}


def build_encoder(
    *,
    strides: Sequence[int],
    dims: tuple[int, int],
    blocks: int,
    kernel: int,
    conv_type: str,
    norm: str,
    act: str,
) -> nn.Sequential:
    """The encoder of HNeRV (arXiv 2304.02633): (B, 3, H, W) to latents (B, dims[1], h, w).

    ``strides`` divide the sides of the frame. Every stage has ``dims[0]`` channels except the last,
    which has ``dims[1]``. ``conv_type`` is a key of `ENCODER_STAGES`; raises ValueError for any
    other.
    """
    if conv_type not in ENCODER_STAGES:
        known = ", ".join(ENCODER_STAGES)
        raise ValueError(f"unknown encoder stage {conv_type!r}: choose from {known}")
    widths = [*[dims[0]] * (len(strides) - 1), dims[1]]
    stages: list[nn.Module] = []
    inside = 3
    for i, (width, stride) in enumerate(zip(widths, strides, strict=True)):
        stages += ENCODER_STAGES[conv_type](
            inside=inside,
            width=width,
            stride=stride,
            blocks=blocks,
            kernel=kernel,
            norm=norm,
            act=act,
            first=i == 0,
        )
        inside = width
    return nn.Sequential(*stages)


def pad_to(frames: Tensor, size: tuple[int, int]) -> Tensor:
    """Pad frames (B, 3, H, W) at the bottom and right to ``size`` by repeating the edge pixels."""
    height, width = size
    return F.pad(frames, (0, width - frames.shape[-1], 0, height - frames.shape[-2]), "replicate")
