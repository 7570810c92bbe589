"""The model card of the small CLIP: its vocabulary, its training, its scores and its limits."""

from __future__ import annotations

import textwrap
from dataclasses import asdict
from pathlib import Path

from nerv_clip.demo.captions import words
from nerv_clip.demo.facts import DEFAULT
from nerv_clip.demo.pretraining import TrainingPlan
from nerv_clip.demo.scene import COLOURS
from nerv_clip.demo.scores import CHOICES, EncoderScores
from nerv_clip.demo.shapes import KINDS
from nerv_clip.files import atomic_write

CARD = "README.md"


def score_lines(scores: EncoderScores) -> list[str]:
    """The scores as the lines of a Markdown table."""
    lines = ["| score | | chance |", "| --- | --- | --- |"]
    for name, group in scores.groups.items():
        lines.append(
            f"| mean average precision, {name} ({group.queries} queries) "
            f"| {group.precision:.3f} | {group.chance:.3f} |"
        )
    for captions, recall in (
        ("of other pictures", scores.recall),
        ("wrong in one attribute", scores.hard_recall),
    ):
        name = f"R@1 among {CHOICES} captions, {CHOICES - 1} of them {captions}"
        lines.append(f"| {name} | {recall:.3f} | {1 / CHOICES:.3f} |")
    closer = [row.to_synonym > row.to_opposite for row in scores.synonyms]
    lines.append(
        f"| texts closer to their synonym than to their opposite "
        f"| {sum(closer) / len(closer):.3f} | 0.500 |"
    )
    return lines


def write_card(
    folder: Path,
    plan: TrainingPlan,
    *,
    singles: int,
    scenes: int,
    tests: int,
    scores: EncoderScores,
) -> None:
    """Write the card; ``singles``, ``scenes`` and ``tests`` count the rendered pictures."""
    settings = ", ".join(f"{name} {value}" for name, value in asdict(plan).items())
    worst = sorted((score.precision, name) for name, score in scores.queries.items())[:6]
    weakest = ", ".join(f"{name} ({score:.2f})" for score, name in worst)
    before = f"""
A small CLIP (Radford et al., 2021) for rendered kitchens, trained from random weights by
`python train/train_demo_clip.py`. With it, all of NeRV-CLIP (training, text search, verification)
runs offline, with meaningful embeddings and exact labels. It is of no use for other videos.

**Usage.** `--clip_model demo`; in open_clip, `local-dir:` with this folder, and the tokenizer with
`bpe_path` set to the file in this folder. Pictures are resized to 96x96 without keeping their
aspect ratio. Embeddings have 512 dimensions.

**Vocabulary.** Objects: {", ".join(KINDS)}. Colours: {", ".join(COLOURS)}. A hand that holds an
object; two of an object; tap, fridge and stove on or off, open or closed; a steaming kettle; a pan
on the fire; lights on or off; day or night. The grammar has {len(words())} words (`words.txt`).
A text with another word is refused with a message that names the word.

**Data.** {singles:,} pictures of one object and {scenes:,} of up to six, rendered by
`nerv_clip/demo` with random compositions, colours, lights, cameras and kitchens. A grammar with
synonyms generates the captions. No photographs and no downloaded data were used.

**Training.** Settings: {settings}. The loss is CLIP's, computed without the pairs that are true by
chance, plus SigLIP's (Zhai et al., 2023), weighted by `pairwise_weight`. Training begins with
pictures of single objects, continues with scenes, and then adds captions that are wrong in one
attribute.

**Scores** on {tests:,} random scenes that were not used for training (for videos of other kitchens,
see `bench/results/demo_encoder.md`):
"""
    after = f"""
**Limitations.** The captions do not describe left and right, size, or numbers above two. Objects
that cover less than {DEFAULT.area:.2%} of a picture are not labelled. The encoder was not trained
on photographs. Queries with the lowest average precision: {weakest}.
"""
    table = "\n".join(score_lines(scores))
    blocks = ["# The demo encoder", *_paragraphs(before), table, *_paragraphs(after)]
    with atomic_write(folder / CARD) as temporary:
        temporary.write_text("\n\n".join(blocks) + "\n")


def _paragraphs(text: str) -> list[str]:
    """The paragraphs of a text, each wrapped to lines of 100 characters."""
    return [
        textwrap.fill(paragraph, 100, break_long_words=False, break_on_hyphens=False)
        for paragraph in text.strip().split("\n\n")
    ]
