"""From a frame size and a model size to an `Architecture`: grid, strides and widths solved."""

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

CELLS = 48  # a stem of about this many cells did best, see bench/results
GRID_SHARE = 0.3  # of the model size, at most, in temporal grids: a long video has fewer steps
MOTION_CELL = 8  # pixels: motion is smooth, and a coarse cell learns it over a longer way
MAX_WIDTH = 4096


def decoder_parameters(model: NeRVClip) -> int:
    """Parameters that a decoder needs to play the video: all but the encoder and the CLIP head.

    The table of latents or of true embeddings is counted with them.
    """
    total = _size(model) - _size(model.encoder) - head_parameters(model)
    return total + (model.table.values.numel() if model.table is not None else 0)


def head_parameters(model: NeRVClip) -> int:
    """Parameters of the heads that no frame needs: the CLIP head's, 0 without one."""
    return sum(_size(model.head(head.name)) for head in HEADS if not head.draws)


def _size(part: nn.Module | None) -> int:
    return 0 if part is None else sum(p.numel() for p in part.parameters())


@lru_cache(maxsize=4096)  # the app estimates again at each change of a flag
def count(arch: Architecture) -> int:
    """`decoder_parameters` of an architecture, without allocating it."""
    with torch.device("meta"):
        return decoder_parameters(NeRVClip(arch))


def solve(
    config: ModelConfig, frames: int, train_frames: int, height: int, width: int
) -> Architecture:
    """The architecture that spends ``config.modelsize`` on a video.

    From 0.3 M up the result is within 2 % of the size asked for; below that it is the nearest
    that does not exceed it. Raises `InputError` where a flag is out of range, or where even one
    channel a stage is more than the size asked for.
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
            f"--clip_tap {config.clip_tap}: this network has up-blocks 1 to {len(strides)} "
            "(0 taps the stem)"
        )
    return _trim(_widen(base, config, target), target)


def _widths(first: float, stages: int, reduce: float, lower: int) -> tuple[int, ...]:
    later = (max(round(first / reduce**i), lower) for i in range(1, stages + 1))
    return (max(round(first), 1), *later)


def _widen(base: Architecture, config: ModelConfig, target: float) -> Architecture:
    """The widest real-valued first width, in eighths, whose network does not exceed ``target``."""

    def at(eighths: int) -> Architecture:
        widths = _widths(eighths / 8, len(base.strides), config.reduce, config.lower_width)
        return dataclasses.replace(base, widths=widths)

    low, high = 8, 8 * MAX_WIDTH
    smallest = count(at(low))
    if smallest > target:
        raise InputError(
            f"--modelsize {config.modelsize}: too small for any width; the smallest network for "
            f"this video and these flags has {smallest / 1e6:.4f} M parameters"
        )
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if count(at(middle)) <= target else (low, middle - 1)
    if low == 8 * MAX_WIDTH:
        raise InputError(
            f"--modelsize {config.modelsize}: too large; the widest network for this video and "
            f"these flags has {count(at(low)) / 1e6:.0f} M parameters"
        )
    return at(low)


def _trim(arch: Architecture, target: float) -> Architecture:
    """Single channels added, last stages first, while the network stays within ``target``."""
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
    if config.embed.startswith("pe") or not config.embed:
        return ()
    cells = math.prod(grid)
    wanted = sum(share * frames * channels * cells for share, channels in config.grids)
    scale = min(1.0, GRID_SHARE * config.modelsize * 1e6 / wanted) if wanted else 1.0
    least = min(frames, 2)
    return tuple((max(round(frames * f * scale), least), channels) for f, channels in config.grids)


def _latent_width(config: ModelConfig, train_frames: int, grid: tuple[int, int]) -> tuple[int, int]:
    """HNeRV's ``--enc_dim a_b``: b below 1 is the share of the model size spent on latents."""
    if not config.enc_strds:
        return (0, 0)
    inner, latent = config.enc_dim
    if latent < 1:
        latent = latent * config.modelsize * 1e6 / train_frames / math.prod(grid)
    if latent < 1:
        raise InputError(
            f"--enc_dim {inner}_{config.enc_dim[1]} leaves no latent channel at this model size: "
            "make its second number larger"
        )
    return inner, int(latent)


