"""A pool of rendered pictures and what is true of them, on disk, to train the small CLIP on."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import as_completed
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nerv_clip.demo.facts import FACTS, facts, label, truth
from nerv_clip.demo.random_scenes import random_look, random_scene, recoloured
from nerv_clip.demo.shading import picture
from nerv_clip.demo.tracer import trace
from nerv_clip.demo.workers import workers
from nerv_clip.files import atomic_write, make_folder

SIDE = 96  # pixels: a 16:9 view, squashed to a square as the encoder sees it
SHARD = 1000
COLOURINGS = 4  # pictures from one tracing, which is the slow part
LOOKS = 48
SEEDS = 1_000_000  # training draws its kitchens from seeds above this; videos have those below


@dataclass(frozen=True)
class Pool:
    """Pictures (N, SIDE, SIDE, 3) uint8, and what of `FACTS` is true of each (N, F) bool."""

    pictures: NDArray[np.uint8]
    true: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.pictures)


@dataclass(frozen=True)
class Shard:
    """A file of the pool: its part ("one", "many", "test"), pictures, and most things in one."""

    path: Path
    part: str
    seed: int
    count: int
    most: int

    @property
    def looks(self) -> int:
        """The seed of its kitchens: tests show others than training."""
        return 3 * SEEDS if self.part == "test" else SEEDS


def shard_paths(folder: Path, singles: int, others: int, tests: int) -> list[Shard]:
    """The files of a pool: pictures of a single thing first, unseen scenes last."""
    parts = (("one", SEEDS, singles, 1), ("many", 2 * SEEDS, others, 6), ("test", 0, tests, 6))
    plan = []
    for part, seed, total, most in parts:
        for number, start in enumerate(range(0, total, SHARD)):
            count = min(SHARD, total - start)
            path = folder / f"{part}-{number:03}-{count}.npz"
            plan.append(Shard(path, part, seed + number, count, most))
    return plan


def render_pool(plan: list[Shard]) -> Iterator[int]:
    """Render what is missing on every core; yields the number of shards done so far."""
    for shard in plan:
        make_folder(shard.path.parent)
    missing = [shard for shard in plan if not shard.path.exists()]
    yield len(plan) - len(missing)
    if not missing:
        return
    with workers() as pool:
        jobs = [pool.submit(render_shard, shard) for shard in missing]
        for number, job in enumerate(as_completed(jobs), 1):
            job.result()
            yield len(plan) - len(missing) + number


def render_shard(shard: Shard) -> None:
    """Render a shard's random pictures into its file."""
    rng, count = np.random.default_rng(shard.seed), shard.count
    looks = [random_look(np.random.default_rng(shard.looks + i)) for i in range(LOOKS)]
    pictures = np.empty((count, SIDE, SIDE, 3), np.uint8)
    true: list[frozenset[str]] = []
    for start in range(0, count, COLOURINGS):
        scene = random_scene(rng, looks[int(rng.integers(LOOKS))], shard.most)
        traced = trace(scene, SIDE, SIDE, 4)
        owner = traced.item.reshape(SIDE, SIDE, 4)
        for index in range(start, min(start + COLOURINGS, count)):
            pictures[index] = picture(traced, scene)
            true.append(facts(label(scene, owner)))
            scene = recoloured(scene, rng)
    with atomic_write(shard.path) as temporary, temporary.open("wb") as file:
        np.savez(file, pictures=pictures, true=np.packbits(truth(true), axis=1))


def load_pool(paths: list[Path]) -> Pool:
    """Read shards into one pool."""
    parts = [np.load(path) for path in paths]
    true = np.concatenate([np.unpackbits(part["true"], axis=1, count=len(FACTS)) for part in parts])
    return Pool(np.concatenate([part["pictures"] for part in parts]), true.astype(bool))
