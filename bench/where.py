"""Places found by text: the peak and the lit region of a map against the renderer's labels.

For each labelled thing of a frame, the query is 'a COLOUR THING'. Pointing accuracy is the share of
maps whose highest pixel lies in the box of the thing. IoU is that of the pixels with a relevancy
above 0.5 and the pixels that show the thing, and 'box IoU' that of the region around the peak and
the box. 'Lit by absent things' is the share of pixels above 0.5 for 20 things that the video does
not show; they are left out of the texts that set the level. 'More like a spot' takes the middle of
each thing in three frames as a spot, and is the average precision of all frames more than 10 away,
by their best cell, for showing this thing; the things are those in 5 to 95 % of the frames. Runs
are those of `kitchen_library.py` with `--predict_dense`; a video is the unit of the intervals.
'Moved' are boxes that are more than 2 % of the frame's width elsewhere in the nearest train frame;
big boxes cover more than 1 % of the frame.

The table of equal bytes stores the coefficients of the train frames: principal components of their
maps, of fewer cells and of every n-th train frame, in 3 to 8 bits, compressed by LZMA. Of all such
tables that are no larger than the dense head, it is the one that is nearest to the train frames'
maps; between frames and cells it is interpolated linearly, or between train frames warped by the
network's motion, whose bytes are not counted.
"""

from __future__ import annotations

import argparse
import lzma
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from paired import interval
from report import heading, table, write
from torch import Tensor

from nerv_clip import InputError, Run, load_model
from nerv_clip.cli import Terminal, main_guard
from nerv_clip.demo import read_labels
from nerv_clip.demo.captions import query
from nerv_clip.demo.facts import PAIRS, Labels
from nerv_clip.demo.kitchen import MASKS
from nerv_clip.models.motion import neighbours, warp_and_blend
from nerv_clip.models.video_network import VideoNetwork
from nerv_clip.runs.inputs import Inputs, dense_grid, dense_inputs, load_run_teacher, load_run_video
from nerv_clip.search import TrainedRun, load_run
from nerv_clip.search.maps import MapIndex, load_maps
from nerv_clip.search.places import (
    Maps,
    MapScores,
    Region,
    Stretches,
    TextReference,
    map_scores,
    region,
    resampled,
    stretches_of,
    term_levels,
    text_reference_of_maps,
)
from nerv_clip.search.relevancy import THRESHOLD, EncodedQuery, spot_query, text_reference
from nerv_clip.similarity import average_precision
from nerv_clip.teacher.dense import DenseTeacher, Grid
from nerv_clip.teacher.dense_maps import DenseMaps
from nerv_clip.teacher.encoder import ClipEncoder
from nerv_clip.video.split import embedded_frames

BIG = 0.01  # share of the frame
MOVED = 0.02  # of the frame's width
ABSENT = 20  # things that a video does not show
SPOTS, AWAY = 3, 10  # spots of a thing, and frames around a spot that do not count
OTHERS = (
    "nearest train frame",
    "warped train frames",
    "table of equal bytes",
    "table of equal bytes, warped",
)
COMMON = (0.05, 0.95)  # shares of frames between which a thing is looked for by a spot
BATCH = 8
# of tables: directions, rows of cells, every n-th train frame, bits of a number
RANKS, ROWS, STEPS, BITS = (4, 8, 12, 16, 24), (5, 8, 15), (1, 2, 4, 8, 16), (3, 4, 6, 8)
Corners = tuple[float, float, float, float]  # left, top, right, bottom


class Box(NamedTuple):
    """A labelled thing in a frame.

    ``number`` is that of its mask; ``moved``, whether it is elsewhere in the nearest train frame.
    """

    frame: int
    name: str
    number: int
    corners: tuple[int, int, int, int]  # inclusive pixels
    area: float
    moved: bool


