"""Heads: small modules that turn features of the decoder into something other than pixels.

`HEADS` has one row a head: its name, its size, where it taps the decoder, and how its module is
built. The solver and `NeRVClip` loop over this table. To add a head, write its module and a row
here, its settings in `nerv_clip.models.config` (and a flag for each), and a row for its loss in
`nerv_clip.training.objectives`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from nerv_clip.errors import InputError
from nerv_clip.models.config import Architecture, ModelConfig

MOTION_CELL = 8  # pixels; motion is smooth, and coarse cells learn larger motions
DENSE_ROWS = 12  # cells along the short side of a frame; the teacher sees about as many


class ClipHead(nn.Sequential):
    """Features to a CLIP embedding: (B, width, h, w) to (B, dim), not normalised."""

    def __init__(self, *, width: int, dim: int) -> None:
        super().__init__(
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(width, 2 * width),
            nn.ReLU(inplace=True),
            nn.Linear(2 * width, dim),
        )


class MotionHead(nn.Sequential):
    """Features (B, width, h, w) to motion (B, 5, h, w), zero at initialisation.

    Channels 0 and 1 are the velocity to the right and downwards, in pixels per frame; channels 2
    and 3 the acceleration, in pixels per frame squared; channel 4 is the log-odds of the train
    frame before against the one after. `nerv_clip.models.motion.warp_and_blend` uses them.
    """

    def __init__(self, *, width: int, hidden: int = 16) -> None:
        last = nn.Conv2d(hidden, 5, 3, padding=1)
        for parameter in last.parameters():
            nn.init.zeros_(parameter)
        super().__init__(nn.Conv2d(width, hidden, 1), nn.GELU(), last)


class DenseHead(nn.Sequential):
    """Features (B, width, h, w) to coefficients (B, rank, h, w) of an embedding for each cell.

    With its 3x3 convolution, frames lose less PSNR than with two 1x1 convolutions (docs/where.md).

    `expand` makes embeddings of them, by a ``basis`` of orthonormal rows (rank, dim). It is not
    trained: `nerv_clip.training.builder.build_network` or a checkpoint sets it.
    """

    def __init__(self, *, width: int, rank: int, dim: int, hidden: int = 48) -> None:
        super().__init__(
            nn.Conv2d(width, hidden, 3, padding=1), nn.GELU(), nn.Conv2d(hidden, rank, 1)
        )
        self.basis = nn.Parameter(torch.eye(rank, dim), requires_grad=False)

    def expand(self, coefficients: Tensor) -> Tensor:
        """Coefficients (B, rank, …) to unit embeddings (B, dim, …)."""
        return normalize(torch.einsum("rd,br...->bd...", self.basis, coefficients), dim=1)


class Shape(NamedTuple):
    """What a head's size may depend on: the decoder's shape, and the number of train frames.

    ``grid`` is the height and width of the stem's output.
    """

    grid: tuple[int, int]
    strides: tuple[int, ...]
    head_stride: int
    train_frames: int


@dataclass(frozen=True, kw_only=True)
class Head:
    """A row of `HEADS`.

    ``name`` is the key of the head's output in `Features`; its module is the submodule
    ``{name}_head`` of the network. ``solve`` gives the head's fields of the `Architecture`, none
    for a network without the head, and raises `InputError` for settings out of range. ``tap``
    gives the up-block whose output the head reads (0: the stem), or None for an architecture
    without this head. ``build`` makes the module from the architecture and the channels at the
    tap. ``draws`` says whether frames need the head: if so, its parameters count towards
    ``modelsize``.
    """

    name: str
    solve: Callable[[ModelConfig, Shape], dict[str, int]]
    tap: Callable[[Architecture], int | None]
    build: Callable[[Architecture, int], nn.Module]
    draws: bool = False


def _solve_clip(config: ModelConfig, shape: Shape) -> dict[str, int]:
    _check_tap("clip_tap", config.clip_tap, shape)
    return {"clip_dim": config.clip_dim, "clip_tap": config.clip_tap} if config.predict_clip else {}


def _solve_motion(config: ModelConfig, shape: Shape) -> dict[str, int]:
    if not config.motion or shape.train_frames < 2:
        return {}
    strides = shape.strides
    blocks = range(1, len(strides) + 1)
    sides = [math.prod(strides[i:]) * shape.head_stride for i in blocks]  # of cells, in pixels
    tap = _first([side <= MOTION_CELL for side in sides])
    return {"motion_tap": tap, "motion_steps": shape.train_frames}


def _solve_dense(config: ModelConfig, shape: Shape) -> dict[str, int]:
    if not config.predict_dense:
        return {}
    tap = config.dense_tap
    if tap is None:
        short, blocks = min(shape.grid), range(1, len(shape.strides) + 1)
        tap = _first([short * math.prod(shape.strides[:i]) >= DENSE_ROWS for i in blocks])
    _check_tap("dense_tap", tap, shape)
    rank = min(config.dense_rank, config.clip_dim)
    return {"dense_dim": config.clip_dim, "dense_rank": rank, "dense_tap": tap}


def _check_tap(name: str, tap: int, shape: Shape) -> None:
    if not 0 <= tap <= len(shape.strides):
        raise InputError(
            f"`{name}` {tap}: this network has up-blocks 1 to {len(shape.strides)} "
            "(0 taps the stem)"
        )


def _first(suited: list[bool]) -> int:
    """The first of the up-blocks, counted from 1, that suits, or the last."""
    return suited.index(True) + 1 if any(suited) else len(suited)


HEADS = (
    Head(
        name="clip",
        solve=_solve_clip,
        tap=lambda arch: arch.clip_tap if arch.clip_dim else None,
        build=lambda arch, width: ClipHead(width=width, dim=arch.clip_dim),
    ),
    Head(
        name="motion",
        solve=_solve_motion,
        tap=lambda arch: arch.motion_tap or None,
        build=lambda arch, width: MotionHead(width=width),
        draws=True,
    ),
    Head(
        name="dense",
        solve=_solve_dense,
        tap=lambda arch: arch.dense_tap if arch.dense_dim else None,
        build=lambda arch, width: DenseHead(width=width, rank=arch.dense_rank, dim=arch.dense_dim),
    ),
)


def head_taps(arch: Architecture) -> dict[str, int]:
    """The heads of an architecture: name to the up-block that it taps (0: the stem)."""
    taps = {head.name: head.tap(arch) for head in HEADS}
    return {name: tap for name, tap in taps.items() if tap is not None}
