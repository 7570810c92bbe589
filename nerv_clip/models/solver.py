"""Choose an `Architecture` for a frame size and a model size: grid, strides and widths."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Collection, Iterator
from functools import lru_cache

import torch
from torch import nn

from nerv_clip.errors import InputError
from nerv_clip.models.config import Architecture, ModelConfig
from nerv_clip.models.encodings import embed_width
from nerv_clip.models.frame_encoder import ENCODER_STAGES
from nerv_clip.models.heads import HEADS
from nerv_clip.models.layers import ACTIVATIONS, NORMS, OUTPUT_ACTIVATIONS, UP_BLOCKS
from nerv_clip.models.nerv_clip import NeRVClip

TARGET_CELLS = 48  # of the stem's grid; this number scored best, see bench/results
GRID_SHARE = 0.3  # maximum share of the model size in temporal grids; long videos get fewer steps
MOTION_CELL = 8  # pixels; motion is smooth, and coarse cells learn larger motions
MAX_WIDTH = 4096


def decoder_parameters(model: NeRVClip) -> int:
    """Number of parameters needed to decode frames: all but the encoder's and the CLIP head's.

    A table of latents or of true embeddings counts as parameters.
    """
    total = _size(model) - _size(model.encoder) - head_parameters(model)
    return total + (model.table.values.numel() if model.table is not None else 0)


def head_parameters(model: NeRVClip) -> int:
    """Number of parameters of the heads that frames do not need: the CLIP head's, 0 without one."""
    return sum(_size(model.head(head.name)) for head in HEADS if not head.draws)


def _size(part: nn.Module | None) -> int:
    return 0 if part is None else sum(p.numel() for p in part.parameters())


@lru_cache(maxsize=4096)  # the app repeats its estimate whenever a flag changes
def count(arch: Architecture) -> int:
    """`decoder_parameters` of an architecture, without allocating memory for it."""
    with torch.device("meta"):
        return decoder_parameters(NeRVClip(arch))


def solve(
    config: ModelConfig, frames: int, train_frames: int, height: int, width: int
) -> Architecture:
    """The architecture of about ``config.modelsize`` million parameters for a video.

    The size is met within 2 % from 0.3 M upwards; below 0.3 M the result is the largest network
    that does not exceed it. Raises `InputError` if a field of ``config`` is out of range, or if
    one channel per stage already exceeds the model size.
    """
    _check(config)
    grid, strides, head = _shape(config, height, width)
    target = config.modelsize * 1e6
    base = Architecture(
        frames=frames,
        height=height,
        width=width,
        embed=config.embed,
        grid=grid,
        grids=_grid_steps(config, frames, grid),
        stem_width=config.stem_width,
        widths=(1,) * (len(strides) + 1),
        strides=strides,
        kernels=tuple(min(config.ks[1] + 2 * i, config.ks[2]) for i in range(len(strides))),
        blocks=config.num_blks[1],
        conv_type=config.conv_type[1],
        head_stride=head,
        head_kernel=3,
        norm=config.norm,
        act=config.act,
        out_bias=config.out_bias,
        table_steps=train_frames if config.enc_strds or config.clip_input else 0,
        enc_strides=config.enc_strds,
        enc_dim=_latent_width(config, train_frames, grid),
        enc_blocks=config.num_blks[0],
        enc_kernel=config.ks[0],
        enc_conv_type=config.conv_type[0],
        clip_dim=config.clip_dim if config.predict_clip else 0,
        clip_tap=config.clip_tap,
        clip_input=config.clip_dim if config.clip_input else 0,
    )
    if config.motion and train_frames > 1:
        tap = _motion_tap(strides, head)
        base = dataclasses.replace(base, motion_tap=tap, motion_steps=train_frames)
    if not 0 <= config.clip_tap <= len(strides):
        raise InputError(
            f"`clip_tap` {config.clip_tap}: this network has up-blocks 1 to {len(strides)} "
            "(0 taps the stem)"
        )
    return _trim(_widen(base, config, target), target)


def _widths(first: float, stages: int, reduce: float, lower: int) -> tuple[int, ...]:
    later = (max(round(first / reduce**i), lower) for i in range(1, stages + 1))
    return (max(round(first), 1), *later)


