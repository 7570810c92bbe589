"""How PSNR grows with the size of a network and with epochs: what --minutes and shares rest on.

Each row is a stretch of a video, trained by networks of several sizes for several numbers of
epochs. Rows are stored in --rows, a line of JSON each, and kept when the script is started again.
They were measured by an earlier form of this script on an H200, twelve trainings at a time.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from report import COMMIT, heading, machine, number, short, table, write

from nerv_clip import Trainer, VideoSpec, build_network, load_video, preset, solve, split_frames
from nerv_clip.cli import main_guard
from nerv_clip.cli.quality import RUN, content_of
from nerv_clip.evaluation.evaluate import evaluate_checkpoint
from nerv_clip.models.checkpoint import export_model
from nerv_clip.training.distributed import resolve_device

SPLIT, SEED = "3_3_4", 1
OTHERS = "the other stretches"
SIZES, EPOCHS = (0.1, 0.2, 0.4), (5, 10, 20, 40)
AT_SIZE, AT_EPOCHS = 0.2, 20  # where the fit is 0
PLACES = 10  # at which a stretch is looked at


class Task(NamedTuple):
    """A training: frames ``start`` to before ``end`` of a file, 320 pixels wide."""

    file: str
    start: int
    end: int
    size: float
    epochs: int

    @property
    def name(self) -> str:
        """The stretch."""
        return f"{self.file} {self.start}–{self.end - 1}"

    def spec(self, folder: Path) -> VideoSpec:
        """The frames."""
        film = "bunny" in self.file  # 16:9 with the height of the public results' crop
        return VideoSpec(
            folder / self.file,
            crop=(640, 1280) if film else None,
            resize=(160, 320) if film else (180, 320),
            start=self.start,
            end=self.end,
        )


def main(argv: list[str]) -> None:
    """Train what is missing, then print the table and the fit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="folder of the videos")
    parser.add_argument("stretches", nargs="*", help="FILE:START:END to train on")
    parser.add_argument("--rows", type=Path, required=True)
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args(argv)
    device = resolve_device(args.device)
    known = read(args.rows)
    wanted = [
        Task(file, int(start), int(end), size, epochs)
        for file, start, end in (stretch.rsplit(":", 2) for stretch in args.stretches)
        for size in SIZES
        for epochs in EPOCHS
    ]
    missing = [task for task in wanted if task not in known]
    jobs = [(args.folder, task, device) for task in missing]
    context = multiprocessing.get_context("spawn")
    if jobs:
        with context.Pool(args.jobs) as pool, args.rows.open("a") as out:
            for row in pool.imap_unordered(trained, jobs):
                out.write(json.dumps(row) + "\n")
                out.flush()
        known = read(args.rows)
    text = heading(__doc__, device) + _table(known)
    parts = (text, _fit(known), _shares(known), _levels(known, args.folder))
    write(args.out, "\n".join(parts))


def read(path: Path) -> dict[Task, dict[str, Any]]:
    """The stored rows, by their task."""
    lines = path.read_text().splitlines() if path.exists() else []
    return {Task(*row["task"]): row for row in map(json.loads, lines)}


def trained(job: tuple[Path, Task, str]) -> dict[str, Any]:
    """Train one network and evaluate it."""
    folder, task, device = job
    torch.set_num_threads(1)
    video = load_video(task.spec(folder), shots="off", device=device)
    split = split_frames(len(video), SPLIT)
    model, config = preset("default")
    model = replace(model, modelsize=task.size)
    arch = solve(model, len(video), split.count("train"), video.height, video.width)
    torch.manual_seed(SEED)
    network = build_network(arch, split).to(device)
    training = Trainer(network, video, split, replace(config, epochs=task.epochs))
    start = time.perf_counter()
    for _ in training.fit():
        pass
    seconds = time.perf_counter() - start
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "model.pth"
        export_model(training.averaged(), path, {})
        metrics = evaluate_checkpoint(path, video, split, device=device).metrics
    return {
        "task": list(task),
        "seen": metrics.train.psnr,
        "held": metrics.val.psnr,
        "blend": metrics.val.blend_psnr,
        "seconds": seconds,
        "commit": COMMIT,
        "machine": machine(device),
    }


def _table(known: dict[Task, dict[str, Any]]) -> str:
    """PSNR of the train frames: a line for a stretch and a size, a column for epochs."""
    epochs = sorted({task.epochs for task in known})
    rows = []
    for name, size in dict.fromkeys((task.name, task.size) for task in sorted(known)):
        own = {t.epochs: row for t, row in known.items() if (t.name, t.size) == (name, size)}
        psnr = {f"{n} epochs": number(own[n]["seen"], 2) if n in own else "–" for n in epochs}
        source = next(iter(own.values()))
        at = {"commit": short(source["commit"]), "machine": source["machine"]}
        rows.append({"stretch": name, "M parameters": size, **psnr, **at})
    return table(rows)


