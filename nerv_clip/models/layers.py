"""Layers of the network. Each takes plain keyword arguments and no configuration object."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Sine(nn.Module):
    """sin(x), the activation of SIREN (arXiv 2006.09661) and of HNeRV-Boost."""

    def forward(self, x: Tensor) -> Tensor:
        return x.sin()


ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "gelu": nn.GELU,
    "relu": nn.ReLU,
    "leaky": nn.LeakyReLU,
    "leaky01": lambda: nn.LeakyReLU(0.1),
    "relu6": nn.ReLU6,
    "swish": nn.SiLU,
    "softplus": nn.Softplus,
    "hardswish": nn.Hardswish,
    "sin": Sine,
}
NORMS: dict[str, Callable[[int], nn.Module]] = {
    "none": lambda width: nn.Identity(),
    "bn": nn.BatchNorm2d,
    "in": nn.InstanceNorm2d,
}
OUTPUT_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": lambda x: 0.5 * x.tanh() + 0.5,
    "sigmoid": torch.sigmoid,
}


class DenseStem(nn.Module):
    """NeRV's stem: one linear layer from (B, C, 1, 1) to the whole grid (B, width, h, w)."""

    def __init__(self, *, features: int, width: int, grid: tuple[int, int], act: str) -> None:
        super().__init__()
        self.shape = (width, *grid)
        self.dense = nn.Linear(features, math.prod(self.shape))
        self.act = ACTIVATIONS[act]()

    def forward(self, x: Tensor) -> Tensor:
        grid: Tensor = self.act(self.dense(x.flatten(1)))
        return grid.view(-1, *self.shape)


class CellStem(nn.Sequential):
    """Two pointwise layers, shared by all cells of the grid: (B, C, h, w) to (B, width, h, w).

    A linear layer to the whole grid would need weights for each cell. The coordinates already
    differ from cell to cell, so the cells can share their weights.
    """

    def __init__(self, *, features: int, hidden: int, width: int, act: str) -> None:
        super().__init__(
            nn.Conv2d(features, hidden, 1),
            ACTIVATIONS[act](),
            nn.Conv2d(hidden, width, 1),
            ACTIVATIONS[act](),
        )


class UpConv(Protocol):
    """Builds a convolution (B, inside, h, w) to (B, outside, stride·h, stride·w)."""

    def __call__(self, *, inside: int, outside: int, stride: int, kernel: int) -> nn.Module: ...


def transposed_conv(*, inside: int, outside: int, stride: int, kernel: int) -> nn.Module:
    """A transposed convolution."""
    reach = kernel // 2  # taps beyond the stride on each side: the output is exactly stride x
    return nn.ConvTranspose2d(inside, outside, stride + 2 * reach, stride, reach)


