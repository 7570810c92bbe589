"""Does a search match what a film of many scenes shows, and only that?

A film is made of the embeddings of kitchens of 300 frames, one after the other, with cuts every so
many frames; no network is trained for it. The former rule had one level for the whole film.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NamedTuple

import numpy as np
from report import check_all_embedded, heading, number, table, write
from search_calibration import FEW, Mask, facts_at, labelled_paths
from tqdm import tqdm

from nerv_clip import InputError
from nerv_clip.cli import main_guard
from nerv_clip.demo.captions import query
from nerv_clip.demo.facts import FACT_INDEX, PAIRS
from nerv_clip.search import load_run
from nerv_clip.search.absence import estimate_absence, lasting
from nerv_clip.search.relevancy import (
    FALSE_MATCHES,
    THRESHOLD,
    EncodedQuery,
    Index,
    text_reference,
)
from nerv_clip.video.shots import Shots

SCENES, LENGTHS = (1, 2, 3, 5, 10), (300, 100, 20)
FILMS = 22  # of each kind, of kitchens drawn at random
RULES = ("a level for each stretch", "one level, as in 0c28aba")


class Kitchen(NamedTuple):
    """Embeddings (T, dim) of a kitchen's frames, and which of them show which thing (T, U)."""

    embeddings: Index
    shown: Mask


def matched(index: Index, queries: list[EncodedQuery], shots: Shots) -> tuple[Mask, Mask]:
    """Which queries (U,) have a clear match, by both of `RULES`."""
    unrelated = queries[0].unrelated
    if unrelated is None:
        raise TypeError("the queries are texts")
    reference = text_reference(index, unrelated, shots=shots)
    now = [q.scores(index, reference, shots=shots).relevancy.max() > THRESHOLD for q in queries]
    vectors = np.concatenate([q.vectors for q in queries])
    cosines = np.array(index, np.float32) @ np.concatenate([unrelated, vectors]).T
    best = lasting(cosines - reference.background, shots=shots).max(0)
    (level,) = estimate_absence(best[None, : len(unrelated)]).level(FALSE_MATCHES)
    return np.array(now), best[len(unrelated) :] > level


def films_of(kitchens: list[Kitchen], scenes: int, rng: np.random.Generator) -> list[list[Kitchen]]:
    """`FILMS` films of so many kitchens, drawn at random; of one, each kitchen once."""
    if scenes == 1:
        return [[kitchen] for kitchen in kitchens]
    drawn = (rng.choice(len(kitchens), scenes, replace=False) for _ in range(FILMS))
    return [[kitchens[at] for at in film] for film in drawn]


def film_rows(kitchens: list[Kitchen], queries: list[EncodedQuery]) -> list[dict[str, str | int]]:
    """A row for each number of scenes and length of shots."""
    rows: list[dict[str, str | int]] = []
    rng = np.random.default_rng(0)
    for scenes in SCENES:
        for length in LENGTHS:
            present, absent = list[Mask](), list[Mask]()
            for film in tqdm(
                films_of(kitchens, scenes, rng), f"{scenes} kitchens, shots of {length}"
            ):
                index = np.concatenate([kitchen.embeddings for kitchen in film])
                frames = np.concatenate([kitchen.shown for kitchen in film]).sum(0)
                shots = Shots(len(index), tuple(range(0, len(index), length)))
                found = np.stack(matched(index, queries, shots), 1)
                present.append(found[frames >= FEW])
                absent.append(found[frames == 0])
            row: dict[str, str | int] = {"kitchens": scenes, "frames of a shot": length}
            for name, own in (("present", present), ("absent", absent)):
                shares = np.concatenate(own)
                row[f"{name} things"] = len(shares)
                for rule, share in zip(RULES, shares.mean(0), strict=True):
                    row[f"{name}, {rule}"] = number(float(share), 3)
            rows.append(row)
    return rows


def main(argv: list[str]) -> None:
    """Ask for every thing in every colour, in films of predicted and of true embeddings."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="runs of kitchens, with labels.json in each")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args(argv)
    paths = labelled_paths(args.folder, max(SCENES))
    encoder = load_run(paths[0]).query_encoder
    queries = [encoder.encode_text(query(pair)) for pair in PAIRS]
    predicted, true = list[Kitchen](), list[Kitchen]()
    for path in paths:
        run = load_run(path, query_encoder=encoder)
        if run.true is None:
            raise InputError(f"{path} has no true.npy: evaluate it again")
        check_all_embedded(run.run)
        shown = facts_at(path)[:, [FACT_INDEX[pair] for pair in PAIRS]]
        predicted.append(Kitchen(np.array(run.index(1)), shown))
        true.append(Kitchen(np.array(run.true), shown))
    write(
        args.out,
        "# Search in films of many scenes\n\n" + heading(__doc__) +
        "Share of the things with a clear match. Those of at least "
        f"{FEW} frames are present, those of none absent.\n\n## Predicted embeddings\n\n"
        + table(film_rows(predicted, queries)) + "\n## True embeddings\n\n"
        + table(film_rows(true, queries)),
    )  # fmt: skip


if __name__ == "__main__":
    main_guard(main)
