"""Motion: what lies between train frames is drawn by moving them.

A network that fits its train frames well need not draw what lies between them: with a latent
halfway, things that move appear twice, faded. So the network also learns where each pixel comes
from in the train frames before and after (warping neighbours is FFNeRV's idea, arXiv 2212.12294;
a velocity and an acceleration that are taken over the time to the neighbour, and so need no
held-out frame in training, are ours).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SAME = 1e-9  # times this near are one


class MotionHead(nn.Sequential):
    """Features (B, width, h, w) to motion (B, 5, h, w); starts with none anywhere.

    Channels: velocity, in pixels to the right and downwards a frame; acceleration, the same a
    frame squared; and the log-odds of the neighbour before.
    """

    def __init__(self, width: int, hidden: int = 16) -> None:
        last = nn.Conv2d(hidden, 5, 3, padding=1)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)  # type: ignore[arg-type]
        super().__init__(nn.Conv2d(width, hidden, 1), nn.GELU(), last)


class Neighbours(NamedTuple):
    """Of B times: places (B,) in the train times before and after, and how far they are.

    ``before`` and ``after`` (B,), int64; ``gaps`` (B, 2) in the unit of the times, negative and
    positive. At an end the one neighbour is both. ``exact`` (B,) says which times are train times,
    and ``own`` (B,) at which place.
    """

    before: Tensor
    after: Tensor
    gaps: Tensor
    exact: Tensor
    own: Tensor


def neighbours(train: Tensor, t: Tensor) -> Neighbours:
    """The train times (L,), rising, before and after each of ``t`` (B,), itself left out.

    L must be 2 or more.
    """
    own = torch.searchsorted(train, t - SAME)
    before = own - 1
    after = torch.searchsorted(train, t + SAME)
    exact = after - before > 1
    first, last = before < 0, after >= len(train)
    before = torch.where(first, after, before).clamp(max=len(train) - 1)
    after = torch.where(last, before, after)
    gaps = torch.stack([train[before] - t, train[after] - t], dim=1)
    return Neighbours(before, after, gaps, exact, own)


def moved(
    motion: Tensor, before: Tensor, after: Tensor, gaps: Tensor, padded: tuple[int, int]
) -> Tensor:
    """Frames (B, 3, H, W) made of both neighbours (B, 3, H, W), each moved to where it would be.

    ``motion`` (B, 5, h, w) as `MotionHead` gives it, over the ``padded`` size that was cropped to
    (H, W); ``gaps`` (B, 2) in frames. Without motion and log-odds that is the blend of the
    neighbours by their distance.
    """
    motion = F.interpolate(motion, size=padded, mode="bilinear")
    motion = motion[..., : before.shape[-2], : before.shape[-1]]
    velocity, acceleration, odds = motion[:, :2], motion[:, 2:4], motion[:, 4:]
    ahead = gaps.abs().clamp(min=SAME).log()
    share = torch.sigmoid(odds + (ahead[:, 1] - ahead[:, 0]).to(odds)[:, None, None, None])
    ends = []
    for frames, gap in zip((before, after), gaps.to(odds).unbind(1), strict=True):
        far = gap[:, None, None, None]
        ends.append(warp(frames, velocity * far + acceleration * far**2))
    return torch.lerp(ends[1], ends[0], share)


def warp(frames: Tensor, shift: Tensor) -> Tensor:
    """Frames (B, C, H, W) read at each pixel's place plus ``shift`` (B, 2, H, W), in pixels.

    Cubic between pixels, as a linear warp blurs what it moves; beyond an edge that is repeated.
    """
    height, width = frames.shape[-2:]
    y = torch.arange(height, device=frames.device) + 0.5
    x = torch.arange(width, device=frames.device) + 0.5
    across = (x + shift[:, 0]) * (2 / width) - 1
    down = (y[:, None] + shift[:, 1]) * (2 / height) - 1
    places = torch.stack([across, down], dim=-1)
    return F.grid_sample(frames, places, "bicubic", padding_mode="border", align_corners=False)