@dataclass(frozen=True)
class Clip:
    """A run with its video, its labels, and the true maps of its only segment."""

    searched: TrainedRun
    labels: list[Labels]
    masks: NDArray[np.uint8]
    inputs: Inputs
    teacher: ClipEncoder
    model: VideoNetwork
    maps: DenseMaps
    grid: Grid

    @cached_property
    def train(self) -> list[int]:
        """The train frames that the teacher embedded: all, without `--clip_every`."""
        split, every = self.inputs.split, self.searched.config.train.clip_every
        chosen = embedded_frames(split, every, self.searched.shots)
        return [i for i in chosen if split[i] == "train"]

    def nearest(self, frame: int) -> int:
        """The nearest of these train frames, itself for one."""
        return min(self.train, key=lambda i: abs(i - frame))

    def index(self, coefficients: Tensor) -> MapIndex:
        """An index of coefficients (T, rank, rows, columns) of the true maps' basis."""
        cells = F.normalize(coefficients.float(), dim=1).permute(0, 2, 3, 1).half().numpy()
        return one_basis(cells, self.maps.basis.numpy(), self.grid)


def one_basis(cells: NDArray[np.float16], basis: NDArray[np.float32], grid: Grid) -> MapIndex:
    """An index of all frames (T, rows, columns, rank)."""
    frames = np.arange(len(cells))
    return MapIndex(frames, cells, basis[None], np.zeros(len(cells), np.intp), grid)


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
    grid, labels = dense_grid(config.architecture.first), read_labels(path / "labels.json")
    masks, model = np.load(path / MASKS)["masks"], load_model(run.best)
    return Clip(load_run(path), labels, masks, inputs, teacher, model, maps[0], grid)


def boxes(clip: Clip) -> Iterator[Box]:
    """All labelled things of the video."""
    width = clip.inputs.video.width
    for frame, labels in enumerate(clip.labels):
        before = {(o.kind, o.colour): o.box for o in clip.labels[clip.nearest(frame)].objects}
        for number, thing in enumerate(labels.objects, start=1):
            there = before.get((thing.kind, thing.colour))
            shift = 0 if there is None else np.abs(np.subtract(there, thing.box)).max()
            name = f"{thing.colour} {thing.kind}"
            moved = bool(shift > MOVED * width)
            yield Box(frame, name, number, thing.box, thing.area, moved)


def sources(clip: Clip) -> Iterator[tuple[str, MapIndex]]:
    """What is compared, by name."""
    true = torch.from_numpy(np.array(clip.maps.coefficients)).float()
    frames = range(len(true))
    yield "teacher, true frame, all directions", whole(clip)
    yield f"teacher, true frame, {true.shape[1]} directions", clip.index(true)
    yield "predicted", load_maps(clip.searched.run.best)
    yield "teacher, reconstruction", clip.index(on_reconstructions(clip))
    yield "nearest train frame", clip.index(true[[clip.nearest(i) for i in frames]])
    if clip.model.networks[0].head("motion") is not None:
        yield "warped train frames", clip.index(torch.cat([warped(clip, true, i) for i in frames]))
    stored = small_table(clip, true)
    yield "table of equal bytes", clip.index(stored)
    if clip.model.networks[0].head("motion") is not None:
        moved = torch.cat([warped(clip, stored, i) for i in frames])
        yield "table of equal bytes, warped", clip.index(moved)


def whole(clip: Clip) -> MapIndex:
    """The teacher's maps of the true frames, without the loss of a low rank."""
    dense, video, found = DenseTeacher(clip.teacher), clip.inputs.video, []
    with Terminal().task("teacher on the true frames", len(video), "frame") as task:
        for start in range(0, len(video), BATCH):
            frames = video.read([*range(start, min(start + BATCH, len(video)))])
            found.append(dense.maps(frames, clip.grid).permute(0, 2, 3, 1).half().numpy())
            task.advance(len(frames))
    return one_basis(np.concatenate(found), np.eye(dense.dim, dtype=np.float32), clip.grid)


def on_reconstructions(clip: Clip) -> Tensor:
    """The teacher's coefficients of the frames that the network draws."""
    dense, found = DenseTeacher(clip.teacher), []
    times = torch.linspace(0, 1, len(clip.labels), dtype=torch.float64)
    with Terminal().task("teacher on the reconstruction", len(times), "frame") as task:
        for start in range(0, len(times), BATCH):
            t = times[start : start + BATCH]
            maps = dense.maps(clip.model(t).frames.clamp(0, 1), clip.grid)
            found.append(torch.einsum("rd,bdhw->brhw", clip.maps.basis, maps))
            task.advance(len(t))
    return torch.cat(found)


