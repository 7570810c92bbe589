"""Batches of pictures and captions for contrastive training, each a function of seed and step."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from nerv_clip.demo.captions import caption
from nerv_clip.demo.facts import FACTS, PAIRS, PLACE, STATES, truth
from nerv_clip.demo.pool import Pool
from nerv_clip.demo.scene import COLOURS
from nerv_clip.demo.shapes import KINDS

TWIST = {a: b for pair in STATES.values() for a, b in (pair, pair[::-1])}
# what fills little of a picture is said three times
SMALL = ("tap on", "fire on", "steam on", "fridge open", "hand", "pan on fire")
ALWAYS = (*PAIRS, *TWIST, *SMALL, *SMALL)
SOMETIMES = tuple(name for name in FACTS if name not in ALWAYS)


@dataclass(frozen=True)
class Batch:
    """B pictures (B, 3, S, S) uint8, M captions, and which are true of which: (B, M) bool."""

    pictures: Tensor
    captions: list[str]
    true: Tensor


def draw(
    ones: Pool,
    many: Pool,
    rng: np.random.Generator,
    *,
    size: int,
    singles: float,
    twisted: float,
    others: int = 34,
) -> Batch:
    """A batch of ``size`` pictures, a share ``singles`` of them with one thing.

    A caption with one to three facts is said of each; of a share ``twisted`` of the pictures also
    one that is wrong in a single attribute. Every thing in every colour and every state is said
    on its own as well, and ``others`` of the remaining facts: so each picture learns from each
    of them, whether it is true of it or not.
    """
    few = round(size * singles)
    pictures, true = [], []
    for pool, count in ((ones, few), (many, size - few)):
        chosen = rng.integers(len(pool), size=count)
        pictures.append(pool.pictures[chosen])
        true.append(pool.true[chosen])
    holds = np.concatenate(true)
    said: list[tuple[str, ...]] = []
    for number, row in enumerate(holds):
        said.append(_choose(np.flatnonzero(row), rng))
        wrong = _twist(said[-1], row, rng) if number < size * twisted else None
        said += [wrong] if wrong else []
    said += [(name,) for name in ALWAYS]
    said += [(SOMETIMES[int(index)],) for index in rng.permutation(len(SOMETIMES))[:others]]
    missing = (~holds).astype(np.float32) @ truth(said).T.astype(np.float32)
    texts = [caption(_shuffled(names, rng), rng) for names in said]
    return Batch(
        torch.from_numpy(np.concatenate(pictures)).permute(0, 3, 1, 2),
        texts,
        torch.from_numpy(missing == 0),
    )


@cache
def _weights() -> NDArray[np.float64]:
    """How often a fact is said, to the others: most for what is hard to learn."""
    weight = np.ones(len(FACTS))
    for name, index in PLACE.items():
        if name in PAIRS:
            weight[index] = 3.0
        elif name.startswith("hold "):
            weight[index] = 1.5
        elif name in TWIST:
            weight[index] = 0.4 if name.endswith((" off", " closed")) else 0.8
        elif name.endswith(" thing"):
            weight[index] = 0.4
    return weight


def _choose(known: NDArray[np.intp], rng: np.random.Generator) -> tuple[str, ...]:
    count = min(len(known), int(rng.choice([1, 2, 3], p=[0.5, 0.3, 0.2])))
    weight = _weights()[known]
    chosen = rng.choice(known, count, replace=False, p=weight / weight.sum())
    return tuple(FACTS[int(index)] for index in chosen)


def _shuffled(names: tuple[str, ...], rng: np.random.Generator) -> list[str]:
    return [names[int(index)] for index in rng.permutation(len(names))]


def _twist(
    names: tuple[str, ...], row: NDArray[np.bool_], rng: np.random.Generator
) -> tuple[str, ...] | None:
    """The same facts with one attribute changed so that they are wrong; None if none is found."""
    for _ in range(4):
        index = int(rng.integers(len(names)))
        other = twist(names[index], rng)
        if other in PLACE and not row[PLACE[other]]:
            return (*names[:index], other, *names[index + 1 :])
    return None


def twist(fact: str, rng: np.random.Generator) -> str:
    """A fact that differs in one attribute: another colour, another thing, the other state."""
    if fact in TWIST:
        return TWIST[fact]
    parts = fact.split(" ")
    places = [i for i, part in enumerate(parts) if part in COLOURS or part in KINDS]
    if not places or fact == "pan on fire":
        return fact
    index = places[int(rng.integers(len(places)))]
    choices = list(COLOURS) if parts[index] in COLOURS else list(KINDS)
    parts[index] = str(rng.choice(choices))
    return " ".join(parts)


def augmented(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """Pictures (B, 3, S, S) uint8 as floats in [0, 1]: shifted, retinted, every third softened.

    A decoded frame is softer than a rendered one, and has to be understood as well.
    """
    count = len(pictures)
    values = pictures.float().div_(255)

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(*shape, generator=generator)

    sharp = values[::3]
    soft = F.avg_pool2d(sharp, 3, 1, 1, count_include_pad=False)
    values[::3] = torch.lerp(sharp, soft, uniform(0.2, 1.0, len(sharp), 1, 1, 1))
    gain = uniform(0.85, 1.15, count, 1, 1, 1) * uniform(0.96, 1.04, count, 3, 1, 1)
    values.mul_(gain).add_(uniform(-0.04, 0.04, count, 1, 1, 1)).clamp_(0, 1)
    for group in torch.split(values, max(1, count // 16)):  # a shift for each sixteenth
        down, right = (int(v) for v in torch.randint(-5, 6, (2,), generator=generator))
        side = group.shape[-1]
        padded = F.pad(group, (5, 5, 5, 5), mode="replicate")
        group.copy_(padded[..., 5 + down : 5 + down + side, 5 + right : 5 + right + side])
    return values
