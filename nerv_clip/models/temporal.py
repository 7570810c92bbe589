"""Values that are stored at some times of a video and interpolated in between, within a shot."""

from __future__ import annotations

import heapq
from functools import lru_cache
from itertools import accumulate, pairwise

import torch
from torch import Tensor, nn


def lerp_in_time(values: Tensor, position: Tensor) -> Tensor:
    """Linear interpolation between the rows of a tensor.

    ``values`` has shape (L, …); ``position`` (B,) holds fractional row indices in [0, L - 1].
    Returns (B, …).
    """
    low = position.floor().long().clamp(0, max(len(values) - 2, 0))
    high = (low + 1).clamp(max=len(values) - 1)
    weight = (position - low).to(values.dtype).view(-1, *[1] * (values.dim() - 1))
    return torch.lerp(values[low], values[high], weight)


class ShotIndex:
    """Where the shots of a video of ``frames`` frames are.

    ``cuts`` are the first frames of all shots but the first. ``lengths`` are the frames of each
    shot, ``ends`` its first and its last frame. Numbers are kept as plain integers, because a
    network without memory has no tensors.
    """

    def __init__(self, frames: int, cuts: tuple[int, ...]) -> None:
        self.frames, self.firsts = frames, (0, *cuts)
        self.ends = [(a, b - 1) for a, b in pairwise((*self.firsts, frames))]
        self.lengths = tuple(last - first + 1 for first, last in self.ends)

    def of(self, t: Tensor) -> Tensor:
        """The shot of each time: (B,) in [0, 1] to (B,), int64, counted from 0.

        A time between two frames belongs to the nearer one, half way to the later.
        """
        frame = (t.double() * (self.frames - 1) + 0.5).floor().long()
        return torch.bucketize(frame, torch.tensor(self.firsts[1:], device=t.device), right=True)

    def steps(self, t: Tensor, steps: int) -> Tensor:
        """The fractional step (B,) of each time, if ``steps`` are shared by `share_steps`.

        A shot's first step is at its first frame, its last one at its last frame.
        """
        shared = share_steps(steps, self.lengths)
        before = [*accumulate(shared, initial=0)][:-1]
        spacing = [
            (count - 1) / max(length - 1, 1)
            for count, length in zip(shared, self.lengths, strict=True)
        ]
        rows = list(zip(self.firsts, before, spacing, strict=True))
        table = torch.tensor(rows, dtype=torch.float64, device=t.device)
        first, start, density = table[self.of(t)].unbind(1)
        return start + (t.double() * (self.frames - 1) - first) * density


@lru_cache(maxsize=256)
def share_steps(steps: int, lengths: tuple[int, ...]) -> tuple[int, ...]:
    """``steps`` shared among shots of ``lengths`` frames, in proportion to them.

    Each shot gets at least two steps, or one if it has one frame, as far as there are enough: the
    rest goes one by one to the shot with the most frames a step.

    >>> share_steps(10, (30, 10, 1))
    (7, 2, 1)
    """
    shared = [min(length, 2) for length in lengths]
    queue = [
        (-length / count, shot)
        for shot, (length, count) in enumerate(zip(lengths, shared, strict=True))
    ]
    heapq.heapify(queue)
    for _ in range(steps - sum(shared)):
        _, shot = queue[0]
        shared[shot] += 1
        heapq.heapreplace(queue, (-lengths[shot] / shared[shot], shot))
    return tuple(shared)


class TemporalGrid(nn.Module):
    """Learned features at ``steps`` times, linearly interpolated in between.

    Shapes: ``t`` (B,) in [0, 1] to (B, channels, h, w), where (h, w) is ``grid``. With fewer steps
    than frames, a held-out frame lies between trained steps. The idea is FFNeRV's
    multi-resolution temporal grid (arXiv 2212.12294). The steps are equally spaced; in a video
    with ``shots``, each shot has steps of its own (`share_steps`).
    """

    def __init__(
        self,
        *,
        steps: int,
        channels: int,
        grid: tuple[int, int],
        shots: ShotIndex | None = None,
    ) -> None:
        super().__init__()
        self.shots = shots
        self.values = nn.Parameter(0.1 * torch.randn(steps, channels, *grid))

    def forward(self, t: Tensor) -> Tensor:
        steps = len(self.values)
        place = t * (steps - 1) if self.shots is None else self.shots.steps(t, steps)
        return lerp_in_time(self.values, place)


class FrameTable(nn.Module):
    """A table with one entry per train frame, linearly interpolated in time.

    It stores the latents (C, h, w) of an encoder run, or the true embeddings (C, 1, 1) that a
    ``clip_input`` network takes as input. At the time of a held-out frame the two neighbouring
    train frames of its shot are interpolated (before the first or after the last one: the
    nearest), so the content of a held-out frame never enters the table.

    Buffers: ``times`` (L,) float64, increasing, in [0, 1]; ``values`` (L, *shape). ``shots`` is the
    `ShotIndex` of a video with cuts.
    """

    times: Tensor
    values: Tensor

    def __init__(
        self, *, steps: int, shape: tuple[int, ...], shots: ShotIndex | None = None
    ) -> None:
        super().__init__()
        self.shots = shots
        self.register_buffer("times", torch.linspace(0, 1, steps, dtype=torch.float64))
        self.register_buffer("values", torch.zeros(steps, *shape))

    def fill(self, times: Tensor, values: Tensor) -> None:
        """Replace the content; ``times`` (L,) may be in any order, ``values`` is (L, *shape)."""
        order = times.argsort()
        self.times.copy_(times[order])
        self.values.copy_(values[order])

    def forward(self, t: Tensor) -> Tensor:
        t = t.to(self.times.dtype)
        first, last = self._entries(t)
        high = torch.searchsorted(self.times, t).maximum(first + 1).minimum(last)
        low = (high - 1).maximum(first)
        gap = (self.times[high] - self.times[low]).clamp(min=1e-12)
        position = low + ((t - self.times[low]) / gap).clamp(0, 1)
        return lerp_in_time(self.values, position)

    def _entries(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """The first and the last entry of the shot of each time, (B,) each."""
        if self.shots is None:
            first = torch.zeros_like(t, dtype=torch.int64)
            return first, first + len(self.times) - 1
        entries, shots = self.shots.of(self.times), self.shots.of(t)
        first = torch.searchsorted(entries, shots).clamp(max=len(entries) - 1)
        return first, (torch.searchsorted(entries, shots, right=True) - 1).maximum(first)
