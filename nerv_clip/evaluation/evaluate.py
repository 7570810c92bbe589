"""Evaluate a checkpoint: decode every frame from the file alone, and score it against the video."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor

from nerv_clip.evaluation.baseline_frames import blend, perturb
from nerv_clip.evaluation.decoding import decode
from nerv_clip.evaluation.results import (
    COLUMNS,
    SPLITS,
    Evaluation,
    Metrics,
    ShotMetrics,
    SplitMetrics,
)
from nerv_clip.metrics import ms_ssim, ms_ssim_scales, psnr
from nerv_clip.models.checkpoint import load_model
from nerv_clip.models.segments import VideoArchitecture
from nerv_clip.models.video_network import VideoNetwork
from nerv_clip.progress import SILENT, Progress
from nerv_clip.teacher.dense_maps import DenseMaps
from nerv_clip.teacher.embeddings import frames_embedded
from nerv_clip.teacher.encoder import ClipEncoder
from nerv_clip.video.shots import Shots
from nerv_clip.video.split import Split, train_indices
from nerv_clip.video.times import frame_time
from nerv_clip.video.video import Video


def evaluate_checkpoint(
    checkpoint: Path,
    video: Video,
    split: list[Split],
    *,
    true_embeddings: Tensor | None = None,
    teacher: ClipEncoder | None = None,
    dense: Sequence[DenseMaps] | None = None,
    device: torch.device | str = "cpu",
    drawn: Callable[[Tensor], None] = lambda frame: None,
    progress: Progress = SILENT,
) -> Evaluation:
    """Decode every frame once in freshly built networks, and score it.

    ``split`` has an entry for each frame. ``true_embeddings`` (T, dim) are needed for the CLIP
    similarity of a CLIP head, the ``dense`` maps of each segment for that of a dense head. With a
    ``teacher``, its embeddings of the decoded, the blended and the perturbed frames are computed as
    well, which is slow: only for frames with a true embedding, where some are NaN. ``drawn`` is
    called with each decoded frame in order, (3, H, W) in [0, 1]. Metrics of a split without frames
    are None, never 0.
    """
    model = load_model(checkpoint, device)
    place = torch.device(device)
    train = train_indices(split)
    rows: list[dict[str, Any]] = []
    embeddings: list[Tensor] = []
    reconstructed: list[Tensor] = []
    blended: list[Tensor] = []
    perturbed: list[Tensor] = []
    known = set(range(len(video)) if true_embeddings is None else frames_embedded(true_embeddings))
    missing = torch.full((1, teacher.dim if teacher else 0), torch.nan)
    seconds = 0.0
    next(decode(model, [0]))  # the first pass includes set-up, which is not decoding
    with progress.task("evaluating", len(video), "frame") as task:
        for decoded in decode(model, range(len(video))):
            (index,), frames = decoded.indices, decoded.frames
            seconds += decoded.seconds
            drawn(frames[0])
            target = video.read([index]).to(place).float() / 255
            row = _frame_row(index, split, frames, target)
            judged = teacher is not None and index in known
            wanted = split[index] == "val" or judged
            mixed = blend(video, index, train, place) if wanted else None
            if mixed is not None:
                row["blend_psnr"] = psnr(mixed, target).item()
            if dense is not None and index in known:
                row["dense_similarity"] = _dense_similarity(model, index, dense)
            if decoded.embeddings is not None:
                embeddings.append(decoded.embeddings.float().cpu())
            if teacher is not None:
                # a train frame alone in its shot has no blend
                pictures = (frames, mixed, perturb(target)) if judged else (None, None, None)
                lists = (reconstructed, blended, perturbed)
                for images, found in zip(pictures, lists, strict=True):
                    found.append(missing if images is None else teacher.images(images).cpu())
            rows.append(row)
            task.advance()
    predicted, rebuilt, mixtures, shaken = (
        torch.cat(parts) if parts else None
        for parts in (embeddings, reconstructed, blended, perturbed)
    )
    table = _with_similarity(pd.DataFrame(rows), predicted, rebuilt, true_embeddings)
    fps = len(video) / max(seconds, 1e-9)
    metrics = _metrics(table, video.shots, model.arch, checkpoint, fps)
    return Evaluation(table, metrics, predicted, rebuilt, mixtures, shaken)


def _frame_row(index: int, split: list[Split], frames: Tensor, target: Tensor) -> dict[str, Any]:
    return {
        "frame": index,
        "t": frame_time(index, len(split)),
        "split": split[index],
        "psnr": psnr(frames, target).item(),
        "ms_ssim": ms_ssim(frames, target).item(),
        "dense_similarity": float("nan"),
        "blend_psnr": float("nan"),
    }


@torch.no_grad()
def _dense_similarity(model: VideoNetwork, index: int, dense: Sequence[DenseMaps]) -> float:
    """Mean cosine similarity of the predicted and the true embeddings of the cells of a frame."""
    firsts = [segment.first for segment in model.arch.segments]
    number = bisect_right(firsts, index) - 1
    maps = dense[number]
    t = torch.tensor([frame_time(index, model.arch.frames)], dtype=torch.float64)
    predicted = model.embed_map(t.to(next(model.parameters()).device)).cpu()
    true = maps.embeddings([index - firsts[number]])
    return F.cosine_similarity(predicted, true, dim=1).mean().item()


def _with_similarity(
    table: pd.DataFrame, predicted: Tensor | None, rebuilt: Tensor | None, true: Tensor | None
) -> pd.DataFrame:
    """Add the cosine similarity of predicted, and of decoded frames', embeddings to true ones."""
    for column, values in (("clip_similarity", predicted), ("teacher_similarity", rebuilt)):
        table[column] = float("nan")
        if values is not None and true is not None:
            cosines = F.cosine_similarity(values.float(), true.cpu().float(), dim=-1)
            table[column] = cosines.numpy()
    return table[list(COLUMNS)]