def _shares(known: dict[Task, dict[str, Any]]) -> str:
    """PSNR of films made of the stretches, whose parameters are shared by a power of the frames.

    Between the sizes that were trained for 40 epochs, PSNR is interpolated by a parabola in the
    logarithm of the size. A film has .25 M parameters for each stretch.
    """
    curves: dict[tuple[str, int, str], list[tuple[float, float]]] = {}
    for task, row in known.items():
        if task.epochs == max(EPOCHS) and task.size in SIZES:
            key = (task.file, task.end - task.start, task.name)
            curves.setdefault(key, []).append((np.log2(task.size), row["seen"]))
    whole = {
        key: np.polyfit([size for size, _ in points], [psnr for _, psnr in points], 2)
        for key, points in curves.items()
        if len(points) > 2
    }
    films = {key[0] for key in whole if sum(other[0] == key[0] for other in whole) > 2}
    rows = []
    for power in (0.0, 0.25, 0.5, 0.75, 1.0):
        shown: dict[str, Any] = {"shared by frames to the power": power}
        for name in (*sorted(films), OTHERS):
            own = {key: curve for key, curve in whole.items() if _film(key[0], films) == name}
            frames = np.array([key[1] for key in own], float)
            sizes = 0.25 * len(own) * frames**power / (frames**power).sum()
            pairs = zip(own.values(), np.log2(sizes), strict=True)
            psnr = np.array([np.polyval(curve, size) for curve, size in pairs])
            mean = float((psnr * frames).sum() / frames.sum())
            shown[f"{name}: mean, dB"] = number(mean, 2)
            shown[f"{name}: worst stretch"] = number(float(psnr.min()), 2)
        rows.append(shown)
    return table(rows)


def _levels(known: dict[Task, dict[str, Any]], folder: Path) -> str:
    """How PSNR at one size and number of epochs follows from a few pictures of a stretch."""
    rows, features, measured = [], [], []
    for task, row in sorted(known.items()):
        if (task.size, task.epochs) == (AT_SIZE, max(EPOCHS)):
            video = load_video(task.spec(folder), shots="off")
            firsts = np.linspace(0, len(video) - RUN, PLACES).astype(int)
            content = content_of([video.read(range(f, f + RUN)) for f in firsts])
            features.append([content.detail, content.motion, 1.0])
            measured.append(row["seen"])
            rows.append({"stretch": task.name, "detail, dB": number(content.detail, 1)})
            rows[-1]["motion, dB"] = number(content.motion, 1)
    at, psnr = np.array(features), np.array(measured)
    found = np.linalg.lstsq(at, psnr, rcond=None)[0]
    error = psnr - at @ found
    alone = error / (1 - np.diag(at @ np.linalg.pinv(at)))  # without the stretch itself in the fit
    for shown, value, fitted in zip(rows, psnr, at @ found, strict=True):
        shown[f"{AT_SIZE} M, {max(EPOCHS)} epochs"] = number(value, 2)
        shown["from detail and motion"] = number(fitted, 2)
    names = " + ".join(f"{w:.2f} {n}" for w, n in zip(found, ("detail", "motion", ""), strict=True))
    rms = (float(np.sqrt(np.mean(np.square(e)))) for e in (error, alone))
    errors = " dB, of stretches left out of the fit ".join(f"{e:.2f}" for e in rms)
    return (
        table(rows) + f"\nFit: {names.strip()}. Root mean square error {errors} dB. 'Detail' and "
        f"'motion' are those of `nerv_clip.cli.quality.Content`, at {PLACES} places.\n"
    )


def _film(file: str, films: set[str]) -> str:
    return file if file in films else OTHERS


def _fit(known: dict[Task, dict[str, Any]]) -> str:
    """One law for all stretches that were trained for several numbers of epochs.

    PSNR = level + scale · (b s + c e + d s e + f e² + g s²), with s = log2(size / .2 M) and
    e = log2(epochs / 20); level and scale are a stretch's own.
    """
    epochs = {t.name: {o.epochs for o in known if o.name == t.name} for t in known}
    names = sorted(name for name, own in epochs.items() if len(own) > 2)
    data = [
        (names.index(t.name), np.log2(t.size / AT_SIZE), np.log2(t.epochs / AT_EPOCHS), r["seen"])
        for t, r in known.items()
        if t.name in names and min(SIZES) <= t.size <= max(SIZES)
    ]
    scale = np.ones(len(names))
    for _ in range(50):
        found = np.linalg.lstsq(_design(data, scale), [row[3] for row in data], rcond=None)[0]
        shape = found[len(names) :]
        for number_ in range(1, len(names)):
            own = [row for row in data if row[0] == number_]
            terms = np.array([_terms(s, e) @ shape for _, s, e, _ in own])
            above = np.array([psnr - found[number_] for *_, psnr in own])
            scale[number_] = (terms @ above) / (terms @ terms)
    fitted = _design(data, scale) @ found
    error = float(np.sqrt(np.mean((fitted - [row[3] for row in data]) ** 2)))
    named = zip("bcdfg", shape, strict=True)
    coefficients = ", ".join(f"{name} = {value:.2f}" for name, value in named)
    scales = ", ".join(f"{name}: {value:.2f}" for name, value in zip(names, scale, strict=True))
    return (
        f"Fit to {len(data)} rows: {coefficients}; scale {scales}; root mean square error "
        f"{error:.2f} dB.\n"
    )


def _terms(s: float, e: float) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.array([s, e, s * e, e * e, s * s])


def _design(
    data: Sequence[tuple[int, float, float, float]], scale: np.ndarray[Any, np.dtype[np.float64]]
) -> np.ndarray[Any, np.dtype[np.float64]]:
    levels = np.eye(len(scale))
    return np.stack([[*levels[i], *(scale[i] * _terms(s, e))] for i, s, e, _ in data])


if __name__ == "__main__":
    main_guard(main)
