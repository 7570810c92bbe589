"""How well pictures and texts find each other, where what is true of each picture is known."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nerv_clip.demo.batches import twist
from nerv_clip.demo.captions import MEANINGS, query
from nerv_clip.demo.facts import PAIRS, PLACE, STATES, facts, truth
from nerv_clip.demo.kitchen import read_labels
from nerv_clip.metrics import average_precision
from nerv_clip.progress import SILENT, Progress
from nerv_clip.teacher.encoder import ClipEncoder

GROUPS: dict[str, tuple[str, ...]] = {
    "colour + object": PAIRS,
    "actions": ("tap on", "fridge open", "fire on", "steam on", "hand", "pan on fire"),
    "lights": STATES["lamp"],
    "states": (*STATES["day"], "tap off", "fridge closed", "fire off", "steam off"),
}
RARE = 5  # a query that fewer pictures answer is not scored
CHOICES = 64


def precision_by_query(
    encoder: ClipEncoder, pictures: Tensor, true: NDArray[np.bool_]
) -> dict[str, tuple[float, float]]:
    """Average precision of every label query, and its chance (the share of true pictures).

    ``pictures`` are unit embeddings (N, D). Queries that fewer than `RARE` pictures answer, or
    that all do, are left out.
    """
    names = [name for group in GROUPS.values() for name in group]
    kept = [n for n in names if RARE <= true[:, PLACE[n]].sum() < len(true)]
    texts = encoder.texts([query(name) for name in kept])
    score = (pictures @ texts.T.cpu()).numpy()
    out = {}
    for column, name in zip(score.T, kept, strict=True):
        positive = true[:, PLACE[name]]
        out[name] = (average_precision(column, positive), float(positive.mean()))
    return out


def labelled_queries(path: Path) -> dict[str, NDArray[np.bool_]]:
    """The label queries that occur in a ``labels.json``, each with the frames that it is true of.

    A query that fewer than `RARE` frames answer, or that all do, is left out.
    """
    true = truth([facts(labels) for labels in read_labels(path)])
    names = [name for group in GROUPS.values() for name in group]
    kept = [name for name in names if RARE <= true[:, PLACE[name]].sum() < len(true)]
    return {query(name): true[:, PLACE[name]] for name in kept}


def mean_by_group(by_query: dict[str, tuple[float, float]]) -> dict[str, dict[str, float]]:
    """Mean average precision, mean chance and the number of queries, for each of `GROUPS`."""
    out = {}
    for group, names in GROUPS.items():
        values = [by_query[name] for name in names if name in by_query]
        if values:
            score, chance = np.mean(values, 0)
            out[group] = {"map": float(score), "chance": float(chance), "queries": len(values)}
    return out


def recall_at_1(
    encoder: ClipEncoder,
    pictures: Tensor,
    true: NDArray[np.bool_],
    *,
    twisted: bool,
    doubt: NDArray[np.bool_] | None = None,
    templates: Sequence[str] = ("{}",),
    seed: int = 0,
    progress: Progress = SILENT,
) -> float:
    """Share of pictures whose own caption beats 63 that are wrong of it; chance is 1/64.

    Captions say three facts. The wrong ones are other pictures' captions or, ``twisted``, the
    picture's own with one attribute changed. A caption that is true of the picture is no rival.
    ``doubt`` (N, F) marks what of a picture is neither plainly true nor plainly false
    (`facts.doubtful`): its own caption does not say it, and saying it makes no rival. A caption's
    embedding is averaged over ``templates``.
    """
    rng = np.random.default_rng(seed)
    doubt = np.zeros_like(true) if doubt is None else doubt
    said = [_three(row, rng) for row in true & ~doubt]
    true = true | doubt  # of rivals: what cannot be held against them
    ask = partial(_averaged, encoder, templates)
    own = ask([_sentence(names) for names in said])
    needed = truth(said)
    right = 0
    with progress.task("scoring", len(pictures), "picture") as task:
        for index, picture in enumerate(pictures):
            if twisted:
                wrong = ask(_twists(said[index], true[index], rng))
            else:
                false = np.flatnonzero((needed & ~true[index]).any(1))
                wrong = own[rng.choice(false, CHOICES - 1, replace=False)]
            right += int(picture @ own[index] > (wrong @ picture).max())
            task.advance()
    return right / len(pictures)


def _averaged(encoder: ClipEncoder, templates: Sequence[str], texts: list[str]) -> Tensor:
    """Unit embeddings (N, D), each the mean over templates."""
    parts = [encoder.texts([template.format(text) for text in texts]) for template in templates]
    return torch.nn.functional.normalize(torch.stack(parts).mean(0), dim=1).cpu()


def _three(row: NDArray[np.bool_], rng: np.random.Generator) -> tuple[str, ...]:
    """Three facts about a picture, things with their colours before the rest."""
    pairs = [name for name in PAIRS if row[PLACE[name]]]
    rest = [n for group in ("actions", "lights", "states") for n in GROUPS[group] if row[PLACE[n]]]
    chosen = [str(n) for n in rng.permutation(pairs)[:2]]
    chosen += [str(n) for n in rng.permutation(rest)[: 3 - len(chosen)]]
    return tuple(chosen)


def _sentence(names: Sequence[str]) -> str:
    return " and ".join(query(name) for name in names)


def _twists(names: tuple[str, ...], row: NDArray[np.bool_], rng: np.random.Generator) -> list[str]:
    texts: list[str] = []
    while len(texts) < CHOICES - 1:
        changed = list(names)
        index = int(rng.integers(len(names)))
        changed[index] = twist(names[index], rng)
        if changed[index] in PLACE and not row[PLACE[changed[index]]]:
            texts.append(_sentence(changed))
    return texts


def meanings_kept(encoder: ClipEncoder) -> list[tuple[str, str, str, float, float]]:
    """Each row of `MEANINGS` with how near its synonym and its antonym are (cosine)."""
    rows = []
    for text, same, opposite in MEANINGS:
        a, b, c = encoder.texts([text, same, opposite])
        rows.append((text, same, opposite, float(a @ b), float(a @ c)))
    return rows


def measure(
    encoder: ClipEncoder,
    pictures: Tensor,
    true: NDArray[np.bool_],
    progress: Progress = SILENT,
) -> dict[str, Any]:
    """Every score of an encoder on pictures (N, D) of which ``true`` (N, F) is known.

    It takes minutes for thousands of pictures.

    ``groups`` and ``queries`` hold average precisions, ``recall`` and ``recall_twisted`` R@1 among
    `CHOICES` captions, ``meanings`` the rows of `meanings_kept`.
    """
    by_query = precision_by_query(encoder, pictures, true)
    return {
        "groups": mean_by_group(by_query),
        "queries": by_query,
        "recall": recall_at_1(encoder, pictures, true, twisted=False, progress=progress),
        "recall_twisted": recall_at_1(encoder, pictures, true, twisted=True, progress=progress),
        "meanings": meanings_kept(encoder),
    }