def warped(clip: Clip, true: Tensor, frame: int) -> Tensor:
    """Coefficients of the neighbouring train frames, moved by the network's motion and blended."""
    network, last = clip.model.networks[0], len(true) - 1
    if frame in clip.train:
        return true[frame : frame + 1]
    t = torch.tensor([frame / last], dtype=torch.float64)
    found = neighbours(torch.tensor(clip.train, dtype=torch.float64) / last, t)
    motion = network.forward_features(t, until=network.taps["motion"]).heads["motion"]
    size = network.arch.padded
    before, after = (
        F.interpolate(true[[clip.train[int(i)]]], size, mode="bilinear")
        for i in (found.before, found.after)
    )
    moved = warp_and_blend(motion, before, after, found.gaps * last, size)
    return F.adaptive_avg_pool2d(moved, (clip.grid.rows, clip.grid.columns))


def small_table(clip: Clip, true: Tensor) -> Tensor:
    """Coefficients of all frames from the best table that is no larger than the dense head."""
    head = clip.model.networks[0].head("dense")
    budget = sum(p.numel() for p in head.parameters()) if head is not None else 0  # 8 bits each
    train, best, chosen = true[clip.train], -1.0, None
    flat = train.permute(0, 2, 3, 1).reshape(-1, train.shape[1])
    directions = torch.linalg.svd(flat, full_matrices=False).Vh
    for rank, rows, step, bits in product(RANKS, ROWS, STEPS, BITS):
        basis = directions[:rank]
        kept = sorted({*range(0, len(train), step), len(train) - 1})
        columns = round(rows * clip.grid.columns / clip.grid.rows)
        part = torch.einsum("kr,brhw->bkhw", basis, train[kept])
        small = F.adaptive_avg_pool2d(part, (rows, columns))
        scale = small.abs().amax((0, 2, 3), keepdim=True) / (2 ** (bits - 1) - 1)
        stored = (small / scale).round()
        if packed(stored) + rank * clip.maps.basis.shape[1] + 2 * rank > budget:  # and the basis
            continue
        coarse = torch.einsum("kr,bkhw->brhw", basis, stored * scale)
        found = between(coarse, [clip.train[i] for i in kept], len(true), clip.grid)
        near = float(F.cosine_similarity(found[clip.train], train).mean())
        if near > best:
            best, chosen = near, found
    if chosen is None:
        raise InputError("no table is as small as the dense head")
    return chosen


def packed(stored: Tensor) -> int:
    """Bytes of whole numbers (B, rank, h, w) by LZMA, as they are or as differences in time."""
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 9}]
    values = stored.to(torch.int16).permute(1, 2, 3, 0).contiguous()
    changes = torch.diff(values, dim=-1, prepend=torch.zeros_like(values[..., :1]))
    sizes = []
    for each in (values, changes):
        small = each.numpy().astype(np.int8 if each.abs().max() < 128 else np.int16)
        sizes.append(len(lzma.compress(small.tobytes(), lzma.FORMAT_RAW, filters=filters)))
    return min(sizes)


def between(coarse: Tensor, places: list[int], frames: int, grid: Grid) -> Tensor:
    """Maps (B, rank, h, w) of the frames ``places``, between them and their cells linearly."""
    place = np.interp(range(frames), places, range(len(places)))
    first = torch.from_numpy(np.floor(place).astype(int))
    share = torch.from_numpy(place).float() - first
    after = (first + 1).clamp(max=len(places) - 1)
    blend = torch.lerp(coarse[first], coarse[after], share[:, None, None, None])
    return F.interpolate(blend, (grid.rows, grid.columns), mode="bilinear")


def fine(maps: Maps, clip: Clip) -> Maps:
    """Maps (n, rows, columns) at the pixels of the frame: (n, H, W)."""
    return resampled(maps, clip.grid, clip.inputs.video.height, clip.inputs.video.width)


def overlap(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    """Intersection over union of two masks."""
    return float((a & b).sum() / max((a | b).sum(), 1))


def box_overlap(found: Corners, true: Corners) -> float:
    """Intersection over union of two boxes."""
    area = 1.0
    for low, high in ((0, 2), (1, 3)):
        area *= max(min(found[high], true[high]) - max(found[low], true[low]), 0.0)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (found, true)]
    return area / (sum(areas) - area)


