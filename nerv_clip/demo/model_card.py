"""The model card of the small CLIP: its vocabulary, its training, its scores and its limits."""

from __future__ import annotations

import textwrap
from pathlib import Path

from nerv_clip.demo.captions import words
from nerv_clip.demo.facts import DEFAULT
from nerv_clip.demo.model_folder import EMBEDDING
from nerv_clip.demo.pool import SIDE
from nerv_clip.demo.pretraining import TrainingPlan
from nerv_clip.demo.scene import COLOURS
from nerv_clip.demo.scores import CHOICES, EncoderScores
from nerv_clip.demo.shapes import KINDS
from nerv_clip.files import atomic_write

CARD = "README.md"
USAGE = """\
```python
import open_clip
import torch
from PIL import Image

folder = "checkpoints/demo_clip"
model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{folder}")
model.eval()
tokenizer = open_clip.get_tokenizer(f"local-dir:{folder}", bpe_path=f"{folder}/bpe.txt.gz")
with torch.no_grad():
    image = model.encode_image(preprocess(Image.open("picture.png"))[None])
    texts = model.encode_text(tokenizer(["a yellow mug", "a purple kettle"]))
print(torch.nn.functional.cosine_similarity(image, texts))
```"""


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
    worst = sorted((score.precision, name) for name, score in scores.queries.items())[:6]
    weakest = ", ".join(f"{name} ({score:.2f})" for score, name in worst)
    before = """
A small CLIP (Radford et al., 2021) for rendered kitchens, trained from random weights by
`python train/train_demo_clip.py`. With it, all of NeRV-CLIP (training, text search, verification)
runs offline, with meaningful embeddings and exact labels. It is of no use for other videos.

**Usage.** In NeRV-CLIP: `--clip_model demo`. In open_clip, the tokenizer needs the path of
`bpe.txt.gz`:
"""
    middle = f"""
Pictures are resized to {SIDE}x{SIDE} without keeping their aspect ratio. Embeddings have
{EMBEDDING} dimensions.

**Vocabulary.** Objects: {", ".join(KINDS)}. Colours: {", ".join(COLOURS)}. A hand that holds an
object; two of an object; tap, fridge and stove on or off, open or closed; a steaming kettle; a pan
on the fire; lights on or off; day or night. The grammar has {len(words())} words (`words.txt`).
A text with another word is refused with a message that names the word.

**Data.** {singles:,} pictures of one object and {scenes:,} of up to six, rendered by
`nerv_clip/demo` with random compositions, colours, lights, cameras and kitchens. A grammar with
synonyms generates the captions. No photographs and no downloaded data were used.

**Training.** {plan.steps:,} steps of {plan.batch} pictures, seed {plan.seed}. Muon updates the
matrices at a learning rate of {plan.matrix_lr:g}, Adam the other parameters at {plan.lr:g}; both
rates rise linearly during the first {plan.warm_up} steps, then fall to 1 % along a cosine. The loss
is CLIP's, computed without the pairs that are true by chance, plus {plan.pairwise_weight:g} times
SigLIP's (Zhai et al., 2023). The first {100 * plan.single_until:g} % of the steps use pictures of
single objects only; from {100 * plan.scenes_from:g} % of the steps on, most pictures are scenes.
From {100 * plan.hard_negatives_from:g} % of the steps on, captions that are wrong in one attribute
are added.

**Scores** on {tests:,} random scenes that were not used for training (for videos of other kitchens,
see `bench/results/demo_encoder.md`):
"""
    after = f"""
**Limitations.** The captions do not describe left and right, size, or numbers above two. Objects
that cover less than {100 * DEFAULT.area:g} % of a picture are not labelled. The encoder was not
trained on photographs. Queries with the lowest average precision: {weakest}.
"""
    table = "\n".join(score_lines(scores))
    blocks = [
        "# The demo encoder",
        *_paragraphs(before),
        USAGE,
        *_paragraphs(middle),
        table,
        *_paragraphs(after),
    ]
    with atomic_write(folder / CARD) as temporary:
        temporary.write_text("\n\n".join(blocks) + "\n", encoding="utf-8")


def _paragraphs(text: str) -> list[str]:
    """The paragraphs of a text, each wrapped to lines of 100 characters."""
    return [
        textwrap.fill(paragraph, 100, break_long_words=False, break_on_hyphens=False)
        for paragraph in text.strip().split("\n\n")
    ]