def _widen(base: Architecture, config: ModelConfig, target: float) -> Architecture:
    """The widest network that does not exceed ``target`` parameters.

    A bisection over the width of the stem, in eighths of a channel.
    """

    def at(eighths: int) -> Architecture:
        widths = _widths(eighths / 8, len(base.strides), config.reduce, config.lower_width)
        return dataclasses.replace(base, widths=widths)

    low, high = 8, 8 * MAX_WIDTH
    smallest = count(at(low))
    if smallest > target:
        raise InputError(
            f"`modelsize` {config.modelsize}: too small for any width; the smallest network for "
            f"this video and these options has {smallest / 1e6:.4f} M parameters"
        )
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if count(at(middle)) <= target else (low, middle - 1)
    if low == 8 * MAX_WIDTH:
        raise InputError(
            f"`modelsize` {config.modelsize}: too large; the widest network for this video and "
            f"these options has {count(at(low)) / 1e6:.0f} M parameters"
        )
    return at(low)


def _trim(arch: Architecture, target: float) -> Architecture:
    """Add single channels, last stage first, as long as ``target`` is not exceeded."""
    for stage in reversed(range(len(arch.widths))):
        while True:
            widths = list(arch.widths)
            widths[stage] += 1
            wider = dataclasses.replace(arch, widths=tuple(widths))
            if widths[stage] > 1.1 * arch.widths[stage] + 1 or count(wider) > target:
                break
            arch = wider
    return arch


def _grid_steps(
    config: ModelConfig, frames: int, grid: tuple[int, int]
) -> tuple[tuple[int, int], ...]:
    """(steps, channels) of the temporal grids, scaled down to `GRID_SHARE` of the model size."""
    if config.embed.startswith("pe") or not config.embed:
        return ()
    cells = math.prod(grid)
    wanted = sum(share * frames * channels * cells for share, channels in config.grids)
    scale = min(1.0, GRID_SHARE * config.modelsize * 1e6 / wanted) if wanted else 1.0
    minimum = min(frames, 2)
    return tuple(
        (max(round(frames * f * scale), minimum), channels) for f, channels in config.grids
    )


def _latent_width(config: ModelConfig, train_frames: int, grid: tuple[int, int]) -> tuple[int, int]:
    """Encoder width and latent channels.

    As in HNeRV, a second number of ``enc_dim`` below 1 is the share of the model size that all
    latents together take.
    """
    if not config.enc_strds:
        return (0, 0)
    inner, latent = config.enc_dim
    if latent < 1:
        latent = latent * config.modelsize * 1e6 / train_frames / math.prod(grid)
    if latent < 1:
        raise InputError(
            f"`enc_dim` {inner}_{config.enc_dim[1]} leaves no latent channel at this model size: "
            "raise its second number"
        )
    return inner, int(latent)


def _shape(
    config: ModelConfig, height: int, width: int
) -> tuple[tuple[int, int], tuple[int, ...], int]:
    """The stem's grid, the strides of the up-blocks and that of the RGB head, for a frame size.

    What ``config`` leaves open is chosen by `_cost`.
    """
    if config.enc_strds and config.dec_strds is None:
        options: Iterator[tuple[tuple[int, ...], int]] = iter([(config.enc_strds, 1)])
    elif config.dec_strds is not None:
        options = iter([(config.dec_strds, config.head_strd or 1)])
    else:
        options = _stride_options(config.head_strd or _head(height * width, config.head_cells))
    best = min(
        (
            (_cost(height, width, strides, head, config.grid), strides, head)
            for strides, head in options
        ),
        key=lambda item: (item[0], len(item[1]), item[1]),
    )
    _, strides, head = best
    scale = math.prod(strides) * head
    grid = config.grid or (math.ceil(height / scale), math.ceil(width / scale))
    if grid[0] * scale < height or grid[1] * scale < width:
        raise InputError(
            f"`grid` {grid[0]}_{grid[1]} and `dec_strds` {' '.join(map(str, strides))} draw "
            f"{grid[0] * scale}x{grid[1] * scale}, less than the frame's {height}x{width}: "
            "raise one of them, or leave both out"
        )
    plain = bool(config.enc_strds) and config.conv_type[0] != "convnext"
    if plain and config.norm == "in" and grid == (1, 1):
        raise InputError("`norm` in needs more than the single cell that `enc_strds` leave")
    if config.enc_strds and math.prod(config.enc_strds) != scale:
        raise InputError(
            f"`enc_strds` divide by {math.prod(config.enc_strds)} but the decoder multiplies by "
            f"{scale}: give `enc_strds` and `dec_strds` the same product"
        )
    return grid, strides, head


