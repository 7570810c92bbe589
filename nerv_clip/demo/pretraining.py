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

from nerv_clip.clip_encoder import LOCAL, load_tokenizer
from nerv_clip.demo.batches import augmented, draw
from nerv_clip.demo.clip_folder import new_model
from nerv_clip.demo.pool import Pool


@dataclass(frozen=True)
class Plan:
    """Length and curriculum of the training."""

    steps: int = 4000
    batch: int = 256
    captions: int = 2  # of each picture in a batch
    lr: float = 2e-3
    decay: float = 0.05
    warm_up: int = 100
    alone: float = 0.1  # this share of the steps sees single things only: colours and kinds first
    mixed: float = 0.25  # by this share, most pictures hold many things
    twists: float = 0.35  # from this share on, captions that are wrong in one attribute
    seed: int = 0

    def singles(self, step: int) -> float:
        """The share of a batch's pictures that hold one thing."""
        done = step / self.steps
        falling = 1 - (done - self.alone) / (self.mixed - self.alone)
        return min(1.0, max(0.12, falling))

    def rate(self, step: int) -> float:
        """The learning rate: a linear warm-up, then a cosine to 2 %."""
        if step < self.warm_up:
            return self.lr * (step + 1) / self.warm_up
        done = (step - self.warm_up) / max(1, self.steps - self.warm_up)
        return self.lr * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done)))


class StepResult(NamedTuple):
    """One step of training."""

    step: int
    loss: float
    right: float  # share of the true captions that beat every wrong caption of the batch


def contrastive_loss(
    pictures: Tensor, texts: Tensor, true: Tensor, scale: Tensor
) -> tuple[Tensor, float]:
    """CLIP's symmetric loss where what is true is known: (B, D), (M, D), (B, M) bool.

    Each true pair competes with the wrong captions of its picture and with the pictures of which
    its caption is wrong; other true pairs, which CLIP takes for wrong, are left out. Returns the
    loss and the share of true pairs that win against every wrong caption.
    """
    logits = scale * pictures @ texts.T
    wrong = logits.masked_fill(true, -1e4)
    by_picture = F.softplus(wrong.logsumexp(1, keepdim=True) - logits)
    by_text = F.softplus(wrong.logsumexp(0, keepdim=True) - logits)
    weight = true / true.sum(0, keepdim=True).clamp(min=1)  # each caption counts once
    loss = (weight * (by_picture + by_text)).sum() / weight.sum() / 2
    with torch.no_grad():
        wins = (weight * (logits > wrong.max(1, keepdim=True).values)).sum() / weight.sum()
    return loss, float(wins)


class Pretraining:
    """The small CLIP's training: a generator of steps, and its state for a later resume."""

    def __init__(self, folder: Path, ones: Pool, many: Pool, plan: Plan) -> None:
        self.plan, self.ones, self.many = plan, ones, many
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(plan.seed)
            self.model: Any = new_model(folder)
        self.tokenize = load_tokenizer(f"{LOCAL}{folder}")
        self.step = 0
        decayed = [p for p in self.model.parameters() if p.ndim > 1]
        others = [p for p in self.model.parameters() if p.ndim <= 1]
        groups: list[dict[str, Any]] = [
            {"params": decayed, "weight_decay": plan.decay},
            {"params": others},
        ]
        self.optimiser = torch.optim.AdamW(groups, lr=plan.lr, weight_decay=0, betas=(0.9, 0.98))

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
                captions=plan.captions,
                twisted=0.5 if step >= plan.twists * plan.steps else 0.0,
            )
            generator = torch.Generator().manual_seed(plan.seed * 1_000_003 + step)
            pictures = (augmented(batch.pictures, generator) - 0.5) / 0.25
            for group in self.optimiser.param_groups:
                group["lr"] = plan.rate(step)
            seen = F.normalize(self.model.encode_image(pictures), dim=-1)
            said = F.normalize(self.model.encode_text(self.tokenize(batch.captions)), dim=-1)
            loss, right = contrastive_loss(seen, said, batch.true, self.model.logit_scale.exp())
            self.optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
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
