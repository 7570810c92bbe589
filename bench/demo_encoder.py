"""The demo encoder on clips of kitchens that it has never seen: what text finds which frames."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from report import heading, table, write
from torch import Tensor
from tqdm import tqdm

from nerv_clip import ClipEncoder, load_clip_encoder, main_guard
from nerv_clip.demo import card, scores
from nerv_clip.demo.captions import query
from nerv_clip.demo.clip import SIZE, render_frame
from nerv_clip.demo.facts import PAIRS, PLACE, facts, truth
from nerv_clip.demo.story import FRAMES
from nerv_clip.demo.workers import workers
from nerv_clip.search.teacher import Teacher

SAMPLES = 9
FEW = 2  # frames of a kitchen: what fewer show is neither present nor absent


def frames(seeds: list[int], step: int) -> Iterator[tuple[NDArray[np.uint8], frozenset[str]]]:
    """Every ``step``-th frame of the seeds' kitchens, and what is true of it."""
    jobs = list(product(seeds, range(0, FRAMES, step)))
    with workers() as pool:
        drawn = pool.map(_frame, jobs, chunksize=4)
        yield from tqdm(drawn, total=len(jobs), unit="frame")


def _frame(job: tuple[int, int]) -> tuple[NDArray[np.uint8], frozenset[str]]:
    seed, index = job
    pixels, labels = render_frame(seed, FRAMES, index, SIZE, SAMPLES)
    return pixels, facts(labels)


def embedded(encoder: ClipEncoder, seeds: list[int], step: int) -> tuple[Tensor, NDArray[np.bool_]]:
    """Embeddings (N, D) of the frames, and the truth (N, F) about them."""
    parts, true = [], []
    for pixels, names in frames(seeds, step):
        parts.append(encoder.images(torch.from_numpy(pixels).permute(2, 0, 1)[None]).cpu())
        true.append(names)
    return torch.cat(parts), truth(true)


def clear_matches(
    encoder: ClipEncoder, pictures: Tensor, true: NDArray[np.bool_], kitchens: int
) -> dict[str, list[float]]:
    """Of things that a kitchen shows, and that it doesn't, how many search calls a clear match.

    The search is `nerv_clip.search`'s, over the true embeddings of each kitchen's frames; shares
    with the number of things asked for.
    """
    flags = {"clip_model": encoder.name, "clip_pretrained": None}
    teacher = Teacher({"teacher": {"id": encoder.id}, "flags": flags})
    questions = {pair: teacher.ask_text(query(pair)) for pair in PAIRS}
    said: dict[str, list[bool]] = {"present": [], "absent": []}
    for part, of_part in zip(
        np.array_split(pictures.half().numpy(), kitchens),
        np.array_split(true, kitchens),
        strict=True,
    ):
        level = teacher.background.level(part)
        for pair, question in questions.items():
            seen = of_part[:, PLACE[pair]].sum()
            if seen == 0 or seen >= FEW:
                match = bool(question.scores(part, level).relevancy.max() > level.threshold)
                said["present" if seen else "absent"].append(match)
    return {name: [float(np.mean(of)), len(of)] for name, of in said.items()}


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
            *card.score_lines(result),
            "",
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
    pictures, true = embedded(encoder, list(range(first, last + 1)), args.step)
    result = scores.measure(encoder, pictures, true)
    result["clear matches"] = clear_matches(encoder, pictures, true, last - first + 1)
    write(args.out, "# The demo encoder\n\n" + heading(__doc__) + report(len(true), result))
    if args.out is not None:
        args.out.with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main_guard(main)
