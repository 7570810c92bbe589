"""Solve a model size for a video: from a `ModelConfig` to the `Architecture` of its networks."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from nerv_clip.errors import InputError
from nerv_clip.models.config import Architecture, ModelConfig, least_steps
from nerv_clip.models.heads import HEADS, Shape
from nerv_clip.models.parameters import count
from nerv_clip.models.segments import Segment, VideoArchitecture
from nerv_clip.models.shape import choose_shape
from nerv_clip.models.sharing import divide
from nerv_clip.models.validation import check_config
from nerv_clip.video.shots import Shots

GRID_SHARE = 0.3  # maximum share of the model size in temporal grids; long videos get fewer steps
MAX_WIDTH = 4096


def solve_video(
    config: ModelConfig, shots: Shots, train: Sequence[int], height: int, width: int
) -> VideoArchitecture:
    """The networks of about ``config.modelsize`` million parameters in all for a video.

    ``train`` are the indices of the train frames, increasing. A video of one shot of at most
    ``config.segment_frames`` frames is drawn by one network, otherwise
    `nerv_clip.models.sharing.divide` makes segments. Raises `InputError` as `solve`.
    """
    check_config(config)
    segments = []
    for first, after, seen, size in divide(shots, train, config.modelsize, config.segment_frames):
        own = [i for i in train if first <= i < seen]
        cuts = shots.part(first, seen).firsts[1:]
        part = dataclasses.replace(config, modelsize=size)
        network = solve(part, seen - first, len(own), height, width, cuts)
        segments.append(Segment(first=first, frames=after - first, network=network))
    video = VideoArchitecture(
        frames=shots.frames,
        height=height,
        width=width,
        shots=shots.firsts,
        segments=tuple(segments),
    )
    video.check()
    return video


def solve(
    config: ModelConfig,
    frames: int,
    train_frames: int,
    height: int,
    width: int,
    cuts: tuple[int, ...] = (),
) -> Architecture:
    """The architecture of about ``config.modelsize`` million parameters for ``frames`` frames.

    The size is met within 2 % from 0.3 M upwards; below 0.3 M the result is the largest network
    that does not exceed it. ``cuts`` are the first frames of all shots but the first. Raises
    `InputError` if a field of ``config`` is out of range, or if one channel per stage already
    exceeds the model size.
    """
    check_config(config)
    grid, strides, head_stride = choose_shape(config, height, width)
    shape = Shape(grid, strides, head_stride, train_frames)
    target = config.modelsize * 1e6
    base = Architecture(
        frames=frames,
        height=height,
        width=width,
        embed=config.embed,
        grid=grid,
        grids=_grid_steps(config, frames, cuts, grid),
        stem_width=config.stem_width,
        widths=(1,) * (len(strides) + 1),
        strides=strides,
        kernels=tuple(min(config.ks[1] + 2 * i, config.ks[2]) for i in range(len(strides))),
        blocks=config.num_blks[1],
        conv_type=config.conv_type[1],
        head_stride=head_stride,
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
        clip_input=config.clip_dim if config.clip_input else 0,
        cuts=cuts,
        **{name: n for head in HEADS for name, n in head.solve(config, shape).items()},
    )
    solved = _trim(_widen(base, config, target), target)
    solved.check()  # what is trained can be read
    return solved


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
            f"`modelsize` {config.modelsize}: too small for any width; give at least "
            f"{smallest / 1e6:.4f}, the smallest network for this video and these options"
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
    config: ModelConfig, frames: int, cuts: tuple[int, ...], grid: tuple[int, int]
) -> tuple[tuple[int, int], ...]:
    """(steps, channels) of the temporal grids, scaled down to `GRID_SHARE` of the model size."""
    if config.embed.startswith("pe") or not config.embed:
        return ()
    cells = math.prod(grid)
    wanted = sum(share * frames * channels * cells for share, channels in config.grids)
    scale = min(1.0, GRID_SHARE * config.modelsize * 1e6 / wanted) if wanted else 1.0
    minimum = least_steps(frames, cuts)
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
