"""Positional encodings of (x, y, t): fixed features of position and time."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from nerv_clip.errors import InputError
from nerv_clip.models.config import Architecture


def input_widths(arch: Architecture) -> dict[str, int]:
    """Channels of the stem's input, by source; sources without channels are left out."""
    parts = {
        "(x, y, t)": embed_width(arch.embed),
        "grids": sum(channels for _, channels in arch.grids),
        "latent": arch.enc_dim[1] if arch.enc_strides else 0,
        "CLIP": arch.clip_input,
    }
    return {part: width for part, width in parts.items() if width}


def embed_width(embed: str) -> int:
    """Number of features of an encoding: 160 by default, 0 for ``""`` (latents only).

    Raises `InputError` for an unknown name.

    >>> embed_width("xyt_40_20_20_4"), embed_width("pe_1.25_80"), embed_width("")
    (160, 160, 0)
    """
    kind, _, rest = embed.partition("_")
    try:
        if kind == "xyt":
            t, x, y, below = _xyt(rest)
            if min(t, x, y) > 0 and 1 <= below < math.inf:
                return 2 * (t + x + y)
        if kind == "pe":
            base, levels = rest.split("_")
            if float(base) > 0 and int(levels) > 0:
                return 2 * int(levels)
        if not embed:
            return 0
    except ValueError:
        pass
    raise InputError(
        f"`embed` {embed!r} is unknown: use xyt_40_20_20_4 (number of frequencies in t, x and y; "
        "in t up to a 4th of the Nyquist frequency), pe_1.25_80 (NeRV's encoding of time alone) or "
        "'' (HNeRV: latents only)"
    )


def _xyt(rest: str) -> tuple[int, int, int, float]:
    """The numbers of ``xyt_T_X_Y`` and ``xyt_T_X_Y_BELOW``."""
    parts = rest.split("_")
    t, x, y, below = parts if len(parts) == 4 else (*parts, "1")
    return int(t), int(x), int(y), float(below)


def band(count: int, samples: int, below: float = 1) -> Tensor:
    """``count`` angular frequencies for positions in [0, 1], in geometric progression.

    The lowest is half a turn, the highest the Nyquist frequency of ``samples`` points, which is
    ``(samples - 1) / 2`` turns, divided by ``below``. Above it, neighbouring frames would get
    unrelated features and the times between them noise. Shape (count,), float64, radians.
    """
    highest = math.pi * max((samples - 1) / below, 1)
    lowest = min(math.pi, highest)
    return torch.logspace(math.log10(lowest), math.log10(highest), count, dtype=torch.float64)


def fourier(positions: Tensor, frequencies: Tensor) -> Tensor:
    """Sines, then cosines, of positions (n,): (n, 2 · frequencies), computed in float64."""
    angles = positions.double()[:, None] * frequencies
    return torch.cat([angles.sin(), angles.cos()], dim=1).float()


class CoordinateEncoding(nn.Module):
    """(x, y, t) on the stem's grid, band-limited by the number of cells and of frames.

    Shapes: ``t`` (B,) in [0, 1] to (B, 2·(t+x+y), h, w), where t, x and y are the numbers of
    frequencies in ``counts``. Encoding space as well as time is the idea of E-NeRV
    (arXiv 2207.08132); the band limit is ours. ``below`` divides the highest frequency in t.
    """

    frequencies: Tensor
    space: Tensor

    def __init__(
        self, *, frames: int, grid: tuple[int, int], counts: tuple[int, int, int], below: float = 1
    ) -> None:
        super().__init__()
        (rows, columns), (n_t, n_x, n_y) = grid, counts
        self.register_buffer("frequencies", band(n_t, frames, below), persistent=False)
        x = fourier(torch.linspace(0, 1, columns, dtype=torch.float64), band(n_x, columns))
        y = fourier(torch.linspace(0, 1, rows, dtype=torch.float64), band(n_y, rows))
        space = torch.cat(
            [x.T[:, None, :].expand(-1, rows, -1), y.T[:, :, None].expand(-1, -1, columns)]
        )
        self.register_buffer("space", space.contiguous(), persistent=False)

    def forward(self, t: Tensor) -> Tensor:
        time = fourier(t, self.frequencies)[:, :, None, None]
        space = self.space.expand(t.shape[0], -1, -1, -1)
        return torch.cat([time.expand(-1, -1, *space.shape[2:]), space], dim=1)


class TimeEncoding(nn.Module):
    """NeRV's encoding of time alone (arXiv 2110.13903): powers of ``base``, in float64.

    Shapes: ``t`` (B,) in [0, 1] to (B, 2·levels, 1, 1). With base 1.25 and 80 levels the highest
    frequency is 1.25^79 half-turns, which is far above the Nyquist frequency of any video: the
    features act as a hash of the frame index.
    """

    frequencies: Tensor

    def __init__(self, *, base: float, levels: int) -> None:
        super().__init__()
        powers = base ** torch.arange(levels, dtype=torch.float64)
        self.register_buffer("frequencies", math.pi * powers, persistent=False)

    def forward(self, t: Tensor) -> Tensor:
        return fourier(t, self.frequencies)[:, :, None, None]


def build_encoding(embed: str, frames: int, grid: tuple[int, int]) -> nn.Module | None:
    """The encoding named ``embed``, or None for ``""``; raises `InputError` for an unknown name."""
    if not embed_width(embed):
        return None
    kind, _, rest = embed.partition("_")
    if kind == "pe":
        base, levels = rest.split("_")
        return TimeEncoding(base=float(base), levels=int(levels))
    t, x, y, below = _xyt(rest)
    return CoordinateEncoding(frames=frames, grid=grid, counts=(t, x, y), below=below)
