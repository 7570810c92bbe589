"""What an evaluation finds: metrics by split, and a table with a row for each frame."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
import pandas as pd

if TYPE_CHECKING:  # reading metrics does not need torch
    from torch import Tensor

SPLITS = ("all", "train", "val")
COLUMNS = (  # of clip_similarity_per_frame.csv
    "frame",
    "t",
    "split",
    "psnr",
    "ms_ssim",
    "clip_similarity",
    "teacher_similarity",
    "dense_similarity",
    "blend_psnr",
)
ADDED = ("dense_similarity",)  # which older files do not have


@dataclass(frozen=True)
class SplitMetrics:
    """Means over the frames of a split; None where the split is empty or nothing was measured.

    ``psnr`` in dB and ``ms_ssim`` of the decoded frames; ``clip_similarity``, cosine of predicted
    and true embeddings; ``teacher_similarity``, cosine of the teacher's embeddings of decoded and
    true frames; ``dense_similarity``, cosine of predicted and true embeddings of cells;
    ``blend_psnr`` in dB, of the linear blend of the neighbouring train frames in the
    same shot, of held-out frames only.
    """

    psnr: float | None
    ms_ssim: float | None
    clip_similarity: float | None
    teacher_similarity: float | None
    dense_similarity: float | None = None
    blend_psnr: float | None = None


@dataclass(frozen=True)
class ShotMetrics:
    """The metrics of one shot by split, like those of the video.

    ``first`` and ``last`` are indices of its first and last frame; ``frames`` counts the frames
    of each split.
    """

    first: int
    last: int
    all: SplitMetrics
    train: SplitMetrics
    val: SplitMetrics
    frames: dict[str, int]


@dataclass(frozen=True)
class Metrics:
    """The content of ``metrics.json``.

    ``frames`` counts the frames of each split; ``ms_ssim_scales`` is how many scales of MS-SSIM
    fit the frame; ``bytes`` is the checkpoint's size, ``bpp`` its bits a pixel of the video;
    ``decoded_fps`` is how many frames were decoded a second. ``shots`` has an entry for each shot
    of the video; it is empty in older files.
    """

    all: SplitMetrics
    train: SplitMetrics
    val: SplitMetrics
    frames: dict[str, int]
    ms_ssim_scales: int
    bytes: int
    bpp: float
    decoded_fps: float
    shots: tuple[ShotMetrics, ...] = ()

    def of(self, split: str) -> SplitMetrics:
        """The metrics of ``"all"``, ``"train"`` or ``"val"``."""
        found: SplitMetrics = getattr(self, split)
        return found

    def to_json(self) -> dict[str, Any]:
        """As ``metrics.json`` has it; ``blend_psnr`` stands under ``val`` only."""
        content = dataclasses.asdict(self)
        for scored in (content, *content["shots"]):
            for split in ("all", "train"):
                del scored[split]["blend_psnr"]
        return content

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Metrics:
        """The inverse of `to_json`; raises ValueError for other content."""
        return msgspec.convert(content, cls)

    def flat(self) -> dict[str, float | None]:
        """As ``psnr_val`` and so on, for a row of ``history.csv``; of the whole video only."""
        content = self.to_json()
        return {f"{name}_{split}": v for split in SPLITS for name, v in content[split].items()}

    def line(self, label: str) -> str:
        """One line of text for a terminal: ``label``, then the metrics by split."""
        parts = []
        for split, name in (("train", "train"), ("val", "held out")):
            found = self.of(split)
            if found.psnr is None:
                continue
            text = f"{name} {found.psnr:.2f} dB"
            if found.ms_ssim is not None:
                text += f" / MS-SSIM {found.ms_ssim:.4f}"
            if found.clip_similarity is not None:
                text += f" / CLIP {found.clip_similarity:.4f}"
            if found.dense_similarity is not None:
                text += f" / cells {found.dense_similarity:.4f}"
            if found.teacher_similarity is not None:
                text += f" / CLIP on the reconstructed frame {found.teacher_similarity:.4f}"
            if split == "val" and found.blend_psnr is not None:
                text += f" (blend of the neighbouring train frames {found.blend_psnr:.2f} dB)"
            parts.append(text)
        parts.append(f"{self.bytes / 1e6:.2f} MB, {self.decoded_fps:.1f} frames/s decoded")
        return f"{label}: " + " | ".join(parts)


@dataclass(frozen=True)
class Evaluation:
    """The evaluation of a checkpoint on its video.

    ``per_frame`` has a row for each frame, with the columns of `COLUMNS`. Embeddings are (T, dim):
    ``predicted`` by the CLIP head, None without one; ``reconstructed``, ``blended`` and
    ``perturbed`` by the teacher, of the decoded frames, of the blends of the neighbouring train
    frames (NaN for a train frame alone in its shot), and of the true frames after a slight crop
    and JPEG compression, which estimates the teacher's own noise ceiling; these three are None
    where no teacher was given, and NaN for frames without a true embedding.
    """

    per_frame: pd.DataFrame
    metrics: Metrics
    predicted: Tensor | None
    reconstructed: Tensor | None
    blended: Tensor | None
    perturbed: Tensor | None
