"""What a training reports: every step, and every epoch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class EpochResult(NamedTuple):
    """A finished epoch: means over its steps.

    ``epoch`` counts from 1. ``pixel_loss``, ``clip_loss``, ``slerp_loss`` and ``motion_loss`` are
    the terms of `nerv_clip.training.objectives` without their weights, None in an epoch that does
    not train them; ``total_loss`` is their weighted sum. ``psnr`` is that of the train frames as
    they were drawn, in dB; ``lr`` the learning rate of the last step; ``seconds`` the duration.
    """

    epoch: int
    pixel_loss: float
    clip_loss: float | None
    total_loss: float
    psnr: float
    lr: float
    seconds: float
    slerp_loss: float | None = None
    motion_loss: float | None = None

    @classmethod
    def of(
        cls, means: Mapping[str, float], *, epoch: int, lr: float, seconds: float
    ) -> EpochResult:
        """The result of an epoch from the means of its losses, ``"total"`` and ``"psnr"``."""
        return cls(
            epoch=epoch,
            pixel_loss=means["pixel"],
            clip_loss=means.get("clip"),
            total_loss=means["total"],
            psnr=means["psnr"],
            lr=lr,
            seconds=seconds,
            slerp_loss=means.get("slerp"),
            motion_loss=means.get("motion"),
        )


class Step(NamedTuple):
    """A finished step: ``step`` of ``steps`` (from 1) in ``epoch`` (from 0), PSNR in dB."""

    epoch: int
    step: int
    steps: int
    psnr: float
