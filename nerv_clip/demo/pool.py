"""Rendered pictures with their facts, on disk: the data on which the small CLIP is trained."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import as_completed
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nerv_clip.demo.facts import FACTS, fact_matrix, facts_of, label
from nerv_clip.demo.random_scenes import random_decor, random_scene, recoloured
from nerv_clip.demo.shading import picture
from nerv_clip.demo.tracer import require_renderer, trace
from nerv_clip.demo.workers import workers
from nerv_clip.files import atomic_write, exclusive, make_folder, sweep

SIDE = 96  # pixels: a 16:9 view, squashed to a square as the encoder sees it
SHARD = 1000  # pictures in a file
COLOURINGS = 4  # pictures from one tracing, the slow part of rendering
DECORS = 48  # kitchens in each part of the pool
SEEDS = 1_000_000  # seeds below are for videos, seeds above for the pool


@dataclass(frozen=True)
class Pool:
    """Pictures (N, SIDE, SIDE, 3), and whether each of `FACTS` is true of them, (N, F)."""

    pictures: NDArray[np.uint8]
    facts: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.pictures)


@dataclass(frozen=True)
class Shard:
    """A file of the pool with ``count`` pictures of up to ``max_items`` items each.

    ``part`` is "one" (single items), "many" (scenes) or "test".
    """

    path: Path
    part: str
    seed: int
    count: int
    max_items: int

    @property
    def decor_seed(self) -> int:
        """The first seed of the kitchens; test pictures show other kitchens than training."""
        return 3 * SEEDS if self.part == "test" else SEEDS


def shard_paths(folder: Path, singles: int, scenes: int, tests: int) -> list[Shard]:
    """The files of a pool: pictures of single items, scenes, and test scenes."""
    parts = (("one", SEEDS, singles, 1), ("many", 2 * SEEDS, scenes, 6), ("test", 0, tests, 6))
    shards = []
    for part, seed, total, max_items in parts:
        for number, start in enumerate(range(0, total, SHARD)):
            count = min(SHARD, total - start)
            path = folder / f"{part}-{number:03}-{count}.npz"
            shards.append(Shard(path, part, seed + number, count, max_items))
    return shards


def render_pool(shards: list[Shard]) -> Iterator[int]:
    """Render the missing shards on all cores; yields the number of finished shards.

    Raises `InputError` if a package that rendering needs is not installed.
    """
    for folder in {shard.path.parent for shard in shards}:
        sweep(make_folder(folder))
    missing = [shard for shard in shards if not shard.path.exists()]
    yield len(shards) - len(missing)
    if not missing:
        return
    require_renderer()
    with workers() as pool:
        jobs = [pool.submit(render_shard, shard) for shard in missing]
        for number, job in enumerate(as_completed(jobs), 1):
            job.result()
            yield len(shards) - len(missing) + number


def render_shard(shard: Shard) -> None:
    """Render a shard into its file, once for all processes that need it."""
    with exclusive(shard.path):
        if not shard.path.exists():
            _render(shard)


def _render(shard: Shard) -> None:
    """Render the random pictures of a shard into its file."""
    rng, count = np.random.default_rng(shard.seed), shard.count
    decors = [random_decor(np.random.default_rng(shard.decor_seed + i)) for i in range(DECORS)]
    pictures = np.empty((count, SIDE, SIDE, 3), np.uint8)
    facts: list[frozenset[str]] = []
    for start in range(0, count, COLOURINGS):
        scene = random_scene(rng, decors[int(rng.integers(DECORS))], shard.max_items)
        traced = trace(scene, SIDE, SIDE, 4)
        for index in range(start, min(start + COLOURINGS, count)):
            pictures[index] = picture(traced, scene)
            facts.append(facts_of(label(scene, traced.owner_map)))
            scene = recoloured(scene, rng)
    with atomic_write(shard.path) as temporary, temporary.open("wb") as file:
        np.savez(file, pictures=pictures, true=np.packbits(fact_matrix(facts), axis=1))


def load_pool(paths: list[Path]) -> Pool:
    """Read shards into one pool."""
    parts = [np.load(path) for path in paths]
    bits = np.concatenate([np.unpackbits(part["true"], axis=1, count=len(FACTS)) for part in parts])
    return Pool(np.concatenate([part["pictures"] for part in parts]), bits.astype(bool))
