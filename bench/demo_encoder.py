"""Retrieval by the demo encoder on videos of kitchens that it was not trained on."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from report import heading, table, write
from torch import Tensor
from tqdm import tqdm

from nerv_clip import ClipEncoder, load_clip_encoder
from nerv_clip.cli import main_guard
from nerv_clip.demo import model_card, scores
from nerv_clip.demo.captions import query
from nerv_clip.demo.facts import PAIRS, PLACE, doubtful, facts, label, truth
from nerv_clip.demo.kitchen import SIZE
from nerv_clip.demo.shading import picture
from nerv_clip.demo.story import FRAMES, write_story
from nerv_clip.demo.tracer import trace
from nerv_clip.demo.workers import workers
from nerv_clip.search.phrases import phrases_of
from nerv_clip.search.query import TEMPLATES, text_vector
from nerv_clip.search.question import Background, Question

SAMPLES, DRAWS = 9, 5
FEW = 2  # things in fewer frames of a kitchen count neither as present nor as absent


class Drawn(NamedTuple):
    """A frame, what is true of it, and what of that is a matter of taste."""

    pixels: NDArray[np.uint8]
    true: frozenset[str]
    doubt: frozenset[str]


class Pictures(NamedTuple):
    """Embeddings (N, D) of frames, with the truth and the doubt (N, F) about them."""

    embeddings: Tensor
    true: NDArray[np.bool_]
    doubt: NDArray[np.bool_]


def frames(seeds: list[int], step: int) -> Iterator[Drawn]:
    """Every ``step``-th frame of the seeds' kitchens."""
    jobs = list(product(seeds, range(0, FRAMES, step)))
    with workers() as pool:
        drawn = pool.map(_frame, jobs, chunksize=4)
        yield from tqdm(drawn, total=len(jobs), unit="frame")


def _frame(job: tuple[int, int]) -> Drawn:
    seed, index = job
    scene = write_story(seed, FRAMES).scene(index)
    traced = trace(scene, *SIZE, SAMPLES)
    owner = traced.item.reshape(*SIZE, SAMPLES)
    return Drawn(picture(traced, scene), facts(label(scene, owner)), doubtful(scene, owner))


def embedded(encoder: ClipEncoder, seeds: list[int], step: int) -> Pictures:
    """The frames as the encoder sees them."""
    parts, true, doubt = [], [], []
    for drawn in frames(seeds, step):
        parts.append(encoder.images(torch.from_numpy(drawn.pixels).permute(2, 0, 1)[None]).cpu())
        true.append(drawn.true)
        doubt.append(drawn.doubt)
    return Pictures(torch.cat(parts), truth(true), truth(doubt))


def recalls(encoder: ClipEncoder, of: Pictures) -> dict[str, list[float]]:
    """R@1 where doubtful captions are left out: a sentence alone, and as the search asks it.

    Which facts a caption says is drawn; each of `DRAWS` draws is a figure.
    """
    known = [t for t in TEMPLATES if not encoder.unknown(t.format(""))]
    return {
        name: [
            scores.recall_at_1(
                encoder, of.embeddings, of.true,
                twisted=False, doubt=of.doubt, templates=templates, seed=seed,
            )
            for seed in range(DRAWS)
        ]
        for name, templates in (("one sentence", ["{}"]), ("prompts averaged", known))
    }  # fmt: skip


def clear_matches(
    encoder: ClipEncoder, pictures: Tensor, true: NDArray[np.bool_], kitchens: int
) -> dict[str, list[float]]:
    """Share of clear matches among things that a kitchen shows, and among things it does not.

    The search is that of `nerv_clip.search`, over the true embeddings of each kitchen's frames.
    Each share stands with the number of things.
    """
    background = Background(*(_vectors(encoder, texts) for texts in phrases_of(encoder)))
    questions = {pair: _question(encoder, query(pair), background) for pair in PAIRS}
    matches: dict[str, list[bool]] = {"present": [], "absent": []}
    for part, of_part in zip(
        np.array_split(pictures.half().numpy(), kitchens),
        np.array_split(true, kitchens),
        strict=True,
    ):
        level = background.level(part)
        for pair, question in questions.items():
            seen = of_part[:, PLACE[pair]].sum()
            if seen == 0 or seen >= FEW:
                match = bool(question.scores(part, level).relevancy.max() > level.threshold)
                matches["present" if seen else "absent"].append(match)
    return {name: [float(np.mean(found)), len(found)] for name, found in matches.items()}


def _vectors(encoder: ClipEncoder, texts: Sequence[str]) -> NDArray[np.float32]:
    return np.stack([text_vector(encoder, text) for text in texts])


def _question(encoder: ClipEncoder, text: str, background: Background) -> Question:
    one = np.ones(1, np.float32)
    return Question(text, _vectors(encoder, [text]), one, np.zeros(1, bool), background)


def report(frames: int, result: dict[str, Any]) -> str:
    """The figures as Markdown."""
    meanings = [
        {"text": f"{a!r}", "synonym": f"{b!r} {same:.2f}", "antonym": f"{c!r} {other:.2f}"}
        for a, b, c, same, other in result["meanings"]
    ]
    queries = [
        {"query": name, "average precision": f"{score:.3f}", "chance": f"{chance:.3f}"}
        for name, (score, chance) in sorted(result["queries"].items(), key=lambda i: i[1][0])
    ]
    return "\n".join(
        [
            f"{frames} frames, each labelled by the renderer. Synonyms and antonyms: a list fixed "
            "before training, below.\n",
            *model_card.score_lines(result),
            "",
            f"R@1 among {scores.CHOICES} captions of other pictures; what is doubtful is left "
            "out (a thing that covers 0.05 to 0.25 % of the picture, a tap or door between .05 and "
            ".6 open, a light between .2 and .8): no caption is held against a picture for it. "
            f"Mean and range of {DRAWS} draws of captions; chance .016.\n",
            table(
                [
                    {
                        "captions": name,
                        "R@1": f"{np.mean(values):.3f} ({min(values):.3f} to {max(values):.3f})",
                    }
                    for name, values in result["recall without doubt"].items()
                ]
            ),
            table(meanings),
            "Search in each kitchen for every thing of every colour: the share that is called a "
            "clear match.\n",
            table(
                [
                    {"things": name, "asked for": of, "clear match": f"{share:.3f}"}
                    for name, (share, of) in result["clear matches"].items()
                ]
            ),
            "Every query, worst first; those that fewer than "
            f"{scores.RARE} frames answer are left out.\n",
            table(queries),
        ]
    )


def main(argv: list[str]) -> None:
    """Render the kitchens, embed their frames, score."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clip_model", default="demo")
    parser.add_argument("--seeds", default="101-120", help="FIRST-LAST")
    parser.add_argument("--step", type=int, default=3, help="every n-th frame")
    parser.add_argument("--out", type=Path, help="a Markdown file; its figures go beside it")
    args = parser.parse_args(argv)
    first, last = map(int, args.seeds.split("-"))
    encoder = load_clip_encoder(args.clip_model)
    of = embedded(encoder, list(range(first, last + 1)), args.step)
    result = scores.measure(encoder, of.embeddings, of.true)
    result["recall without doubt"] = recalls(encoder, of)
    result["clear matches"] = clear_matches(encoder, of.embeddings, of.true, last - first + 1)
    write(args.out, "# The demo encoder\n\n" + heading(__doc__) + report(len(of.true), result))
    if args.out is not None:
        args.out.with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main_guard(main)
