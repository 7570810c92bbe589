"""What a training reports: every step, and every epoch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, kw_only=True)
class EpochResult:
    """A finished epoch: means over its steps.

    ``epoch`` counts from 1. ``losses`` has the terms of `nerv_clip.training.objectives` by name,
    without their weights, None in an epoch that does not train them; ``"total"`` is their weighted
    sum. ``psnr`` is that of the train frames as they were drawn, in dB; ``lr`` the learning rate of
    the last step; ``seconds`` the duration.
    """

    epoch: int
    losses: dict[str, float | None]
    psnr: float
    lr: float
    seconds: float

    def row(self) -> dict[str, float | None]:
        """As in ``history.csv``: ``epoch``, ``pixel_loss`` … ``total_loss``, ``psnr``, …."""
        losses = {f"{name}_loss": loss for name, loss in self.losses.items()}
        rest = {"psnr": self.psnr, "lr": self.lr, "seconds": self.seconds}
        return {"epoch": self.epoch, **losses, **rest}


class Step(NamedTuple):
    """A finished step: ``step`` of ``steps`` (from 1) in ``epoch`` (from 0), PSNR in dB."""

    epoch: int
    step: int
    steps: int
    psnr: float
