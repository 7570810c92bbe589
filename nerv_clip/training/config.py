"""How a run is trained: one frozen value, made from flags."""

from __future__ import annotations

import math
from dataclasses import dataclass

from nerv_clip.errors import InputError


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How a run is trained; every value here matters to the result, so a resume must match it."""

    epochs: int = 300
    batch: int = 2  # frames a step, on each process
    lr: float = 3e-3
    matrix_lr: float = 0.02  # Muon's rate for matrices
    grid_lr: float = 0.05  # for the temporal grids; all others use lr
    lr_type: str = "hybrid_0.05_1_1_0.1_0"
    loss: str = "PSNR-SSIM"
    optim: str = "muon"
    ema: float = 0.0  # decay of the averaged weights, 0 for none
    amp: str = "none"  # or "bf16"
    compile: bool = False
    seed: int = 1
    clip_loss_weight: float = 0.1
    slerp_loss_weight: float = 1.0  # of the CLIP loss between train frames, to that at them
    pixel_loss_warmup_epochs: int = 50
    eval_freq: int = 10
    best_metric: str = "psnr_train"
    motion_weight: float = 0.1  # of the motion loss, 0 for no motion head
    bits: int = 32  # of a weight in model_best.pth, whose figures are those of the file

    def check(self, predict_clip: bool) -> None:
        """Raise `InputError` for a value out of range, or that needs a CLIP head."""
        limits: list[tuple[str, float, float, float]] = [
            ("-e/--epochs", self.epochs, 1, math.inf),
            ("-b/--batchSize", self.batch, 1, math.inf),
            ("--lr", self.lr, 0, 10),
            ("--matrix_lr", self.matrix_lr, 0, 10),
            ("--grid_lr", self.grid_lr, 0, 10),
            ("--ema", self.ema, 0, 0.999999),
            ("--manualSeed", self.seed, 0, 2**63 - 1),
            ("--motion_weight", self.motion_weight, 0, 1e6),
            ("--clip_loss_weight", self.clip_loss_weight, 0, 1e6),
            ("--arc_weight", self.slerp_loss_weight, 0, 1e6),
            ("--pixel_loss_warmup_epochs", self.pixel_loss_warmup_epochs, 0, math.inf),
            ("--eval_freq", self.eval_freq, 1, math.inf),
        ]
        for flag, value, low, high in limits:
            if not low <= value <= high:
                raise InputError(f"{flag} {value} is out of range: {low:g} to {high:g}")
        if self.best_metric.startswith("clip") and not predict_clip:
            raise InputError(f"--best_metric {self.best_metric} needs --predict_clip")
        if predict_clip and self.epochs <= self.pixel_loss_warmup_epochs:
            raise InputError(
                f"--epochs {self.epochs} end with --pixel_loss_warmup_epochs "
                f"{self.pixel_loss_warmup_epochs} or before: the CLIP head would never learn; "
                "raise the first or lower the second"
            )
