"""Retrieval by the demo encoder on videos of kitchens that it was not trained on."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from report import heading, table, write
from torch import Tensor
from tqdm import tqdm

from nerv_clip import ClipEncoder, load_clip_encoder
from nerv_clip.cli import main_guard
from nerv_clip.demo import model_card, scores
from nerv_clip.demo.facts import ambiguous_facts, fact_matrix, facts_of, label
from nerv_clip.demo.kitchen import SIZE
from nerv_clip.demo.shading import picture
from nerv_clip.demo.story import FRAMES, make_story
from nerv_clip.demo.tracer import trace
from nerv_clip.demo.workers import workers
from nerv_clip.search.query import TEMPLATES

SAMPLES, DRAWS = 9, 5


class Rendered(NamedTuple):
    """A frame (H, W, 3), its facts, and the facts that are ambiguous."""

    pixels: NDArray[np.uint8]
    true: frozenset[str]
    ambiguous: frozenset[str]


class Pictures(NamedTuple):
    """Unit embeddings (N, D) of frames, with their true and their ambiguous facts (N, F)."""

    embeddings: Tensor
    true: NDArray[np.bool_]
    ambiguous: NDArray[np.bool_]


@dataclass(frozen=True)
class Result:
    """All results: scores, and R@1 without ambiguous facts."""

    scores: scores.EncoderScores
    recalls: dict[str, list[float]]


def frames(seeds: list[int], step: int) -> Iterator[Rendered]:
    """Every ``step``-th frame of the kitchens with the given seeds."""
    jobs = list(product(seeds, range(0, FRAMES, step)))
    with workers() as pool:
        rendered = pool.map(_frame, jobs, chunksize=4)
        yield from tqdm(rendered, total=len(jobs), unit="frame")


def _frame(job: tuple[int, int]) -> Rendered:
    seed, index = job
    scene = make_story(seed, FRAMES).scene(index)
    traced = trace(scene, *SIZE, SAMPLES)
    true = facts_of(label(scene, traced.owner_map))
    return Rendered(picture(traced, scene), true, ambiguous_facts(scene, traced.owner_map))


def embed(encoder: ClipEncoder, seeds: list[int], step: int) -> Pictures:
    """Render the frames and embed them."""
    parts, true, ambiguous = [], [], []
    for frame in frames(seeds, step):
        parts.append(encoder.images(torch.from_numpy(frame.pixels).permute(2, 0, 1)[None]).cpu())
        true.append(frame.true)
        ambiguous.append(frame.ambiguous)
    return Pictures(torch.cat(parts), fact_matrix(true), fact_matrix(ambiguous))


def recalls(encoder: ClipEncoder, pictures: Pictures) -> dict[str, list[float]]:
    """R@1 without ambiguous facts, for single sentences and for the prompts of the search.

    The facts in captions are drawn at random; there is a value for each of `DRAWS` draws.
    """
    known = [t for t in TEMPLATES if not encoder.unknown(t.format(""))]
    return {
        name: [
            scores.recall_at_1(
                encoder, pictures.embeddings, pictures.true, hard_negatives=False,
                ambiguous=pictures.ambiguous, templates=templates, seed=seed,
            )
            for seed in range(DRAWS)
        ]
        for name, templates in (("one sentence", ["{}"]), ("prompts averaged", known))
    }  # fmt: skip


def report(frames: int, result: Result) -> str:
    """The results as Markdown."""
    synonyms = [
        {
            "text": f"{row.text!r}",
            "synonym": f"{row.synonym!r} {row.to_synonym:.2f}",
            "opposite": f"{row.opposite!r} {row.to_opposite:.2f}",
        }
        for row in result.scores.synonyms
    ]
    queries = [
        {"query": name, "average precision": f"{score:.3f}", "chance": f"{chance:.3f}"}
        for name, (score, chance) in sorted(result.scores.queries.items(), key=lambda i: i[1][0])
    ]
    recalls = [
        {
            "captions": name,
            "R@1": f"{np.mean(values):.3f} ({min(values):.3f} to {max(values):.3f})",
        }
        for name, values in result.recalls.items()
    ]
    return "\n".join(
        [
            f"{frames} frames, each labelled by the renderer. The list of synonyms and opposites, "
            "below, was chosen before training.\n",
            *model_card.score_lines(result.scores),
            "",
            f"R@1 among {scores.CHOICES} captions of other pictures, without ambiguous facts (a "
            "thing that covers 0.05 to 0.25 % of the picture, a tap or door between .05 and .6 "
            "open, a light between .2 and .8): captions do not count as false because of them. "
            f"Mean and range of {DRAWS} draws of captions; chance .016.\n",
            table(recalls),
            table(synonyms),
            "Every query, worst first; queries that are true of fewer than "
            f"{scores.MIN_POSITIVES} frames are left out.\n",
            table(queries),
        ]
    )


def main(argv: list[str]) -> None:
    """Render the kitchens, embed their frames, and print the scores."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clip_model", default="demo")
    parser.add_argument("--seeds", default="101-120", help="seeds of the kitchens, FIRST-LAST")
    parser.add_argument("--step", type=int, default=3, help="use every n-th frame")
    parser.add_argument(
        "--out", type=Path, help="a Markdown file; a JSON file is written beside it"
    )
    args = parser.parse_args(argv)
    first, last = map(int, args.seeds.split("-"))
    encoder = load_clip_encoder(args.clip_model)
    pictures = embed(encoder, list(range(first, last + 1)), args.step)
    result = Result(
        scores.measure(encoder, pictures.embeddings, pictures.true),
        recalls(encoder, pictures),
    )
    text = report(len(pictures.true), result)
    write(args.out, "# The demo encoder\n\n" + heading(__doc__) + text)
    if args.out is not None:
        args.out.with_suffix(".json").write_text(json.dumps(asdict(result), indent=1) + "\n")


if __name__ == "__main__":
    main_guard(main)
