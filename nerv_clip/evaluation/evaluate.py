"""Evaluation: what the shipped file decodes to, scored against the video."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from nerv_clip.evaluation.interpolation import blend_weights
from nerv_clip.files import atomic_write
from nerv_clip.metrics import cosine, ms_ssim, ms_ssim_scales, psnr
from nerv_clip.models.checkpoint import load_model
from nerv_clip.models.nerv_clip import NeRVClip
from nerv_clip.runs.run import Run
from nerv_clip.teacher.encoder import ClipEncoder
from nerv_clip.video.split import Split, frame_time
from nerv_clip.video.video import Video

Notice = Callable[[int], object]  # told how many frames were done


@dataclass(frozen=True)
class Evaluation:
    """Figures of one checkpoint on its video.

    ``per_frame`` has the columns of ``clip_similarity_per_frame.csv``; ``summary`` is
    ``metrics.json``; ``predicted`` (T, dim) are the CLIP head's embeddings, None without one;
    ``reconstructed``, ``blended`` and ``perturbed`` (T, dim) the teacher's of the decoded frames,
    of the blends of the neighbouring train frames, and of the true frames slightly cropped and
    compressed, which is as near as its own answers stay; None where no teacher was given.
    """

    per_frame: pd.DataFrame
    summary: dict[str, Any]
    predicted: Tensor | None
    reconstructed: Tensor | None
    blended: Tensor | None
    perturbed: Tensor | None


@torch.no_grad()
def decode(
    model: NeRVClip, indices: list[int], batch: int = 1
) -> Iterator[tuple[list[int], Tensor, Tensor | None, float]]:
    """Decode frames: yields (indices, frames (b, 3, H, W) in [0, 1], embeddings, seconds)."""
    device = next(model.parameters()).device
    for start in range(0, len(indices), batch):
        chunk = indices[start : start + batch]
        t = torch.tensor([frame_time(i, model.arch.frames) for i in chunk], dtype=torch.float64)
        output = model(t.to(device))
        yield chunk, output.frames.float().clamp(0, 1), output.embedding, output.seconds


@torch.no_grad()
def embed_times(
    model: NeRVClip,
    times: Sequence[float] | NDArray[np.float64],
    batch: int = 1,
    notice: Notice = lambda done: None,
) -> Tensor:
    """The CLIP head's unit embeddings (N, dim) at times in [0, 1], on the CPU, no frame drawn."""
    device = next(model.parameters()).device
    parts = []
    for start in range(0, len(times), batch):
        t = torch.tensor(times[start : start + batch], dtype=torch.float64, device=device)
        parts.append(torch.nn.functional.normalize(model.embed(t).float(), dim=1).cpu())
        notice(len(t))
    return torch.cat(parts)


def blend(video: Video, index: int, train: list[int], device: torch.device) -> Tensor | None:
    """The blend of a frame's neighbouring train frames, (1, 3, H, W) in [0, 1], or None."""
    parts = blend_weights(index, train)
    if not parts:
        return None
    frames = video.read([i for i, _ in parts]).to(device).float() / 255
    weights = torch.tensor([w for _, w in parts], device=device).view(-1, 1, 1, 1)
    return (weights * frames).sum(0, keepdim=True)


