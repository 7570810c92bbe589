"""Retrieval scores of an encoder on pictures whose facts are known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nerv_clip.demo.batches import change_attribute
from nerv_clip.demo.captions import SYNONYMS, query
from nerv_clip.demo.facts import FACT_INDEX, PAIRS, STATES, fact_matrix, facts_of
from nerv_clip.demo.kitchen import read_labels
from nerv_clip.progress import SILENT, Progress
from nerv_clip.similarity import average_precision
from nerv_clip.teacher.encoder import ClipEncoder

GROUPS: dict[str, tuple[str, ...]] = {
    "colour + object": PAIRS,
    "actions": ("tap on", "fridge open", "fire on", "steam on", "hand", "pan on fire"),
    "lights": STATES["lamp"],
    "states": (*STATES["day"], "tap off", "fridge closed", "fire off", "steam off"),
}
MIN_POSITIVES = 5  # queries that are true of fewer pictures are not scored
CHOICES = 64  # captions that R@1 chooses from


class QueryScore(NamedTuple):
    """Average precision of a query, and its expectation by chance: the share of true pictures."""

    precision: float
    chance: float


class GroupScore(NamedTuple):
    """Mean of the average precisions of ``queries`` queries, and mean of their chance values."""

    precision: float
    chance: float
    queries: int


class SynonymScore(NamedTuple):
    """Cosine similarity of a text to its synonym and to its opposite."""

    text: str
    synonym: str
    opposite: str
    to_synonym: float
    to_opposite: float


@dataclass(frozen=True)
class EncoderScores:
    """Scores of an encoder.

    ``recall`` and ``hard_recall`` are R@1 among `CHOICES` captions: those of other pictures, and
    those that are wrong in one attribute.
    """

    groups: dict[str, GroupScore]
    queries: dict[str, QueryScore]
    recall: float
    hard_recall: float
    synonyms: list[SynonymScore]


def scored_queries(true: NDArray[np.bool_]) -> list[str]:
    """The facts of `GROUPS` that are true of `MIN_POSITIVES` or more pictures, but not of all.

    ``true`` (N, F) says which facts are true of each picture.
    """
    names = [name for group in GROUPS.values() for name in group]
    return [n for n in names if MIN_POSITIVES <= true[:, FACT_INDEX[n]].sum() < len(true)]


def precision_by_query(
    encoder: ClipEncoder, pictures: Tensor, true: NDArray[np.bool_]
) -> dict[str, QueryScore]:
    """The score of each of `scored_queries`.

    ``pictures`` (N, D) are unit embeddings, ``true`` (N, F) says which facts are true of them.
    """
    names = scored_queries(true)
    texts = encoder.texts([query(name) for name in names])
    similarity = (pictures @ texts.T.cpu()).numpy()
    scores = {}
    for column, name in zip(similarity.T, names, strict=True):
        positive = true[:, FACT_INDEX[name]]
        precision = average_precision(column, positive)
        scores[name] = QueryScore(precision, float(positive.mean()))
    return scores


def labelled_queries(path: Path) -> dict[str, NDArray[np.bool_]]:
    """The queries that a ``labels.json`` can score, each with the frames that it is true of (T,).

    Raises `InputError` if the file cannot be read.
    """
    true = fact_matrix([facts_of(labels) for labels in read_labels(path)])
    return {query(name): true[:, FACT_INDEX[name]] for name in scored_queries(true)}


def mean_by_group(by_query: dict[str, QueryScore]) -> dict[str, GroupScore]:
    """The mean scores of each of `GROUPS` that has queries."""
    scores = {}
    for group, names in GROUPS.items():
        values = [by_query[name] for name in names if name in by_query]
        if values:
            precision, chance = np.mean(values, axis=0)
            scores[group] = GroupScore(float(precision), float(chance), len(values))
    return scores


def recall_at_1(
    encoder: ClipEncoder,
    pictures: Tensor,
    true: NDArray[np.bool_],
    *,
    hard_negatives: bool,
    ambiguous: NDArray[np.bool_] | None = None,
    templates: Sequence[str] = ("{}",),
    seed: int = 0,
    progress: Progress = SILENT,
) -> float:
    """The share of pictures (N, D) whose own caption scores higher than 63 false ones.

    Chance is 1/64. Captions have three facts. The false ones are captions of other pictures or,
    with ``hard_negatives``, the picture's own caption with one attribute changed. ``ambiguous``
    (N, F) marks facts that are neither plainly true nor plainly false of a picture
    (`nerv_clip.demo.facts.ambiguous_facts`): its own caption leaves them out, and they do not make
    a caption false. The embedding of a caption is averaged over ``templates``.
    """
    rng = np.random.default_rng(seed)
    ambiguous = np.zeros_like(true) if ambiguous is None else ambiguous
    captioned = [_three_facts(row, rng) for row in true & ~ambiguous]
    possible = true | ambiguous
    embed = partial(_embed, encoder, templates)
    own = embed([_sentence(names) for names in captioned])
    needed = fact_matrix(captioned)
    correct = 0
    with progress.task("scoring", len(pictures), "picture") as task:
        for index, picture in enumerate(pictures):
            if hard_negatives:
                others = embed(_false_sentences(captioned[index], possible[index], rng))
            else:
                false = np.flatnonzero((needed & ~possible[index]).any(1))
                others = own[rng.choice(false, CHOICES - 1, replace=False)]
            correct += int(picture @ own[index] > (others @ picture).max())
            task.advance()
    return correct / len(pictures)


def _embed(encoder: ClipEncoder, templates: Sequence[str], texts: list[str]) -> Tensor:
    """Unit embeddings (N, D) of texts, each the mean over templates."""
    parts = [encoder.texts([template.format(text) for text in texts]) for template in templates]
    return torch.nn.functional.normalize(torch.stack(parts).mean(0), dim=1).cpu()


def _three_facts(row: NDArray[np.bool_], rng: np.random.Generator) -> tuple[str, ...]:
    """Three true facts of a picture: up to two objects with their colours, then others."""
    pairs = [name for name in PAIRS if row[FACT_INDEX[name]]]
    names = [name for group in ("actions", "lights", "states") for name in GROUPS[group]]
    rest = [name for name in names if row[FACT_INDEX[name]]]
    chosen = [str(n) for n in rng.permutation(pairs)[:2]]
    chosen += [str(n) for n in rng.permutation(rest)[: 3 - len(chosen)]]
    return tuple(chosen)


def _sentence(names: Sequence[str]) -> str:
    return " and ".join(query(name) for name in names)


def _false_sentences(
    names: tuple[str, ...], possible: NDArray[np.bool_], rng: np.random.Generator
) -> list[str]:
    """Sentences that differ from a picture's own in one attribute, which is false of it."""
    texts: list[str] = []
    while len(texts) < CHOICES - 1:
        changed = list(names)
        index = int(rng.integers(len(names)))
        changed[index] = change_attribute(names[index], rng)
        if changed[index] in FACT_INDEX and not possible[FACT_INDEX[changed[index]]]:
            texts.append(_sentence(changed))
    return texts


def synonym_scores(encoder: ClipEncoder) -> list[SynonymScore]:
    """The score of each row of `SYNONYMS`."""
    rows = []
    for text, synonym, opposite in SYNONYMS:
        a, b, c = encoder.texts([text, synonym, opposite])
        rows.append(SynonymScore(text, synonym, opposite, float(a @ b), float(a @ c)))
    return rows


def measure(
    encoder: ClipEncoder,
    pictures: Tensor,
    true: NDArray[np.bool_],
    progress: Progress = SILENT,
) -> EncoderScores:
    """All scores of an encoder on pictures (N, D) with the facts ``true`` (N, F).

    It takes minutes for thousands of pictures.
    """
    by_query = precision_by_query(encoder, pictures, true)
    recall = partial(recall_at_1, encoder, pictures, true, progress=progress)
    return EncoderScores(
        groups=mean_by_group(by_query),
        queries=by_query,
        recall=recall(hard_negatives=False),
        hard_recall=recall(hard_negatives=True),
        synonyms=synonym_scores(encoder),
    )
