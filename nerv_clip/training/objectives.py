"""Objectives: the terms of the training loss, one row of `OBJECTIVES` each.

The trainer computes the active objectives of a step by a loop over this table, and the total loss
is their weighted sum. The heads are described in `nerv_clip.models.heads`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from nerv_clip.models.config import Architecture
from nerv_clip.models.heads import head_taps
from nerv_clip.models.motion import neighbours, warp_and_blend
from nerv_clip.models.nerv_clip import NeRVClip
from nerv_clip.training.config import TrainConfig
from nerv_clip.training.data import TrainingData
from nerv_clip.training.losses import clip_loss, pixel_loss, slerp


@dataclass(frozen=True, kw_only=True)
class Batch:
    """The frames of a step, and what the network outputs for them.

    ``indices`` are B train frames; ``true`` (B, 3, H, W) their pixels in [0, 1]; ``drawn``
    (B, 3, H, W) the network's, float32; ``heads`` the outputs of the heads by name. ``embed`` maps
    times (B,) to embeddings (B, dim) in the precision of the training; ``uniform`` draws new
    random numbers in [0, 1): (B,) float64.
    """

    model: NeRVClip
    data: TrainingData
    indices: list[int]
    true: Tensor
    drawn: Tensor
    heads: dict[str, Tensor]
    embed: Callable[[Tensor], Tensor]
    uniform: Callable[[], Tensor]


class Pair(NamedTuple):
    """A prediction and its target, of the same shape (B, …), with weights (B,) of mean 1 or None.

    The target of a row of weight 0 is 0.
    """

    prediction: Tensor
    target: Tensor
    weights: Tensor | None = None


def pixels(batch: Batch) -> Pair:
    """The frames as drawn, and the true frames."""
    return Pair(batch.drawn, batch.true)


def embeddings(batch: Batch) -> Pair:
    """The CLIP head's embeddings of the train frames, and the true ones."""
    data, indices = batch.data, batch.indices
    return Pair(batch.heads["clip"].float(), data.embeddings(indices), data.shares(indices))


def embeddings_between(batch: Batch) -> Pair:
    """Embeddings at a random time between the embedded train frames around each frame.

    The target is the spherical interpolation of both true embeddings: without held-out frames
    there is no better target, and an untrained head may be worse between frames.
    """
    fraction = batch.uniform()
    before, after = batch.data.around(batch.indices)
    start, end = (batch.data.embeddings(frames) for frames in (before, after))
    target = slerp(start, end, fraction.to(start))
    times = batch.data.times
    embedding = batch.embed(torch.lerp(times[before], times[after], fraction))
    return Pair(embedding.float(), target)


def cells(batch: Batch) -> Pair:
    """The dense head's coefficients of the train frames, and the true ones.

    The basis has orthonormal rows, so their cosine similarity is that of the embeddings.
    """
    data, indices = batch.data, batch.indices
    return Pair(batch.heads["dense"].float(), data.cells(indices), data.shares(indices))


def warped_neighbours(batch: Batch) -> Pair:
    """Frames warped and blended from their true neighbouring train frames, and the true frames."""
    data, model = batch.data, batch.model
    found = neighbours(model.train_times, data.times[batch.indices], model.shots)
    before, after = (
        data.frames([data.train[i] for i in positions.tolist()])
        for positions in (found.before, found.after)
    )
    gaps = found.gaps * (len(data.video) - 1)
    motion = batch.heads["motion"].float()
    return Pair(warp_and_blend(motion, before, after, gaps, model.arch.padded), batch.true)


@dataclass(frozen=True, kw_only=True)
class Objective:
    """A row of `OBJECTIVES`.

    ``name`` is the key of the loss in `nerv_clip.training.results.EpochResult`, and
    ``{name}_loss`` its column in ``history.csv``. ``weight`` is its weight in the total loss;
    ``active`` says whether an epoch (from 0) trains it; ``pair`` computes the prediction and the
    target, and ``loss`` a scalar from them.
    """

    name: str
    weight: Callable[[TrainConfig], float]
    active: Callable[[Architecture, TrainConfig, int], bool]
    pair: Callable[[Batch], Pair]
    loss: Callable[[TrainConfig, Pair], Tensor]


def _trains(name: str, arch: Architecture, config: TrainConfig, epoch: int) -> bool:
    """Whether a network has the head ``name``, and an epoch is after the warm-up."""
    return name in head_taps(arch) and epoch >= config.pixel_loss_warmup_epochs


def _trains_slerp(arch: Architecture, config: TrainConfig, epoch: int) -> bool:
    # the latents of an encoder run are known at train frames only
    wanted = config.slerp_loss_weight > 0 and not arch.enc_strides
    return wanted and _trains("clip", arch, config, epoch)


OBJECTIVES = (
    Objective(
        name="pixel",
        weight=lambda config: 1.0,
        active=lambda arch, config, epoch: True,
        pair=pixels,
        loss=lambda config, pair: pixel_loss(config.loss, pair.prediction, pair.target),
    ),
    Objective(
        name="clip",
        weight=lambda config: config.clip_loss_weight,
        active=partial(_trains, "clip"),
        pair=embeddings,
        loss=lambda config, pair: clip_loss(*pair),
    ),
    Objective(
        name="slerp",
        weight=lambda config: config.clip_loss_weight * config.slerp_loss_weight,
        active=_trains_slerp,
        pair=embeddings_between,
        loss=lambda config, pair: clip_loss(*pair),
    ),
    Objective(
        name="motion",
        weight=lambda config: config.motion_weight,
        active=lambda arch, config, epoch: "motion" in head_taps(arch),
        pair=warped_neighbours,
        loss=lambda config, pair: pixel_loss("PSNR", pair.prediction, pair.target),
    ),
    Objective(
        name="dense",
        weight=lambda config: config.dense_loss_weight,
        active=partial(_trains, "dense"),
        pair=cells,
        loss=lambda config, pair: clip_loss(*pair),
    ),
)


def active_objectives(arch: Architecture, config: TrainConfig, epoch: int) -> list[Objective]:
    """The objectives that an epoch (from 0) trains."""
    return [objective for objective in OBJECTIVES if objective.active(arch, config, epoch)]


def compute_losses(
    objectives: Iterable[Objective], batch: Batch, config: TrainConfig
) -> dict[str, Tensor]:
    """The loss of each objective by name, and their weighted sum as ``"total"``: scalars."""
    losses: dict[str, Tensor] = {}
    total = torch.zeros((), device=batch.drawn.device)
    for objective in objectives:
        loss = objective.loss(config, objective.pair(batch))
        total = total + objective.weight(config) * loss
        losses[objective.name] = loss
    return losses | {"total": total}