def perturb(frame: Tensor) -> Tensor:
    """A frame (1, 3, H, W) in [0, 1] less 2 % at each side, through JPEG at quality 75."""
    height, width = frame.shape[-2:]
    top, left = (min(max(1, side // 50), (side - 1) // 2) for side in (height, width))
    inside = frame[0, :, top : height - top, left : width - left]
    pixels = inside.mul(255).round().byte().permute(1, 2, 0).cpu().numpy()
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=75)
    kept = np.asarray(Image.open(file)).astype(np.float32) / 255
    return torch.from_numpy(kept).permute(2, 0, 1)[None]


def evaluate(
    checkpoint: Path,
    video: Video,
    split: list[Split],
    *,
    true_embeddings: Tensor | None = None,
    teacher: ClipEncoder | None = None,
    device: torch.device | str = "cpu",
    notice: Notice = lambda done: None,
) -> Evaluation:
    """Decode every frame from the checkpoint alone, in a freshly built network, and score it.

    ``true_embeddings`` (T, dim) are needed for CLIP figures of a CLIP head. With a ``teacher``
    its embeddings of the reconstructions, the blends and the perturbed frames are computed as well
    (slow). Figures of a split that holds no frame are None, never 0.
    """
    model = load_model(checkpoint, device)
    place = torch.device(device)
    train = [i for i, name in enumerate(split) if name == "train"]
    rows: list[dict[str, Any]] = []
    embeddings: list[Tensor] = []
    reconstructed: list[Tensor] = []
    blended: list[Tensor] = []
    perturbed: list[Tensor] = []
    seconds = 0.0
    next(iter(decode(model, [0])))  # the first pass pays for set-up, which is not decoding
    for chunk, frames, embedding, spent in decode(model, list(range(len(video)))):
        index = chunk[0]
        seconds += spent
        target = video.read(chunk).to(place).float() / 255
        row = _frame_row(index, split, frames, target)
        wanted = split[index] == "val" or teacher is not None
        mixed = blend(video, index, train, place) if wanted else None
        if mixed is not None:
            row["blend_psnr"] = psnr(mixed, target).item()
        if embedding is not None:
            embeddings.append(embedding.float().cpu())
        if teacher is not None:
            reconstructed.append(teacher.images(frames).cpu())
            nothing = torch.full((1, teacher.dim), float("nan"))  # a video of one train frame
            blended.append(nothing if mixed is None else teacher.images(mixed).cpu())
            perturbed.append(teacher.images(perturb(target)).cpu())
        rows.append(row)
        notice(1)
    predicted = torch.cat(embeddings) if embeddings else None
    rebuilt, mixtures, shaken = (
        torch.cat(parts) if parts else None for parts in (reconstructed, blended, perturbed)
    )
    table = _with_similarity(pd.DataFrame(rows), predicted, rebuilt, true_embeddings)
    summary = _summary(table, model, checkpoint, len(video) / max(seconds, 1e-9))
    return Evaluation(table, summary, predicted, rebuilt, mixtures, shaken)


def _frame_row(index: int, split: list[Split], frames: Tensor, target: Tensor) -> dict[str, Any]:
    return {
        "frame": index,
        "t": frame_time(index, len(split)),
        "split": split[index],
        "psnr": psnr(frames, target).item(),
        "ms_ssim": ms_ssim(frames, target).item(),
    }


def _with_similarity(
    table: pd.DataFrame, predicted: Tensor | None, rebuilt: Tensor | None, true: Tensor | None
) -> pd.DataFrame:
    """Add the cosines of predicted, and of reconstructions', embeddings with the true ones."""
    for column, values in (("clip_similarity", predicted), ("teacher_similarity", rebuilt)):
        table[column] = float("nan")
        if values is not None and true is not None:
            table[column] = cosine(values, true.cpu()).numpy()
    if "blend_psnr" not in table:
        table["blend_psnr"] = float("nan")
    order = ["frame", "t", "split", "psnr", "ms_ssim", "clip_similarity"]
    return table[[*order, "teacher_similarity", "blend_psnr"]]


def _summary(table: pd.DataFrame, model: NeRVClip, checkpoint: Path, fps: float) -> dict[str, Any]:
    arch = model.arch
    size = checkpoint.stat().st_size
    groups = {
        "all": table,
        "train": table[table["split"] == "train"],
        "val": table[table["split"] == "val"],
    }
    figures = {
        name: {
            column: _mean(rows[column])
            for column in ("psnr", "ms_ssim", "clip_similarity", "teacher_similarity")
        }
        for name, rows in groups.items()
    }
    figures["val"]["blend_psnr"] = _mean(groups["val"]["blend_psnr"])
    return {
        **figures,
        "frames": {name: len(rows) for name, rows in groups.items()},
        "ms_ssim_scales": ms_ssim_scales(arch.height, arch.width),
        "bytes": size,
        "bpp": 8 * size / (arch.frames * arch.height * arch.width),
        "decoded_fps": fps,
    }


def _mean(values: pd.Series[float]) -> float | None:
    mean = values.mean()
    return None if pd.isna(mean) else float(mean)


def write_evaluation(run: Run, evaluation: Evaluation, true_embeddings: Tensor | None) -> None:
    """Write the per-frame CSV, ``metrics.json`` and the embeddings into the run directory."""
    with atomic_write(run.per_frame) as temporary:
        evaluation.per_frame.to_csv(temporary, index=False)
    run.write_json(run.metrics, evaluation.summary)
    for path, values in ((run.true, true_embeddings), (run.predicted, evaluation.predicted)):
        if values is not None:
            with atomic_write(path) as temporary, temporary.open("wb") as file:
                np.save(file, values.cpu().numpy().astype(np.float16))
    baselines = {
        "reconstruction": evaluation.reconstructed,
        "blend": evaluation.blended,
        "disturbed": evaluation.perturbed,
    }
    kept = {name: v.numpy().astype(np.float16) for name, v in baselines.items() if v is not None}
    if kept:
        with atomic_write(run.baselines) as temporary, temporary.open("wb") as file:
            np.savez(file, **kept)  # type: ignore[arg-type]
