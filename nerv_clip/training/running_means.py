"""Means of named values over the steps of an epoch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from nerv_clip.training.distributed import Workers


class RunningMeans:
    """Sums scalars by name, in float64, on their device, so adding does not wait for a GPU."""

    def __init__(self) -> None:
        self.sums: dict[str, Tensor] = {}
        self.counts: dict[str, int] = {}

    def add(self, values: Mapping[str, Tensor], weight: float = 1.0) -> None:
        """Add one step's scalars, multiplied by ``weight``."""
        for name, value in values.items():
            addend = (weight * value.detach()).double()
            self.sums[name] = self.sums[name] + addend if name in self.sums else addend
            self.counts[name] = self.counts.get(name, 0) + 1

    def compute(self, workers: Workers) -> dict[str, float]:
        """The means over the steps in which each value was added, and over the processes."""
        means = torch.stack([total / self.counts[name] for name, total in self.sums.items()])
        workers.average(means)
        return dict(zip(self.sums, means.tolist(), strict=True))

    def reset(self) -> None:
        """Forget all values."""
        self.sums, self.counts = {}, {}

    def state(self) -> dict[str, Any]:
        """Sums and counts, as tensors and plain values."""
        return {"sums": self.sums, "counts": self.counts}

    def restore(self, state: Mapping[str, Any], device: torch.device) -> None:
        """The inverse of `state`."""
        self.sums = {name: value.to(device) for name, value in state["sums"].items()}
        self.counts = dict(state["counts"])