def _shape(
    config: ModelConfig, height: int, width: int
) -> tuple[tuple[int, int], tuple[int, ...], int]:
    """The stem's grid, the up-blocks' strides and the RGB head's stride for a frame size.

    What the flags leave open is chosen by the area that padding wastes and by how far the grid is
    from `CELLS` cells.
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
            f"--fc_hw {grid[0]}_{grid[1]} and --dec_strds {' '.join(map(str, strides))} draw "
            f"{grid[0] * scale}x{grid[1] * scale}, less than the frame's {height}x{width}: "
            "raise one of them, or leave both out"
        )
    plain = bool(config.enc_strds) and config.conv_type[0] != "convnext"
    if plain and config.norm == "in" and grid == (1, 1):
        raise InputError("--norm in needs more than the one cell that --enc_strds leave")
    if config.enc_strds and math.prod(config.enc_strds) != scale:
        raise InputError(
            f"--enc_strds divide by {math.prod(config.enc_strds)} but the decoder multiplies by "
            f"{scale}: give --enc_strds and --dec_strds the same product"
        )
    return grid, strides, head


def _motion_tap(strides: tuple[int, ...], head: int) -> int:
    """The first up-block whose cells are `MOTION_CELL` pixels wide or less, or the last."""
    places = range(1, len(strides) + 1)
    fine = (i for i in places if math.prod(strides[i:]) * head <= MOTION_CELL)
    return next(fine, len(strides))


def _head(pixels: int, cells: int) -> int:
    """The least up-sampling in the RGB head, 1, 2 or 4, that leaves it so few cells, or 4."""
    return next((head for head in (1, 2) if pixels <= cells * head**2), 4)


def _stride_options(head: int) -> Iterator[tuple[tuple[int, ...], int]]:
    """Falling strides of 5, 4, 3, 2, as HNeRV's, before the head's."""
    for length in range(1, 7):
        for strides in itertools.combinations_with_replacement((5, 4, 3, 2), length):
            yield strides, head


def _cost(
    height: int, width: int, strides: tuple[int, ...], head: int, grid: tuple[int, int] | None
) -> float:
    scale = math.prod(strides) * head
    rows, columns = math.ceil(height / scale), math.ceil(width / scale)
    if grid is not None:
        covers = grid[0] * scale >= height and grid[1] * scale >= width
        return grid[0] * grid[1] * scale**2 / (height * width) if covers else math.inf
    waste = rows * columns * scale**2 / (height * width) - 1
    late = sum(math.ldexp(math.log2(s), -i) for i, s in enumerate(reversed(strides)))  # slow
    return 2 * waste + 0.2 * abs(math.log2(rows * columns / CELLS)) + 0.02 * late


def _check(config: ModelConfig) -> None:
    """Raise `InputError` for values that no network has."""
    known: list[tuple[str, str, Collection[str]]] = [
        ("--act", config.act, ACTIVATIONS),
        ("--norm", config.norm, NORMS),
        ("--conv_type", config.conv_type[0], ENCODER_STAGES),
        ("--conv_type", config.conv_type[1], UP_BLOCKS),
    ]
    for flag, value, names in known:
        if value not in names:
            raise InputError(f"{flag} {value} is unknown: choose from {', '.join(names)}")
    if config.out_bias not in OUTPUT_ACTIVATIONS:
        try:
            float(config.out_bias)
        except ValueError:
            raise InputError(
                f"--out_bias {config.out_bias}: give tanh, sigmoid or a number"
            ) from None
    positive = {
        "--modelsize": config.modelsize,
        "--lower_width": config.lower_width,
        "--stem_width": config.stem_width,
        "--head_cells": config.head_cells,
        "--enc_dim": min(config.enc_dim),
        "--num_blks": min(config.num_blks),
        "--ks": min(config.ks[1:]),
        "--dec_strds": min(config.dec_strds or (1,)),
        "--enc_strds": min(config.enc_strds or (1,)),
        "--clip_dim": config.clip_dim if config.predict_clip or config.clip_input else 1,
    }
    for flag, number in positive.items():
        if not number > 0 or not math.isfinite(number):
            raise InputError(f"{flag}: {number} is out of range, give more than 0")
    if config.ks[0] < 0:
        raise InputError(f"--ks {'_'.join(map(str, config.ks))}: give the encoder 0 or more")
    if any(kernel % 2 == 0 for kernel in config.ks[1:]):
        raise InputError(f"--ks {'_'.join(map(str, config.ks))}: give the decoder odd kernels")
    if not 0.5 <= config.reduce <= 10:
        raise InputError(f"--reduce {config.reduce} is out of range: 0.5 to 10")
    if not math.isfinite(config.enc_dim[1]):
        raise InputError(f"--enc_dim {config.enc_dim[1]} is out of range: give a finite number")
    if config.enc_strds and config.head_strd and not config.dec_strds:
        raise InputError("--head_strd beside --enc_strds needs --dec_strds, with the same product")
    if not config.embed and not config.enc_strds:
        raise InputError("--embed '' needs --enc_strds: without coordinates, latents are the input")
    if config.clip_input and config.predict_clip:
        raise InputError("--clip_input and --predict_clip exclude each other: pick one")
    if config.clip_input and config.enc_strds:
        raise InputError("--clip_input takes no encoder: leave out --enc_strds")
    embed_width(config.embed)
