"""Training of the small CLIP, from random weights, on rendered pictures and their captions."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from nerv_clip.demo.batches import augment, draw_batch
from nerv_clip.demo.model_folder import MEAN, STD, new_model
from nerv_clip.demo.pool import Pool
from nerv_clip.teacher.loading import load_tokenizer
from nerv_clip.teacher.names import LOCAL
from nerv_clip.training.optimisers import Muon


@dataclass(frozen=True)
class TrainingPlan:
    """Length, learning rates and curriculum of the training.

    The curriculum is given in shares of the steps: pictures of single items only until
    ``single_until``, then ever more scenes, mostly scenes from ``scenes_from`` on; captions that
    are wrong in one attribute from ``hard_negatives_from`` on.
    """

    steps: int = 4500
    batch: int = 128  # pictures in a step
    lr: float = 1e-3
    matrix_lr: float = 0.02  # learning rate of Muon for matrices
    pairwise_weight: float = 10.0  # weight of `pairwise_loss` relative to `contrastive_loss`
    warm_up: int = 50  # steps
    single_until: float = 0.05
    scenes_from: float = 0.15
    hard_negatives_from: float = 0.25
    seed: int = 0

    def single_share(self, step: int) -> float:
        """The share of pictures with a single item in a step."""
        done = step / self.steps
        falling = 1 - (done - self.single_until) / (self.scenes_from - self.single_until)
        return min(1.0, max(0.12, falling))

    def hard_negative_share(self, step: int) -> float:
        """The share of pictures that have a caption which is wrong in one attribute."""
        return 0.4 if step >= self.hard_negatives_from * self.steps else 0.0

    def lr_factor(self, step: int) -> float:
        """The factor on the learning rates: linear warm-up, then a cosine decay to 1 %."""
        if step < self.warm_up:
            return (step + 1) / self.warm_up
        done = (step - self.warm_up) / max(1, self.steps - self.warm_up)
        return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done))


class StepResult(NamedTuple):
    """One step of training."""

    step: int
    loss: float
    accuracy: float  # share of the true captions that score higher than every false caption


def contrastive_loss(logits: Tensor, matches: Tensor) -> tuple[Tensor, float]:
    """CLIP's symmetric loss (Radford et al., 2021) for several true pairs in a row or column.

    ``logits`` and ``matches`` are (B, M), pictures by captions. Each true pair competes with the
    false captions of its picture, and with the pictures of which its caption is false. Other true
    pairs, which CLIP's loss treats as false, are left out. Returns the loss and the share of true
    pairs whose logit exceeds those of all false captions.
    """
    false = logits.masked_fill(matches, -1e4)
    by_picture = F.softplus(false.logsumexp(1, keepdim=True) - logits)
    by_text = F.softplus(false.logsumexp(0, keepdim=True) - logits)
    weight = matches / matches.sum(0, keepdim=True).clamp(min=1)  # each caption counts once
    loss = (weight * (by_picture + by_text)).sum() / weight.sum() / 2
    with torch.no_grad():
        highest = (logits > false.max(1, keepdim=True).values).float()
        accuracy = (weight * highest).sum() / weight.sum()
    return loss, float(accuracy)


def pairwise_loss(logits: Tensor, matches: Tensor) -> Tensor:
    """SigLIP's loss (Zhai et al., 2023): binary cross-entropy of every pair (B, M).

    Without it, facts that cover little of a picture, such as running water, are not learned.
    """
    return F.binary_cross_entropy_with_logits(logits, matches.float())


class Pretraining:
    """Training of the small CLIP that can be stopped after each step and resumed.

    ``folder`` holds the configuration of the model, as `write_folder` writes it; ``singles`` are
    pictures of single items, ``scenes`` pictures of several.
    """

    def __init__(self, folder: Path, singles: Pool, scenes: Pool, plan: TrainingPlan) -> None:
        self.plan, self.singles, self.scenes = plan, singles, scenes
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(plan.seed)
            self.model: Any = new_model(folder)
        self.tokenize = load_tokenizer(f"{LOCAL}{folder}")
        self.step = 0
        matrices: list[torch.nn.Parameter] = []
        others: list[torch.nn.Parameter] = []
        for name, parameter in self.model.named_parameters():
            table = "embedding" in name or parameter.ndim < 2
            (others if table else matrices).append(parameter)
        self.optimiser = Muon(
            [{"params": matrices, "matrix": True, "lr": 0.0}, {"params": others, "lr": 0.0}]
        )

    def fit(self) -> Iterator[StepResult]:
        """Train to the last step, and yield the result of each."""
        plan = self.plan
        self.model.train()
        while self.step < plan.steps:
            step = self.step
            batch = draw_batch(
                self.singles,
                self.scenes,
                np.random.default_rng([plan.seed, step]),
                size=plan.batch,
                single_share=plan.single_share(step),
                hard_negative_share=plan.hard_negative_share(step),
            )
            generator = torch.Generator().manual_seed(plan.seed * 1_000_003 + step)
            pictures = augment(batch.pictures, generator).sub_(MEAN).div_(STD)
            for group, rate in zip(
                self.optimiser.param_groups, (plan.matrix_lr, plan.lr), strict=True
            ):
                group["lr"] = rate * plan.lr_factor(step)
            images = F.normalize(self.model.encode_image(pictures), dim=-1)
            texts = F.normalize(self.model.encode_text(self.tokenize(batch.captions)), dim=-1)
            logits = self.model.logit_scale.exp() * images @ texts.T + self.model.logit_bias
            loss, accuracy = contrastive_loss(logits, batch.matches)
            loss = loss + plan.pairwise_weight * pairwise_loss(logits, batch.matches)
            self.optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimiser.step()
            with torch.no_grad():
                self.model.logit_scale.clamp_(0, math.log(100))
            self.step += 1
            yield StepResult(step, float(loss.detach()), accuracy)

    def state(self) -> dict[str, Any]:
        """The state that `restore` continues from; batches depend on seed and step alone."""
        return {
            "step": self.step,
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a result of `state`."""
        self.step = state["step"]
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
