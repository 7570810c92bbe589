"""Motion compensation: a frame between train frames is made by warping its two neighbours.

A network that fits its train frames well need not draw the frames between them: at an intermediate
latent, moving objects appear twice, faded. So a head (`nerv_clip.models.heads.MotionHead`) also
predicts where each pixel lies in the train frames before and after. Warping neighbouring frames is
FFNeRV's idea (arXiv 2212.12294). Ours is to predict a velocity and an acceleration, which are
multiplied by the time to the neighbour and therefore need no held-out frame in training.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from nerv_clip.models.temporal import ShotIndex

MAP_POINTS = 3  # points a cell along each side where maps are warped
SAME_TIME = 1e-9  # times that differ by less are equal


class Neighbours(NamedTuple):
    """The train frames before and after B times.

    ``before`` and ``after`` (B,), int64, are indices into the train times; at either end of a shot
    both are the one neighbour that exists, and for the only train frame of a shot both are that
    frame itself. ``gaps`` (B, 2) are the neighbours' times minus
    the time itself, in units of t. ``exact`` (B,), bool, is True where the time is a train time;
    ``own`` (B,), int64, is its index there and meaningless elsewhere.
    """

    before: Tensor
    after: Tensor
    gaps: Tensor
    exact: Tensor
    own: Tensor


def neighbours(train: Tensor, t: Tensor, shots: ShotIndex | None = None) -> Neighbours:
    """The train times before and after each time in the same shot, excluding the time itself.

    ``train`` (L,) is increasing, with L >= 2; ``t`` is (B,). Without ``shots`` all is one shot.
    """
    own = torch.searchsorted(train, t - SAME_TIME)
    before = own - 1
    after = torch.searchsorted(train, t + SAME_TIME)
    exact = after - before > 1
    first, last = before < 0, after >= len(train)
    if shots is not None:
        among, shot = shots.of(train), shots.of(t)
        first |= among[before.clamp(min=0)] != shot
        last |= among[after.clamp(max=len(train) - 1)] != shot
    alone = torch.where(last, own, after)
    before = torch.where(first, alone, before).clamp(0, len(train) - 1)
    after = torch.where(last, before, after)
    gaps = torch.stack([train[before] - t, train[after] - t], dim=1)
    return Neighbours(before, after, gaps, exact, own)


def warp_and_blend(
    motion: Tensor, before: Tensor, after: Tensor, gaps: Tensor, padded: tuple[int, int]
) -> Tensor:
    """Warp both neighbours to an intermediate time and blend them: (B, 3, H, W).

    ``motion`` (B, 5, h, w) is the output of `MotionHead`. It covers a frame of size ``padded``,
    of which the neighbours ``before`` and ``after``, (B, 3, H, W) each, are the top left crop.
    ``gaps`` (B, 2) are the times of the neighbours minus the intermediate time, in frames. With
    zero motion the result is the blend of the neighbours weighted by their distance in time.
    """
    motion = F.interpolate(motion, size=padded, mode="bilinear")
    motion = motion[..., : before.shape[-2], : before.shape[-1]]
    velocity, acceleration, log_odds = motion[:, :2], motion[:, 2:4], motion[:, 4:]
    log_gaps = gaps.abs().clamp(min=SAME_TIME).log()
    prior = (log_gaps[:, 1] - log_gaps[:, 0]).to(log_odds)[:, None, None, None]
    weight = torch.sigmoid(log_odds + prior)
    warped = []
    for frames, gap in zip((before, after), gaps.to(log_odds).unbind(1), strict=True):
        time = gap[:, None, None, None]
        warped.append(warp(frames, velocity * time + acceleration * time**2))
    return torch.lerp(warped[1], warped[0], weight)


def warp_and_blend_maps(
    motion: Tensor, before: Tensor, after: Tensor, gaps: Tensor, padded: tuple[int, int]
) -> Tensor:
    """As `warp_and_blend`, for maps (B, C, h, w) whose cells cover a frame of size ``padded``.

    A thing may move by less than a cell, so that the maps are warped on a finer grid, where all
    points of a cell are equal: without motion the result is the plain blend.
    """
    size = MAP_POINTS * before.shape[-2], MAP_POINTS * before.shape[-1]
    down, across = (fine / whole for fine, whole in zip(size, padded, strict=True))
    points = motion.new_tensor([across, down, across, down, 1])[:, None, None]  # a pixel each
    before, after = (F.interpolate(maps, size, mode="nearest") for maps in (before, after))
    return F.avg_pool2d(warp_and_blend(motion * points, before, after, gaps, size), MAP_POINTS)


def warp(frames: Tensor, shift: Tensor) -> Tensor:
    """Sample frames (B, C, H, W) at each pixel's position plus ``shift`` (B, 2, H, W), in pixels.

    Channel 0 of ``shift`` points to the right, channel 1 downwards. Sampling is bicubic, because
    bilinear sampling blurs; beyond the border the edge pixels are repeated.
    """
    height, width = frames.shape[-2:]
    y = torch.arange(height, device=frames.device) + 0.5
    x = torch.arange(width, device=frames.device) + 0.5
    across = (x + shift[:, 0]) * (2 / width) - 1
    down = (y[:, None] + shift[:, 1]) * (2 / height) - 1
    positions = torch.stack([across, down], dim=-1)
    return F.grid_sample(frames, positions, "bicubic", padding_mode="border", align_corners=False)