def _motion_tap(strides: tuple[int, ...], head: int) -> int:
    """The first up-block whose cells are at most `MOTION_CELL` pixels wide, or the last."""
    blocks = range(1, len(strides) + 1)
    fine = (i for i in blocks if math.prod(strides[i:]) * head <= MOTION_CELL)
    return next(fine, len(strides))


def _head(pixels: int, cells: int) -> int:
    """The stride of the RGB head: the smallest of 1 and 2 with at most ``cells`` cells, or 4."""
    return next((head for head in (1, 2) if pixels <= cells * head**2), 4)


def _stride_options(head: int) -> Iterator[tuple[tuple[int, ...], int]]:
    """All non-increasing strides of 5, 4, 3 and 2 (as in HNeRV), for up to six up-blocks."""
    for length in range(1, 7):
        for strides in itertools.combinations_with_replacement((5, 4, 3, 2), length):
            yield strides, head


def _cost(
    height: int, width: int, strides: tuple[int, ...], head: int, grid: tuple[int, int] | None
) -> float:
    """The cost of strides: wasted padding, distance from `TARGET_CELLS`, late up-sampling."""
    scale = math.prod(strides) * head
    rows, columns = math.ceil(height / scale), math.ceil(width / scale)
    if grid is not None:
        covers = grid[0] * scale >= height and grid[1] * scale >= width
        return grid[0] * grid[1] * scale**2 / (height * width) if covers else math.inf
    waste = rows * columns * scale**2 / (height * width) - 1
    late = sum(math.ldexp(math.log2(s), -i) for i, s in enumerate(reversed(strides)))  # slow
    return 2 * waste + 0.2 * abs(math.log2(rows * columns / TARGET_CELLS)) + 0.02 * late


def _check(config: ModelConfig) -> None:
    """Raise `InputError` for unknown names, values out of range, and fields that conflict."""
    _check_names(config)
    _check_ranges(config)
    if config.enc_strds and config.head_strd and not config.dec_strds:
        raise InputError("`head_strd` with `enc_strds` needs `dec_strds`, with the same product")
    if not config.embed and not config.enc_strds:
        raise InputError("`embed` '' needs `enc_strds`: without coordinates, latents are the input")
    if config.clip_input and config.predict_clip:
        raise InputError("`clip_input` and `predict_clip` exclude each other: choose one")
    if config.clip_input and config.enc_strds:
        raise InputError("`clip_input` takes no encoder: leave out `enc_strds`")


def _check_names(config: ModelConfig) -> None:
    known: list[tuple[str, str, Collection[str]]] = [
        ("act", config.act, ACTIVATIONS),
        ("norm", config.norm, NORMS),
        ("conv_type", config.conv_type[0], ENCODER_STAGES),
        ("conv_type", config.conv_type[1], UP_BLOCKS),
    ]
    for field, value, names in known:
        if value not in names:
            raise InputError(f"`{field}` {value} is unknown: choose from {', '.join(names)}")
    if config.out_bias not in OUTPUT_ACTIVATIONS:
        try:
            float(config.out_bias)
        except ValueError:
            raise InputError(
                f"`out_bias` {config.out_bias}: give tanh, sigmoid or a number"
            ) from None
    embed_width(config.embed)


def _check_ranges(config: ModelConfig) -> None:
    positive = {
        "modelsize": config.modelsize,
        "lower_width": config.lower_width,
        "stem_width": config.stem_width,
        "head_cells": config.head_cells,
        "enc_dim": min(config.enc_dim),
        "num_blks": min(config.num_blks),
        "ks": min(config.ks[1:]),
        "dec_strds": min(config.dec_strds or (1,)),
        "enc_strds": min(config.enc_strds or (1,)),
        "clip_dim": config.clip_dim if config.predict_clip or config.clip_input else 1,
    }
    for field, number in positive.items():
        if not number > 0 or not math.isfinite(number):
            raise InputError(f"`{field}` {number} is out of range: give more than 0")
    kernels = "_".join(map(str, config.ks))
    if config.ks[0] < 0:
        raise InputError(f"`ks` {kernels}: the encoder's kernel must be 0 or more")
    if any(kernel % 2 == 0 for kernel in config.ks[1:]):
        raise InputError(f"`ks` {kernels}: the decoder's kernels must be odd")
    if not 0.5 <= config.reduce <= 10:
        raise InputError(f"`reduce` {config.reduce} is out of range: 0.5 to 10")
    if not math.isfinite(config.enc_dim[1]):
        raise InputError(f"`enc_dim` {config.enc_dim[1]} is out of range: give a finite number")
