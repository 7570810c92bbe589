"""The parts that the network is made of, each with plain arguments."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Sine(nn.Module):
    """sin(x), the activation of SIREN and of HNeRV-Boost."""

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
BOUNDS: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": lambda x: 0.5 * x.tanh() + 0.5,
    "sigmoid": torch.sigmoid,
}


def lerp_in_time(values: Tensor, place: Tensor) -> Tensor:
    """Rows of ``values`` (L, …) at fractional places (B,) in [0, L - 1], linear between rows."""
    low = place.floor().long().clamp(0, max(len(values) - 2, 0))
    high = (low + 1).clamp(max=len(values) - 1)
    weight = (place - low).to(values.dtype).view(-1, *[1] * (values.dim() - 1))
    return torch.lerp(values[low], values[high], weight)


class TemporalGrid(nn.Module):
    """Learned features on ``steps`` points of [0, 1] in t, linear between them.

    Shapes: ``t`` (B,) to (B, channels, h, w). With fewer steps than frames a held-out frame lies
    between trained points. The idea is FFNeRV's multi-resolution temporal grid.
    """

    def __init__(self, steps: int, channels: int, grid: tuple[int, int]) -> None:
        super().__init__()
        self.values = nn.Parameter(0.1 * torch.randn(steps, channels, *grid))

    def forward(self, t: Tensor) -> Tensor:
        return lerp_in_time(self.values, t * (len(self.values) - 1))


class FrameTable(nn.Module):
    """What a checkpoint stores per *train* frame, read at any t by linear interpolation.

    Latents of an encoder run (C, h, w), or true embeddings of the ``--clip_input`` predecessor
    (C, 1, 1). A held-out frame reads between its train neighbours (one neighbour at an end), so its
    own content never enters. ``times`` (L,) float64 rising in [0, 1]; ``values`` (L, …).
    """

    times: Tensor
    values: Tensor

    def __init__(self, steps: int, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.register_buffer("times", torch.linspace(0, 1, steps, dtype=torch.float64))
        self.register_buffer("values", torch.zeros(steps, *shape))

    def fill(self, times: Tensor, values: Tensor) -> None:
        """Replace the content; ``times`` (L,) may come in any order."""
        order = times.argsort()
        self.times.copy_(times[order])
        self.values.copy_(values[order])

    def forward(self, t: Tensor) -> Tensor:
        t = t.to(self.times.dtype)
        high = torch.searchsorted(self.times, t).clamp(1, max(len(self.times) - 1, 1))
        high = high.clamp(max=len(self.times) - 1)
        low = (high - 1).clamp(min=0)
        gap = (self.times[high] - self.times[low]).clamp(min=1e-12)
        place = low + ((t - self.times[low]) / gap).clamp(0, 1)
        return lerp_in_time(self.values, place)


class DenseStem(nn.Module):
    """NeRV's stem: one dense layer from (B, C, 1, 1) to the whole grid (B, width, h, w)."""

    def __init__(self, features: int, width: int, grid: tuple[int, int], act: str) -> None:
        super().__init__()
        self.shape = (width, *grid)
        self.dense = nn.Linear(features, math.prod(self.shape))
        self.act = ACTIVATIONS[act]()

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.dense(x.flatten(1))).view(-1, *self.shape)  # type: ignore[no-any-return]


class CellStem(nn.Sequential):
    """Two dense layers shared by all cells of the grid: (B, C, h, w) to (B, width, h, w).

    A dense layer to the whole grid would hold 71–74 % of a 1.5 M network; since the coordinates
    already differ from cell to cell, the cells can share their weights.
    """

    def __init__(self, features: int, hidden: int, width: int, act: str) -> None:
        super().__init__(
            nn.Conv2d(features, hidden, 1),
            ACTIVATIONS[act](),
            nn.Conv2d(hidden, width, 1),
            ACTIVATIONS[act](),
        )


def up_conv(kind: str, inside: int, outside: int, stride: int, kernel: int) -> nn.Module:
    """A convolution that up-samples ``stride`` times, as HNeRV's ``--conv_type`` names them."""
    if kind == "conv":
        reach = kernel // 2  # taps beyond the stride on each side: the output is exactly stride x
        return nn.ConvTranspose2d(inside, outside, stride + 2 * reach, stride, reach)
    if kind == "interpolate":
        up = nn.Upsample(scale_factor=stride, mode="bilinear")
        return nn.Sequential(up, nn.Conv2d(inside, outside, kernel, padding=kernel // 2))
    conv = nn.Conv2d(inside, outside * stride**2, kernel, padding=kernel // 2)
    return nn.Sequential(conv, nn.PixelShuffle(stride)) if stride > 1 else conv


class ResidualBlock(nn.Module):
    """``x`` plus a depthwise and two pointwise layers of it, the inner twice as wide.

    Shapes: (B, width, h, w) to the same. ConvNeXt's block (arXiv 2201.03545) with neither its
    scale nor, by default, its norm: a frame is to be drawn, not judged whatever its contrast.
    """

    def __init__(self, width: int, kernel: int, norm: str, act: str) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(width, width, kernel, padding=kernel // 2, groups=width),
            NORMS[norm](width),
            nn.Conv2d(width, 2 * width, 1),
            ACTIVATIONS[act](),
            nn.Conv2d(2 * width, width, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)  # type: ignore[no-any-return]


class UpBlock(nn.Module):
    """Up-samples ``stride`` times; shapes (B, inside, h, w) to (B, outside, stride·h, stride·w).

    ``residual``: a pointwise PixelShuffle and ``count`` `ResidualBlock`. As the many weights of an
    up-sampling convolution then go into layers that are used at every pixel, the same model size
    buys about twice the width. The other kinds: ``count`` convolutions with norm and activation,
    of which the first up-samples, as HNeRV's.
    """

    def __init__(
        self,
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
        layers: list[nn.Module] = []
        if kind == "residual":
            layers = [up_conv("pshuffel", inside, outside, stride, 1)]
            layers += [ResidualBlock(outside, kernel, norm, act) for _ in range(count)]
        for i in range(count if kind != "residual" else 0):
            conv = up_conv(kind, outside if i else inside, outside, 1 if i else stride, kernel)
            layers += [conv, NORMS[norm](outside), ACTIVATIONS[act]()]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)  # type: ignore[no-any-return]


class RGBHead(nn.Module):
    """Features to pixels: (B, C, h, w) to (B, 3, stride·h, stride·w), about [0, 1].

    With ``stride`` > 1 the last up-sampling is a PixelShuffle of the pixels themselves, so no
    feature map of the frame's full size is ever computed.
    """

    def __init__(self, width: int, stride: int, kernel: int, out_bias: str) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, 3 * stride**2, kernel, padding=kernel // 2)
        self.stride, self.out_bias = stride, out_bias

    def forward(self, x: Tensor) -> Tensor:
        x = F.pixel_shuffle(self.conv(x), self.stride)
        return BOUNDS[self.out_bias](x) if self.out_bias in BOUNDS else x + float(self.out_bias)


class ClipHead(nn.Sequential):
    """Features to an embedding: (B, width, h, w) to (B, dim), not normalised."""

    def __init__(self, width: int, dim: int) -> None:
        super().__init__(
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(width, 2 * width),
            nn.ReLU(inplace=True),
            nn.Linear(2 * width, dim),
        )
