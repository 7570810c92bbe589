"""Training configuration: a frozen value, made from flags."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass

from nerv_clip.errors import InputError
from nerv_clip.models.config import BITS

AMP = ("none", "bf16")
BEST_METRICS = (
    "psnr_train",
    "psnr_all",
    "psnr_val",
    "clip_similarity_train",
    "clip_similarity_val",
)


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How a network is trained. Every field changes the result, so a resumed run must repeat it."""

    epochs: int = 300
    batch: int = 2  # frames per step, on each process
    lr: float = 3e-3
    matrix_lr: float = 0.02  # learning rate of Muon for matrices
    grid_lr: float = 0.05  # learning rate of the temporal grids, with every optimiser
    lr_type: str = "hybrid_0.05_1_1_0.1_0"  # schedule, see nerv_clip.training.schedules
    loss: str = "PSNR-SSIM"  # pixel loss, see nerv_clip.training.losses
    optim: str = "muon"
    ema: float = 0.0  # decay of the averaged weights, 0 to disable averaging
    amp: str = "none"  # or "bf16"
    compile: bool = False
    seed: int = 1
    clip_loss_weight: float = 0.1  # λ
    slerp_loss_weight: float = 1.0  # weight of the between-frame term relative to clip_loss_weight
    dense_loss_weight: float = 0.05  # weight of the dense head's loss
    clip_every: int = 1  # the teacher embeds one frame in so many
    pixel_loss_warmup_epochs: int = 50  # epochs before CLIP training starts
    eval_freq: int = 10  # epochs between evaluations
    best_metric: str = "psnr_train"
    motion_weight: float = 0.1  # weight of the motion loss
    bits: int = 32  # per weight in model_best.pth, the file that is evaluated

    def check(self, predict_clip: bool, clip_input: bool = False) -> None:
        """Raise `InputError` for a value out of range, or one that does not fit the network."""
        limits: list[tuple[str, float, float]] = [
            ("epochs", 1, math.inf),
            ("batch", 1, math.inf),
            ("lr", 0, 10),
            ("matrix_lr", 0, 10),
            ("grid_lr", 0, 10),
            ("ema", 0, 0.999999),
            ("seed", 0, 2**63 - 1),
            ("motion_weight", 0, 1e6),
            ("clip_loss_weight", 0, 1e6),
            ("slerp_loss_weight", 0, 1e6),
            ("dense_loss_weight", 0, 1e6),
            ("clip_every", 1, math.inf),
            ("pixel_loss_warmup_epochs", 0, math.inf),
            ("eval_freq", 1, math.inf),
        ]
        for field, low, high in limits:
            value = getattr(self, field)
            if not low <= value <= high:
                allowed = f"{low:g} or more" if high == math.inf else f"{low:g} to {high:g}"
                raise InputError(f"`{field}` {value} is out of range: give {allowed}")
        choices: list[tuple[str, Collection[object]]] = [
            ("amp", AMP),
            ("bits", BITS),
            ("best_metric", BEST_METRICS),
        ]
        for field, known in choices:
            value = getattr(self, field)
            if value not in known:
                named = ", ".join(map(str, known))
                raise InputError(f"`{field}` {value} is unknown: choose from {named}")
        if clip_input and self.clip_every > 1:
            raise InputError(
                f"`clip_every` {self.clip_every}: `clip_input` stores the embedding of every train "
                "frame; leave one of them out"
            )
        if self.best_metric.startswith("clip") and not predict_clip:
            raise InputError(f"`best_metric` {self.best_metric} needs `predict_clip`")
        if predict_clip and self.epochs <= self.pixel_loss_warmup_epochs:
            raise InputError(
                f"`epochs` {self.epochs} does not exceed `pixel_loss_warmup_epochs` "
                f"{self.pixel_loss_warmup_epochs}: the CLIP head would never be trained; raise "
                "`epochs` or lower `pixel_loss_warmup_epochs`"
            )
