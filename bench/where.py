"""Places found by text: the peak of a map against the boxes of the renderer's labels.

For each labelled thing of a frame, the query is 'a COLOUR THING', and its peak is the pixel where
the map of the query is highest. Pointing accuracy is the share of peaks inside the box. Runs are
those of `kitchen_library.py` with `--predict_dense`; a video is the unit of the intervals.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from report import heading, table, write
from torch import Tensor

from nerv_clip import InputError, Run, load_model
from nerv_clip.cli import Terminal, main_guard
from nerv_clip.demo import read_labels
from nerv_clip.demo.captions import query
from nerv_clip.demo.facts import Labels, VisibleObject
from nerv_clip.models.motion import neighbours, warp_and_blend
from nerv_clip.runs.inputs import Inputs, dense_grid, dense_inputs, load_run_teacher, load_run_video
from nerv_clip.teacher.dense import DenseTeacher, Grid
from nerv_clip.teacher.dense_maps import DenseMaps
from nerv_clip.teacher.encoder import ClipEncoder

BIG = 0.01  # share of the frame
MOVED = 0.02  # of the frame's width: the middle of a box, against the nearest train frame
Place = tuple[int, int]  # row and column of a pixel


class Box(NamedTuple):
    """A labelled thing in a frame; ``moved``, if it is elsewhere in the nearest train frame."""

    frame: int
    thing: VisibleObject
    moved: bool


@dataclass(frozen=True)
class Clip:
    """A run with its video, its labels, and the true maps of its only segment."""

    run: Run
    labels: list[Labels]
    inputs: Inputs
    teacher: ClipEncoder
    maps: DenseMaps
    grid: Grid

    @property
    def train(self) -> list[int]:
        return [i for i, split in enumerate(self.inputs.split) if split == "train"]

    def nearest(self, frame: int) -> int:
        """The nearest train frame, itself for one."""
        return min(self.train, key=lambda i: abs(i - frame))


Maps = Callable[[int], Tensor]  # of a frame: vectors (dim, h, w) over the frame's own extent


def load(path: Path) -> Clip:
    """Read a run, and compute what is compared with it."""
    run, progress = Run(path), Terminal()
    config = run.read_config()
    if not config.architecture.first.dense_dim:
        raise InputError(f"{path} has no dense head: train with `predict_dense`")
    video, teacher = load_run_video(run, progress=progress), load_run_teacher(run)
    inputs = Inputs(video, config.split_frames(), teacher)
    maps = dense_inputs(inputs, config.architecture, progress)
    if maps is None or len(maps) != 1:
        raise InputError(f"{path} has several segments: measure videos of one")
    grid = dense_grid(config.architecture.first)
    return Clip(run, read_labels(path / "labels.json"), inputs, teacher, maps[0], grid)


def boxes(clip: Clip) -> Iterator[Box]:
    """All labelled things of the video."""
    width = clip.inputs.video.width
    for frame, labels in enumerate(clip.labels):
        before = {(o.kind, o.colour): o.box for o in clip.labels[clip.nearest(frame)].objects}
        for thing in labels.objects:
            there = before.get((thing.kind, thing.colour))
            shift = np.inf if there is None else np.abs(np.subtract(there, thing.box)).max()
            yield Box(frame, thing, bool(shift > MOVED * width))


def sources(clip: Clip) -> dict[str, Maps]:
    """What is compared, by name."""
    model, video = load_model(clip.run.best), clip.inputs.video
    network, dense = model.networks[0], DenseTeacher(clip.teacher)
    times = torch.linspace(0, 1, len(video), dtype=torch.float64)

    def warped(frame: int) -> Tensor:
        if network.head("motion") is None or clip.inputs.split[frame] == "train":
            return clip.maps.embeddings([frame])[0]
        t = times[frame : frame + 1]
        found = neighbours(network.train_times, t)
        motion = network.forward_features(t, until=network.taps["motion"]).heads["motion"]
        size = network.arch.padded
        before, after = (
            F.interpolate(clip.maps.read([clip.train[int(i)]]), size, mode="bilinear")
            for i in (found.before, found.after)
        )
        gaps = found.gaps * (len(video) - 1)
        coefficients = warp_and_blend(motion, before, after, gaps, size)[0]
        return torch.einsum("rd,rhw->dhw", clip.maps.basis, coefficients)

    return {
        "teacher, true frame": lambda i: clip.maps.embeddings([i])[0],
        "predicted": lambda i: model.embed_map(times[i : i + 1])[0],
        "teacher, reconstruction": lambda i: dense.maps(model(times[i : i + 1]).frames, clip.grid)[
            0
        ],
        "nearest train frame": lambda i: clip.maps.embeddings([clip.nearest(i)])[0],
        "warped train frames": warped,
    }


def peak(vectors: Tensor, text: Tensor, clip: Clip) -> Place:
    """The pixel where the cosine similarity to a query is highest."""
    height, width = clip.inputs.video.height, clip.inputs.video.width
    scores = torch.einsum("d,dhw->hw", text, F.normalize(vectors, dim=0))
    y = (torch.arange(height) + 0.5) / height / clip.grid.height
    x = (torch.arange(width) + 0.5) / width / clip.grid.width
    places = torch.stack(torch.meshgrid(2 * x - 1, 2 * y - 1, indexing="xy"), -1)[None]
    fine = F.grid_sample(scores[None, None], places, "bilinear", "border", align_corners=False)
    row, column = divmod(int(fine.argmax()), width)
    return row, column


def inside(place: Place, box: tuple[int, int, int, int]) -> bool:
    """Whether a pixel lies in a box (left, top, right, bottom), inclusive."""
    row, column = place
    left, top, right, bottom = box
    return left <= column <= right and top <= row <= bottom


@torch.no_grad()
def score(clip: Clip, every: int) -> dict[str, dict[str, float]]:
    """Pointing accuracy by source and group of boxes."""
    video, found = clip.inputs.video, [b for b in boxes(clip) if b.frame % every == 0]
    names = sorted({f"{b.thing.colour} {b.thing.kind}" for b in found})
    queries = dict(zip(names, clip.teacher.texts([query(name) for name in names]), strict=True))
    groups: dict[str, Callable[[Box], bool]] = {
        "seen": lambda b: clip.inputs.split[b.frame] == "train",
        "held out": lambda b: clip.inputs.split[b.frame] == "val",
        "seen, big": lambda b: groups["seen"](b) and b.thing.area > BIG,
        "held out, big": lambda b: groups["held out"](b) and b.thing.area > BIG,
        "held out, moved": lambda b: groups["held out"](b) and b.moved,
    }
    results: dict[str, dict[str, float]] = {}
    area = float(video.height * video.width)
    middle = (video.height // 2, video.width // 2)
    for name, maps in sources(clip).items():
        hits, vectors, shown = [], torch.empty(0), -1
        for b in found:
            if b.frame != shown:
                vectors, shown = maps(b.frame), b.frame
            text = queries[f"{b.thing.colour} {b.thing.kind}"]
            hits.append(inside(peak(vectors, text, clip), b.thing.box))
        results[name] = means(found, hits, groups)
    centre = [inside(middle, b.thing.box) for b in found]
    results["centre of the frame (pooled embedding)"] = means(found, centre, groups)
    chance = [
        (b.thing.box[2] - b.thing.box[0] + 1) * (b.thing.box[3] - b.thing.box[1] + 1) / area
        for b in found
    ]
    results["uniform chance"] = means(found, chance, groups)
    results["boxes"] = {name: sum(map(chosen, found)) for name, chosen in groups.items()}
    return results


def means(
    found: list[Box], values: list[float] | list[bool], groups: dict[str, Callable[[Box], bool]]
) -> dict[str, float]:
    """The mean of the values of each group of boxes."""
    return {
        name: float(
            np.mean([v for b, v in zip(found, values, strict=True) if chosen(b)] or [np.nan])
        )
        for name, chosen in groups.items()
    }


def main(argv: list[str]) -> None:
    """Print the table of the named runs: means over the videos, with 95 % intervals."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--every", type=int, default=1, help="measure every so many frames")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args(argv)
    clips = []
    with Terminal().task("measuring", len(args.runs), "run") as task:
        for path in args.runs:
            clips.append(score(load(path), args.every))
            task.advance()
    rows = []
    for name in clips[0]:
        row = {"maps": name}
        for group in clips[0][name]:
            values = np.array([clip[name][group] for clip in clips])
            row[group] = interval(values) if name != "boxes" else f"{int(values.sum())}"
        rows.append(row)
    lead = {"maps": "predicted minus nearest train frame"}
    for group in clips[0]["predicted"]:
        pairs = [c["predicted"][group] - c["nearest train frame"][group] for c in clips]
        lead[group] = interval(np.array(pairs))
    write(args.out, heading(__doc__) + table([*rows, lead]))


def interval(values: np.ndarray) -> str:
    """The mean, and its 95 % interval by Student's t where there are several."""
    from scipy.stats import t

    known = values[np.isfinite(values)]
    if len(known) < 2:
        return f"{known.mean():.3f}" if len(known) else "–"
    half = t.ppf(0.975, len(known) - 1) * known.std(ddof=1) / np.sqrt(len(known))
    return f"{known.mean():.3f} ± {half:.3f}"


if __name__ == "__main__":
    main_guard(main)