Groups = dict[str, Callable[[Box], bool]]
Table = dict[str, dict[str, dict[str, float]]]  # by measure, source, and group of boxes


@torch.no_grad()
def score(clip: Clip) -> Table:
    """All measures of a clip."""
    video, found = clip.inputs.video, [*boxes(clip)]
    groups: Groups = {
        "seen": lambda b: clip.inputs.split[b.frame] == "train",
        "held out": lambda b: clip.inputs.split[b.frame] == "val",
        "seen, big": lambda b: groups["seen"](b) and b.area > BIG,
        "held out, big": lambda b: groups["held out"](b) and b.area > BIG,
        "held out, moved": lambda b: groups["held out"](b) and b.moved,
    }
    names = sorted({b.name for b in found})
    others = sorted({*PAIRS} - {f"{o.colour} {o.kind}" for f in clip.labels for o in f.objects})
    absent = random.Random(0).sample(others, ABSENT)  # noqa: S311 - an order of things
    encoder, shots = clip.searched.query_encoder, clip.searched.shots
    # the texts that are measured must not set the level
    texts = [query(name) for name in absent]
    kept = [i for i, text in enumerate(encoder.phrases.unrelated) if text not in texts]
    unrelated = encoder.unrelated[kept]
    not_shown = text_reference(clip.searched.index(1), unrelated, 1, shots).absent
    encoded = {name: encoder.encode_text(query(name)) for name in [*names, *absent]}
    results: Table = {"pointing": {}, "IoU": {}, "box IoU": {}, "lit": {}}
    for source, index in sources(clip):
        stretches = stretches_of(index, shots)
        reference = text_reference_of_maps(index, stretches, unrelated, not_shown)
        scored = partial(scores_of, index, stretches, reference)
        hits, lit, around = dict[Box, float](), dict[Box, float](), dict[Box, float]()
        for name in names:
            own = [b for b in found if b.name == name]
            rows = [b.frame for b in own]
            scores = scored(encoded[name])
            clear = fine(scores.relevancy[rows], clip) > THRESHOLD
            for b, map_, pixels in zip(own, scores.height[rows], clear, strict=True):
                place = region(map_, clip.grid)
                left, top, right, bottom = b.corners
                sides = np.array([video.width, video.height])
                hits[b] = hit(place, b, clip)
                lit[b] = overlap(pixels, clip.masks[b.frame] == b.number)
                corners = np.array(place[:4]) * np.tile(sides, 2)
                true = (left, top, right + 1, bottom + 1)
                around[b] = box_overlap(tuple(map(float, corners)), true)  # type: ignore[arg-type]
        for measure, values in (("pointing", hits), ("IoU", lit), ("box IoU", around)):
            results[measure][source] = means(values, groups)
        shares = [
            float((fine(scored(encoded[name]).relevancy, clip) > THRESHOLD).mean())
            for name in absent
        ]
        if source == "predicted":
            found_by = spots(clip, index, stretches)
            results["spots"] = {name: {"AP": value} for name, value in found_by.items()}
        results["lit"][source] = {"mean": float(np.mean(shares)), "most": max(shares)}
    middle = (video.width / 2, video.height / 2)
    area = float(video.height * video.width)
    for source, value in (
        ("centre of the frame (pooled embedding)", lambda b: inside(middle, b.corners)),
        ("uniform chance", lambda b: pixels_of(b.corners) / area),
    ):
        results["pointing"][source] = means({b: float(value(b)) for b in found}, groups)
    results["pointing"]["boxes"] = {
        name: float(sum(map(chosen, found))) for name, chosen in groups.items()
    }
    return results


