"""A teacher that embeds one train frame in K: what the network knows of the other frames.

Kitchens are those of `kitchen_library.py`, each trained with `--predict_dense --clip_every K` from
three random starts. All frames are scored with the teacher's embeddings of all frames, which
training did not have. 'Seen' are train frames without an embedding: the network was trained on
their pixels. Whatever it is compared with knows the same embeddings as the network: slerp, the
nearest one, the best of the stored tables that take at most the bytes of the head, and for places
also the neighbouring maps, warped by the network's motion (whose bytes are not counted). Maps that
are compared have the principal directions of all train frames, those of the network only of the
embedded ones. 'Slerp and
cells' adds to slerp what the network's cells change between embedded frames, times one number.

Pooled embeddings are scored by their centred cosine similarity to the true ones, dense ones by
pointing accuracy, as in `where.py`. 'Moved' are boxes that are more than 2 % of the frame's width
elsewhere in the nearest embedded frame. A video is the unit of the intervals: values are averaged
over the starts first. Runs and scores that exist are not computed again.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
import torch
from kitchen_library import FLAGS, render, seeds, train
from report import heading, table, write
from where import Box, Clip, boxes, hit, load, means, scores_of, shown, small_table, warped

from nerv_clip.cli import Terminal, main_guard
from nerv_clip.demo.captions import query
from nerv_clip.evaluation.interpolation import interpolated, nearest
from nerv_clip.files import atomic_write
from nerv_clip.search.maps import MapIndex, load_maps
from nerv_clip.search.places import region, stretches_of, text_reference_of_maps
from nerv_clip.search.relevancy import text_reference
from nerv_clip.similarity import Array, centred_cosine, unit
from nerv_clip.teacher.embeddings import embed_video
from nerv_clip.verification.tables import head_bytes, tables

EVERY, STARTS = (1, 4, 8, 16), (1, 2, 3)
CELLS = "slerp and cells"
Scores = dict[str, dict[str, dict[str, float]]]  # by measure, source, and group of frames


def groups(clip: Clip) -> dict[str, list[int]]:
    """The frames that are scored, by what the network knows of them."""
    split, known = clip.inputs.split, set(clip.train)
    return {
        "embedded": clip.train,
        "seen": [i for i, name in enumerate(split) if name == "train" and i not in known],
        "held out": [i for i, name in enumerate(split) if name == "val"],
    }


def pooled(clip: Clip) -> dict[str, dict[str, float]]:
    """Centred cosine similarity of pooled embeddings to the true ones, by source and group."""
    true = embed_video(clip.teacher, clip.inputs.video).double().numpy()
    known, shots = clip.train, clip.searched.shots
    mean = true[known].mean(0)
    budget = head_bytes(clip.model, clip.searched.config.train.bits)

    def scored(values: Array) -> dict[str, float]:
        cosines = centred_cosine(values, true, mean)
        return {name: mean_of(cosines[frames]) for name, frames in groups(clip).items()}

    slerped = interpolated(true, known, shots, spherical=True)
    stored = [
        scored(found.values) for _, found in tables(true, known, budget, shots) if found is not None
    ]
    return {
        "predicted": scored(unit(np.array(clip.searched.index(1), np.float64))),
        "slerp": scored(slerped),
        CELLS: scored(with_cells(clip, true, slerped)),
        "nearest": scored(nearest(true, known, shots)),
        "table of equal bytes": max(stored, key=lambda found: found["held out"]),
    }


def with_cells(clip: Clip, true: Array, slerped: Array) -> Array:
    """Slerp plus what the mean of the predicted cells changes between the embedded frames.

    The change is multiplied by one number, which fits best at the embedded frames, each predicted
    from the others; it is all that this reading stores beside the dense head and the embeddings.
    """
    known, index = clip.train, load_maps(clip.searched.run.best)
    cells = np.array(index.cells, np.float64).mean((1, 2)) @ index.bases[0]
    change = cells - interpolated(cells, known, clip.searched.shots, spherical=False)
    inner = known[1:-1]  # the ends have no neighbours on both sides
    missed = true[inner] - slerped[inner]
    scale = (change[inner] * missed).sum() / max((change[inner] ** 2).sum(), 1e-12)
    return unit(slerped + scale * change)


def maps(clip: Clip) -> Iterator[tuple[str, MapIndex]]:
    """Dense embeddings of all frames, by source."""
    true = torch.from_numpy(np.array(clip.maps.coefficients)).float()
    frames = range(len(true))
    yield "teacher", clip.index(true)
    yield "predicted", load_maps(clip.searched.run.best)
    yield "nearest", clip.index(true[[clip.nearest(i) for i in frames]])
    yield "warped", clip.index(torch.cat([warped(clip, true, i) for i in frames]))
    yield "table of equal bytes", clip.index(small_table(clip, true))


@torch.no_grad()
def pointing(clip: Clip) -> dict[str, dict[str, float]]:
    """Share of boxes that contain the highest point of the map for their thing."""
    found = [*boxes(clip)]
    encoder, shots = clip.searched.query_encoder, clip.searched.shots
    not_shown = text_reference(clip.searched.index(1), encoder.unrelated, 1, shots).absent
    names = sorted({box.name for box in found})
    encoded = {name: encoder.encode_text(query(name)) for name in names}
    own = {name: set(frames) for name, frames in groups(clip).items()}
    chosen: dict[str, Callable[[Box], bool]]
    chosen = {name: partial(_inside, frames) for name, frames in own.items()}
    chosen |= {f"{name}, moved": partial(_moved, own[name]) for name in ("seen", "held out")}
    results = {}
    for source, index in maps(clip):
        stretches = stretches_of(index, shots)
        reference = text_reference_of_maps(index, stretches, encoder.unrelated, not_shown)
        hits = {}
        for name in names:
            heights = scores_of(index, stretches, reference, encoded[name]).height
            for box in (box for box in found if box.name == name):
                hits[box] = hit(region(heights[box.frame], clip.grid), box, clip)
        results[source] = means(hits, chosen)
    return results


def _inside(frames: set[int], box: Box) -> bool:
    return box.frame in frames


def _moved(frames: set[int], box: Box) -> bool:
    return box.moved and box.frame in frames


def mean_of(values: Array) -> float:
    """The mean; NaN of no value."""
    return float(values.mean()) if len(values) else float("nan")


def run_of(folder: Path, every: int, start: int, seed: int) -> Path:
    """The run directory of a training."""
    return folder / f"every{every}_start{start}" / str(seed)


def scores(path: Path) -> Scores:
    """The scores of a run, from its file if it was scored before."""
    kept = path / "scores.json"
    if not kept.exists():
        clip = load(path)
        metrics = clip.searched.run.read_metrics()
        found: Scores = {
            "pooled": pooled(clip),
            "dense": pointing(clip),
            "PSNR": {"network": {"seen": metrics.train.psnr, "held out": metrics.val.psnr}},  # type: ignore[dict-item]
            "frames": {"teacher": {k: float(len(v)) for k, v in groups(clip).items()}},
        }
        with atomic_write(kept) as temporary:
            temporary.write_text(json.dumps(found, indent=1))
    return dict(json.loads(kept.read_text()))


def of_clips(found: dict[int, list[Scores]], *keys: str) -> Array:
    """A value of each clip: the mean over its starts."""
    measure, source, group = keys
    return np.array(
        [np.mean([each[measure][source][group] for each in starts]) for starts in found.values()]
    )


def rows(results: dict[int, dict[int, list[Scores]]], measure: str) -> list[dict[str, str]]:
    """A table of one measure: a row for each K and source, and the differences to the network."""
    lines = []
    for every, found in results.items():
        first = next(iter(found.values()))[0][measure]
        for source in first:
            values = {g: shown(of_clips(found, measure, source, g)) for g in first[source]}
            lines.append({"K": f"{every}", "from": source, **values})
        others = [name for name in first if name not in ("teacher", "predicted", "network")]
        pairs = [("predicted", other) for other in others]
        pairs += [(CELLS, "slerp")] if CELLS in first else []
        for one, other in pairs:
            differences = {
                g: shown(of_clips(found, measure, one, g) - of_clips(found, measure, other, g))
                for g in first[other]
            }
            lines.append({"K": f"{every}", "from": f"{one} minus {other}", **differences})
    return lines


def main(argv: list[str]) -> None:
    """Train what is missing, and print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=f"Further flags are added to those of training: {FLAGS}"
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=seeds, default=seeds("301-305"))
    parser.add_argument("--every", type=int, nargs="+", default=EVERY)
    parser.add_argument("--starts", type=int, nargs="+", default=STARTS)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--out", type=Path)
    args, flags = parser.parse_known_args(argv)
    folder, progress = args.folder.resolve(), Terminal()
    render(args.seeds, folder, progress)
    wanted = list(product(args.starts, args.seeds, args.every))

    def work(start: int, seed: int, every: int) -> None:
        path = run_of(folder, every, start, seed)
        own = ["--predict_dense", "--clip_every", f"{every}", "--manualSeed", f"{start}"]
        train(seed, path.parent, [*own, *flags], videos=folder / "videos")
        scores(path)

    with (
        progress.task("training and scoring", len(wanted), "run") as task,
        ThreadPoolExecutor(args.jobs) as pool,
    ):
        for _ in pool.map(lambda one: work(*one), wanted):
            task.advance()
    results = {
        every: {
            seed: [scores(run_of(folder, every, start, seed)) for start in args.starts]
            for seed in args.seeds
        }
        for every in args.every
    }
    titles = {
        "pooled": "Pooled: centred cosine similarity",
        "dense": "Dense: pointing accuracy",
        "PSNR": "PSNR in dB",
        "frames": "Frames: train frames with an embedding, the others, and held-out ones",
    }
    parts = [f"## {title}\n\n{table(rows(results, name))}" for name, title in titles.items()]
    write(args.out, heading(__doc__) + "\n\n".join(parts))


if __name__ == "__main__":
    main_guard(main)