def _metrics(
    table: pd.DataFrame, shots: Shots, arch: VideoArchitecture, checkpoint: Path, fps: float
) -> Metrics:
    size = checkpoint.stat().st_size
    whole = shot_metrics(table)
    return Metrics(
        all=whole.all,
        train=whole.train,
        val=whole.val,
        frames=whole.frames,
        ms_ssim_scales=ms_ssim_scales(arch.height, arch.width),
        bytes=size,
        bpp=8 * size / (arch.frames * arch.height * arch.width),
        decoded_fps=fps,
        shots=tuple(shot_metrics(table[own.start : own.stop]) for own in shots.ranges()),
    )


def shot_metrics(rows: pd.DataFrame) -> ShotMetrics:
    """Metrics by split of consecutive frames, from their rows of `Evaluation.per_frame`."""
    groups = {"all": rows, **{name: rows[rows["split"] == name] for name in SPLITS[1:]}}
    splits = {name: _split_metrics(chosen) for name, chosen in groups.items()}
    return ShotMetrics(
        first=int(rows["frame"].iloc[0]),
        last=int(rows["frame"].iloc[-1]),
        all=splits["all"],
        train=splits["train"],
        val=replace(splits["val"], blend_psnr=_mean(groups["val"]["blend_psnr"])),
        frames={name: len(chosen) for name, chosen in groups.items()},
    )


def _split_metrics(rows: pd.DataFrame) -> SplitMetrics:
    return SplitMetrics(
        psnr=_mean(rows["psnr"]),
        ms_ssim=_mean(rows["ms_ssim"]),
        clip_similarity=_mean(rows["clip_similarity"]),
        teacher_similarity=_mean(rows["teacher_similarity"]),
        dense_similarity=_mean(rows["dense_similarity"]),
    )


def _mean(values: pd.Series[float]) -> float | None:
    mean = values.mean()
    return None if pd.isna(mean) else float(mean)