def spots(clip: Clip, index: MapIndex, stretches: Stretches) -> dict[str, float]:
    """Average precision of frames by a spot, by the pooled embedding of its frame, and chance."""
    rng = np.random.default_rng(0)
    pooled = np.array(clip.searched.index(1), np.float32)
    shown: dict[str, dict[int, int]] = {}  # name to frames, each with the number of the mask
    for frame, labels in enumerate(clip.labels):
        for number, thing in enumerate(labels.objects, start=1):
            shown.setdefault(f"{thing.colour} {thing.kind}", {})[frame] = number
    found: dict[str, list[float]] = {"best cell": [], "pooled embedding": [], "chance": []}
    for where in shown.values():
        truth = np.isin(np.arange(len(pooled)), [*where])
        if not COMMON[0] < truth.mean() < COMMON[1]:
            continue
        for frame in rng.choice([*where], SPOTS):
            rows, columns = np.nonzero(clip.masks[frame] == where[frame])
            height, width = clip.masks.shape[1:]
            if not len(rows):  # too small a part of every pixel
                continue
            x, y = (np.median(columns) + 0.5) / width, (np.median(rows) + 0.5) / height
            scores = map_scores(index, stretches, spot_query("", index.vector(frame, x, y)))
            far = np.abs(np.arange(len(truth)) - frame) > AWAY
            for name, values in (
                ("best cell", scores.height.max((1, 2))),
                ("pooled embedding", pooled @ pooled[frame]),
                ("chance", rng.random(len(truth))),
            ):
                if truth[far].any():
                    found[name].append(average_precision(values[far], truth[far]))
    return {name: float(np.mean(values)) for name, values in found.items()}


def scores_of(
    index: MapIndex, stretches: Stretches, reference: TextReference, found: EncodedQuery
) -> MapScores:
    """Scores of an index for a text."""
    levels = term_levels(index, stretches, found, reference)
    return map_scores(index, stretches, found, levels)


def hit(place: Region, box: Box, clip: Clip) -> float:
    """1.0 where the peak of a region lies in a box, otherwise 0.0."""
    video = clip.inputs.video
    return float(inside((place.x * video.width, place.y * video.height), box.corners))


def inside(place: tuple[float, float], corners: tuple[int, int, int, int]) -> bool:
    """Whether a place (x, y) in pixels lies in a box."""
    left, top, right, bottom = corners
    return left <= place[0] <= right + 1 and top <= place[1] <= bottom + 1


def pixels_of(corners: tuple[int, int, int, int]) -> int:
    """The number of pixels of a box."""
    left, top, right, bottom = corners
    return (right - left + 1) * (bottom - top + 1)


def means(values: dict[Box, float], groups: Groups) -> dict[str, float]:
    """The mean of the values of each group of boxes."""
    return {
        name: float(np.mean([v for b, v in values.items() if chosen(b)] or [np.nan]))
        for name, chosen in groups.items()
    }


def rows_of(results: list[Table], measure: str) -> list[dict[str, str]]:
    """A table of one measure: means over the clips, with 95 % intervals."""
    rows = []
    for source in results[0][measure]:
        row = {"maps": source}
        for group in results[0][measure][source]:
            values = np.array([result[measure][source][group] for result in results])
            row[group] = shown(values) if source != "boxes" else f"{int(values.sum())}"
        rows.append(row)
    if "predicted" in results[0][measure] and measure != "lit":
        for other in OTHERS:
            if other in results[0][measure]:
                row = {"maps": f"predicted minus {other}"}
                for group in results[0][measure]["predicted"]:
                    pairs = [
                        r[measure]["predicted"][group] - r[measure][other][group] for r in results
                    ]
                    row[group] = shown(np.array(pairs))
                rows.append(row)
    return rows


def main(argv: list[str]) -> None:
    """Print the tables of the named runs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args(argv)
    results = []
    with Terminal().task("measuring", len(args.runs), "run") as task:
        for path in args.runs:
            results.append(score(load(path)))
            task.advance()
    titles = {
        "pointing": "Pointing accuracy",
        "IoU": "IoU of the lit pixels with those of the thing",
        "box IoU": "IoU of the region around the peak with the box",
        "lit": "Share of pixels lit by absent things",
        "spots": "More like a spot: average precision of frames",
    }
    parts = [
        f"## {title}\n\n{table(rows_of(results, measure))}" for measure, title in titles.items()
    ]
    write(args.out, heading(__doc__) + "\n\n".join(parts))


def shown(values: np.ndarray) -> str:
    """The mean, and its 95 % interval where there are several values."""
    known = values[np.isfinite(values)].tolist()
    if len(known) < 2:
        return f"{known[0]:.3f}" if known else "–"
    mean, low, high = interval(known)
    return f"{mean:.3f} ± {(high - low) / 2:.3f}"


if __name__ == "__main__":
    main_guard(main)
