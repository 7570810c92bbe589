"""TensorBoard logs of a training: curves, a histogram and pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nerv_clip.evaluation.results import SPLITS, Metrics
from nerv_clip.training.results import EpochResult


class Curves:
    """Writes the scalars, the histogram and the pictures of one training.

    ``epoch`` is the last epoch whose curves are kept; later ones, of a state that was lost, are
    dropped.
    """

    def __init__(self, folder: Path, epoch: int = 0) -> None:
        from torch.utils.tensorboard import SummaryWriter  # slow to import

        self.writer: Any = SummaryWriter(str(folder), purge_step=epoch + 1)

    def epoch(self, result: EpochResult) -> None:
        """Log an epoch: PSNR, learning rate, and the losses that it trained."""
        for name, value in result.row().items():
            if name not in ("epoch", "seconds") and value is not None:
                self.writer.add_scalar(f"train/{name}", value, result.epoch)

    def evaluation(self, epoch: int, metrics: Metrics, similarity: Tensor) -> None:
        """Log an evaluation; ``similarity`` (T,) is empty without a CLIP head."""
        for split in SPLITS:
            found = metrics.of(split)
            for name in ("psnr", "ms_ssim", "clip_similarity"):
                value = getattr(found, name)
                if value is not None:
                    self.writer.add_scalar(f"eval/{name}_{split}", value, epoch)
        if len(similarity):
            self.writer.add_histogram("eval/clip_similarity_distribution", similarity, epoch)

    def pictures(self, epoch: int, true: Tensor, reconstructed: Tensor) -> None:
        """Log a true frame above its reconstruction, (3, H, W) each in [0, 1]."""
        self.writer.add_image(
            "eval/true_above_reconstructed", torch.cat([true, reconstructed], 1), epoch
        )

    def flush(self) -> None:
        """Write what a killed process would lose."""
        self.writer.flush()

    def __enter__(self) -> Curves:
        return self

    def __exit__(self, *error: object) -> None:
        """Flush and close."""
        self.writer.close()
