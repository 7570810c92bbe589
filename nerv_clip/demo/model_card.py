"""The small CLIP's model card: what it knows, how it was made, how far it can be trusted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nerv_clip.demo.captions import words
from nerv_clip.demo.facts import PLAIN
from nerv_clip.demo.scene import COLOURS
from nerv_clip.demo.scores import CHOICES
from nerv_clip.demo.shapes import KINDS
from nerv_clip.files import atomic_write

CARD = "README.md"


def score_lines(result: dict[str, Any]) -> list[str]:
    """The scores as a Markdown table."""
    lines = ["| score | | chance |", "| --- | --- | --- |"]
    for name, group in result["groups"].items():
        lines.append(
            f"| mean average precision, {name} ({group['queries']} queries) "
            f"| {group['map']:.3f} | {group['chance']:.3f} |"
        )
    chance = f"{1 / CHOICES:.3f}"
    lines.append(
        f"| R@1 among {CHOICES} captions, the others of other pictures "
        f"| {result['recall']:.3f} | {chance} |"
    )
    lines.append(
        f"| R@1 among {CHOICES} captions, the others wrong in one attribute "
        f"| {result['recall_twisted']:.3f} | {chance} |"
    )
    kept = [same > opposite for *_, same, opposite in result["meanings"]]
    lines.append(f"| synonyms nearer than antonyms | {sum(kept) / len(kept):.3f} | 0.500 |")
    return lines


def write(
    folder: Path, plan: dict[str, Any], ones: int, many: int, tests: int, result: dict[str, Any]
) -> None:
    """Write the card."""
    settings = ", ".join(f"{name} {value}" for name, value in plan.items())
    scores = sorted((score, name) for name, (score, _) in result["queries"].items())
    weakest = ", ".join(f"{name} ({score:.2f})" for score, name in scores[:6])
    text = f"""# The demo encoder

A small CLIP (Radford et al., 2021) for one rendered kitchen, trained from nothing by
`python train/train_demo_clip.py`. It exists so that NeRV-CLIP's whole path (train, search by
text, verify) runs offline with real semantics and exact labels. It knows nothing else.

**Use.** `--clip_model demo`, or with open_clip `local-dir:` and this folder; the tokenizer takes
`bpe_path` from here. Pictures are squashed to 96x96, embeddings have 512 numbers.

**What it knows.** Things: {", ".join(KINDS)}. Colours: {", ".join(COLOURS)}. A hand that holds a
thing; two of a thing; tap, fridge and stove on or off, open or closed; a steaming kettle; a pan on
the fire; lights on or off; day or night. It knows {len(words())} words (`words.txt`); any other
is refused by name.

**Data.** {ones:,} pictures of one thing and {many:,} of up to six, rendered by `nerv_clip/demo`
with random compositions, colours, lights, cameras and kitchens; captions from a grammar with
synonyms. No photograph, and nothing from the network.

**Training.** {settings}. The loss is CLIP's, with pairs left out that are true without being each
other's; single things come first, then many, then captions that are wrong in one attribute.

**Scores** on {tests:,} unseen random scenes (videos of unseen kitchens: bench/results):

{chr(10).join(score_lines(result))}

**Limits.** No caption said left or right, large or small, or how many beyond two. What covers less
than {PLAIN.seen:.2%} of a picture was not said to be there. It has not seen a photograph.
Its weakest queries: {weakest}.
"""
    with atomic_write(folder / CARD) as temporary:
        temporary.write_text(text)
