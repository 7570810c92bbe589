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
from nerv_clip.demo.facts import FACT_INDEX, FACTS, PAIRS, STATES, fact_matrix
from nerv_clip.demo.pool import Pool
from nerv_clip.demo.scene import COLOURS
from nerv_clip.demo.shapes import KINDS

OPPOSITE = {a: b for pair in STATES.values() for a, b in (pair, pair[::-1])}
# facts that cover little of a picture: captioned three times as often
SMALL = ("tap on", "fire on", "steam on", "fridge open", "hand", "pan on fire")
ALWAYS = (*PAIRS, *OPPOSITE, *SMALL, *SMALL)  # captioned in every batch
SOMETIMES = tuple(name for name in FACTS if name not in ALWAYS)


@dataclass(frozen=True)
class Batch:
    """B pictures and M captions.

    ``pictures`` (B, 3, S, S) are uint8; ``matches`` (B, M) says which caption is true of which
    picture.
    """

    pictures: Tensor
    captions: list[str]
    matches: Tensor


def draw_batch(
    single_pool: Pool,
    scene_pool: Pool,
    rng: np.random.Generator,
    *,
    size: int,
    single_share: float,
    hard_negative_share: float,
    other_facts: int = 34,
) -> Batch:
    """Draw ``size`` pictures, a share ``single_share`` of them from ``single_pool``.

    Each picture has a caption with one to three of its facts, and a share ``hard_negative_share``
    of the pictures also has one that is wrong in a single attribute. The facts in `ALWAYS`, and
    ``other_facts`` of the remaining ones, have a caption each. All captions are compared with all
    pictures.
    """
    singles = round(size * single_share)
    pictures, facts = [], []
    for pool, count in ((single_pool, singles), (scene_pool, size - singles)):
        chosen = rng.integers(len(pool), size=count)
        pictures.append(pool.pictures[chosen])
        facts.append(pool.facts[chosen])
    true = np.concatenate(facts)
    captioned: list[tuple[str, ...]] = []
    for number, row in enumerate(true):
        captioned.append(_choose(np.flatnonzero(row), rng))
        negative = None
        if number < size * hard_negative_share:
            negative = _hard_negative(captioned[-1], row, rng)
        captioned += [negative] if negative else []
    captioned += [(name,) for name in ALWAYS]
    others = rng.permutation(len(SOMETIMES))[:other_facts]
    captioned += [(SOMETIMES[int(index)],) for index in others]
    missing = (~true).astype(np.float32) @ fact_matrix(captioned).T.astype(np.float32)
    texts = [caption(_shuffled(names, rng), rng) for names in captioned]
    return Batch(
        torch.from_numpy(np.concatenate(pictures)).permute(0, 3, 1, 2),
        texts,
        torch.from_numpy(missing == 0),
    )


@cache
def _weights() -> NDArray[np.float64]:
    """Relative frequency of the facts in captions (F,): higher for facts that are hard to learn."""
    weight = np.ones(len(FACTS))
    for name, index in FACT_INDEX.items():
        if name in PAIRS:
            weight[index] = 3.0
        elif name.startswith("hold "):
            weight[index] = 1.5
        elif name in OPPOSITE:
            weight[index] = 0.4 if name.endswith((" off", " closed")) else 0.8
        elif name.endswith(" thing"):
            weight[index] = 0.4
    return weight


def _choose(true: NDArray[np.intp], rng: np.random.Generator) -> tuple[str, ...]:
    """One to three of the facts with the indices ``true``."""
    count = min(len(true), int(rng.choice([1, 2, 3], p=[0.5, 0.3, 0.2])))
    weight = _weights()[true]
    chosen = rng.choice(true, count, replace=False, p=weight / weight.sum())
    return tuple(FACTS[int(index)] for index in chosen)


def _shuffled(names: tuple[str, ...], rng: np.random.Generator) -> list[str]:
    return [names[int(index)] for index in rng.permutation(len(names))]


def _hard_negative(
    names: tuple[str, ...], row: NDArray[np.bool_], rng: np.random.Generator
) -> tuple[str, ...] | None:
    """The facts with one attribute changed so that they are not all true of a picture.

    None if four attempts give none.
    """
    for _ in range(4):
        index = int(rng.integers(len(names)))
        other = change_attribute(names[index], rng)
        if other in FACT_INDEX and not row[FACT_INDEX[other]]:
            return (*names[:index], other, *names[index + 1 :])
    return None


def change_attribute(fact: str, rng: np.random.Generator) -> str:
    """A fact that differs in one attribute: the colour, the kind of object, or the state.

    The new value is random and may equal the old one. A fact without attributes, such as "hand",
    is returned unchanged.
    """
    if fact in OPPOSITE:
        return OPPOSITE[fact]
    parts = fact.split(" ")
    attributes = [i for i, part in enumerate(parts) if part in COLOURS or part in KINDS]
    if not attributes or fact == "pan on fire":
        return fact
    index = attributes[int(rng.integers(len(attributes)))]
    choices = list(COLOURS) if parts[index] in COLOURS else list(KINDS)
    parts[index] = str(rng.choice(choices))
    return " ".join(parts)


def augment(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """Random shifts and tints of pictures (B, 3, S, S) uint8, as floats in [0, 1].

    Every third picture is blurred, because frames decoded by a network are softer than rendered
    ones.
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
    for group in torch.split(values, max(1, count // 16)):  # one shift for each group
        down, right = (int(v) for v in torch.randint(-5, 6, (2,), generator=generator))
        side = group.shape[-1]
        padded = F.pad(group, (5, 5, 5, 5), mode="replicate")
        group.copy_(padded[..., 5 + down : 5 + down + side, 5 + right : 5 + right + side])
    return values
