"""Training the small CLIP from nothing on rendered pictures and their captions."""

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

from nerv_clip.demo.batches import augmented, draw
from nerv_clip.demo.model_folder import MEAN, STD, new_model
from nerv_clip.demo.pool import Pool
from nerv_clip.teacher.loading import load_tokenizer
from nerv_clip.teacher.names import LOCAL
from nerv_clip.training.optimisers import Muon


@dataclass(frozen=True)
class Plan:
    """Length and curriculum of the training."""

    steps: int = 4500
    batch: int = 128
    lr: float = 1e-3
    matrix_lr: float = 0.02  # Muon's, of kernels and other matrices
    pairwise: float = 10.0  # weight of `pairwise_loss` beside `contrastive_loss`
    warm_up: int = 50
    alone: float = 0.05  # this share of the steps sees single things only: colours and kinds first
    mixed: float = 0.15  # by this share, most pictures hold many things
    twists: float = 0.25  # from this share on, captions that are wrong in one attribute
    seed: int = 0

    def singles(self, step: int) -> float:
        """The share of a batch's pictures that hold one thing."""
        done = step / self.steps
        falling = 1 - (done - self.alone) / (self.mixed - self.alone)
        return min(1.0, max(0.12, falling))

    def pace(self, step: int) -> float:
        """The factor on the learning rates: a linear warm-up, then a cosine to 1 %."""
        if step < self.warm_up:
            return (step + 1) / self.warm_up
        done = (step - self.warm_up) / max(1, self.steps - self.warm_up)
        return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done))


class StepResult(NamedTuple):
    """One step of training."""

    step: int
    loss: float
    right: float  # share of the true captions that beat every wrong caption of the batch


def contrastive_loss(logits: Tensor, true: Tensor) -> tuple[Tensor, float]:
    """CLIP's symmetric loss where what is true is known: logits and truth (B, M).

    Each true pair competes with the wrong captions of its picture and with the pictures of which
    its caption is wrong; other true pairs, which CLIP takes for wrong, are left out. Returns the
    loss and the share of true pairs that win against every wrong caption.
    """
    wrong = logits.masked_fill(true, -1e4)
    by_picture = F.softplus(wrong.logsumexp(1, keepdim=True) - logits)
    by_text = F.softplus(wrong.logsumexp(0, keepdim=True) - logits)
    weight = true / true.sum(0, keepdim=True).clamp(min=1)  # each caption counts once
    loss = (weight * (by_picture + by_text)).sum() / weight.sum() / 2
    with torch.no_grad():
        wins = (weight * (logits > wrong.max(1, keepdim=True).values)).sum() / weight.sum()
    return loss, float(wins)


def pairwise_loss(logits: Tensor, true: Tensor) -> Tensor:
    """SigLIP's loss (Zhai et al., 2023): is this caption true of this picture, yes or no.

    Without it what covers little of a picture, such as running water, is not learned.
    """
    return F.binary_cross_entropy_with_logits(logits, true.float())


class Pretraining:
    """The small CLIP's training: a generator of steps, and its state for a later resume."""

    def __init__(self, folder: Path, ones: Pool, many: Pool, plan: Plan) -> None:
        self.plan, self.ones, self.many = plan, ones, many
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
        """Train to the plan's last step."""
        plan = self.plan
        self.model.train()
        while self.step < plan.steps:
            step = self.step
            batch = draw(
                self.ones,
                self.many,
                np.random.default_rng([plan.seed, step]),
                size=plan.batch,
                singles=plan.singles(step),
                twisted=0.4 if step >= plan.twists * plan.steps else 0.0,
            )
            generator = torch.Generator().manual_seed(plan.seed * 1_000_003 + step)
            pictures = augmented(batch.pictures, generator).sub_(MEAN).div_(STD)
            for group, rate in zip(
                self.optimiser.param_groups, (plan.matrix_lr, plan.lr), strict=True
            ):
                group["lr"] = rate * plan.pace(step)
            seen = F.normalize(self.model.encode_image(pictures), dim=-1)
            said = F.normalize(self.model.encode_text(self.tokenize(batch.captions)), dim=-1)
            logits = self.model.logit_scale.exp() * seen @ said.T + self.model.logit_bias
            loss, right = contrastive_loss(logits, batch.true)
            loss = loss + plan.pairwise * pairwise_loss(logits, batch.true)
            self.optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimiser.step()
            with torch.no_grad():
                self.model.logit_scale.clamp_(0, math.log(100))
            self.step += 1
            yield StepResult(step, float(loss.detach()), right)

    def state(self) -> dict[str, Any]:
        """Everything that `restore` needs; batches follow from seed and step."""
        return {
            "step": self.step,
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what `state` gave."""
        self.step = state["step"]
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