def interpolated_conv(*, inside: int, outside: int, stride: int, kernel: int) -> nn.Module:
    """Bilinear up-sampling, then a convolution."""
    up = nn.Upsample(scale_factor=stride, mode="bilinear")
    return nn.Sequential(up, nn.Conv2d(inside, outside, kernel, padding=kernel // 2))


def shuffled_conv(*, inside: int, outside: int, stride: int, kernel: int) -> nn.Module:
    """A convolution, then a PixelShuffle; a plain convolution at stride 1."""
    conv = nn.Conv2d(inside, outside * stride**2, kernel, padding=kernel // 2)
    return nn.Sequential(conv, nn.PixelShuffle(stride)) if stride > 1 else conv


class ResidualBlock(nn.Module):
    """A residual block: a depthwise convolution and two pointwise ones, twice as wide inside.

    Shapes: (B, width, h, w) to the same. It is ConvNeXt's block (arXiv 2201.03545) without its
    layer scale and, by default, without its normalisation: reconstruction must keep contrast.
    """

    def __init__(self, *, width: int, kernel: int, norm: str, act: str) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(width, width, kernel, padding=kernel // 2, groups=width),
            NORMS[norm](width),
            nn.Conv2d(width, 2 * width, 1),
            ACTIVATIONS[act](),
            nn.Conv2d(2 * width, width, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        change: Tensor = self.layers(x)
        return x + change


class UpLayers(Protocol):
    """Builds the layers of an up-block from the arguments of `UpBlock`."""

    def __call__(
        self,
        *,
        inside: int,
        outside: int,
        stride: int,
        kernel: int,
        count: int,
        norm: str,
        act: str,
    ) -> list[nn.Module]: ...


def residual_layers(
    *, inside: int, outside: int, stride: int, kernel: int, count: int, norm: str, act: str
) -> list[nn.Module]:
    """A pointwise convolution with PixelShuffle, then ``count`` `ResidualBlock`.

    An up-sampling convolution with a large kernel has many weights. Here they go into layers that
    are applied at every pixel instead, so the same model size allows about twice the width.
    """
    up = shuffled_conv(inside=inside, outside=outside, stride=stride, kernel=1)
    blocks = (ResidualBlock(width=outside, kernel=kernel, norm=norm, act=act) for _ in range(count))
    return [up, *blocks]


def convolution_layers(
    conv: UpConv,
    *,
    inside: int,
    outside: int,
    stride: int,
    kernel: int,
    count: int,
    norm: str,
    act: str,
) -> list[nn.Module]:
    """HNeRV's block: ``count`` times ``conv``, normalisation, activation; the first up-samples."""
    layers: list[nn.Module] = []
    for _ in range(count):
        up = conv(inside=inside, outside=outside, stride=stride, kernel=kernel)
        layers += [up, NORMS[norm](outside), ACTIVATIONS[act]()]
        inside, stride = outside, 1
    return layers


# The kinds of `UpBlock`; all but the first are named as in HNeRV's option `conv_type`.
UP_BLOCKS: dict[str, UpLayers] = {
    "residual": residual_layers,
    "pshuffel": partial(convolution_layers, shuffled_conv),
    "conv": partial(convolution_layers, transposed_conv),
    "interpolate": partial(convolution_layers, interpolated_conv),
}


class UpBlock(nn.Module):
    """A stage of the decoder, which up-samples ``stride`` times.

    Shapes: (B, inside, h, w) to (B, outside, stride·h, stride·w). ``kind`` is a key of
    `UP_BLOCKS`; ``kernel`` is the side of its convolutions, ``count`` how many of them (or of
    residual blocks) it has; ``norm`` and ``act`` are keys of `NORMS` and `ACTIVATIONS`. Raises
    ValueError for an unknown kind.
    """

    def __init__(
        self,
        *,
        kind: str,
        inside: int,
        outside: int,
        stride: int,
        kernel: int,
        count: int,
        norm: str,
        act: str,
    ) -> None:
        super().__init__()
        if kind not in UP_BLOCKS:
            raise ValueError(f"unknown up-block {kind!r}: choose from {', '.join(UP_BLOCKS)}")
        layers = UP_BLOCKS[kind](
            inside=inside,
            outside=outside,
            stride=stride,
            kernel=kernel,
            count=count,
            norm=norm,
            act=act,
        )
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        features: Tensor = self.layers(x)
        return features


class RGBHead(nn.Module):
    """Features to pixels: (B, width, h, w) to (B, 3, stride·h, stride·w), about [0, 1].

    With ``stride`` > 1 the last up-sampling is a PixelShuffle of the pixels themselves, so no
    feature map of the frame's full size is computed. ``out_bias`` is a key of
    `OUTPUT_ACTIVATIONS`, or a number that is added to the output.
    """

    def __init__(self, *, width: int, stride: int, kernel: int, out_bias: str) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, 3 * stride**2, kernel, padding=kernel // 2)
        self.stride, self.out_bias = stride, out_bias

    def forward(self, x: Tensor) -> Tensor:
        x = F.pixel_shuffle(self.conv(x), self.stride)
        if self.out_bias in OUTPUT_ACTIVATIONS:
            return OUTPUT_ACTIVATIONS[self.out_bias](x)
        return x + float(self.out_bias)
