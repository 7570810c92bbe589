"""Measure on this machine what training, evaluating and showing a frame takes."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from nerv_clip.evaluation.evaluate import evaluate_checkpoint
from nerv_clip.models.checkpoint import export_model
from nerv_clip.models.config import ModelConfig
from nerv_clip.models.heads import DENSE_ROWS
from nerv_clip.models.sharing import LEAST_SIZE
from nerv_clip.models.solver import solve
from nerv_clip.progress import Task
from nerv_clip.runs.inputs import Inputs
from nerv_clip.teacher.dense import DenseTeacher, Grid
from nerv_clip.teacher.dense_maps import BATCH, SAMPLED
from nerv_clip.teacher.encoder import ClipEncoder
from nerv_clip.training.builder import build_network
from nerv_clip.training.presets import preset
from nerv_clip.training.threads import shared_threads
from nerv_clip.training.trainer import Trainer
from nerv_clip.video.split import split_frames, train_indices
from nerv_clip.video.video import still_video
from nerv_clip.video.writer import comparison_setting, write_comparison

PRESET = "fast"  # of planned trainings: at equal time it beats the default, whose steps take longer
PROBES = (LEAST_SIZE, 4 * LEAST_SIZE)  # million parameters of networks whose step is measured
PROBE_FRAMES, PROBE_SPLIT = 120, "3_3_4"
SHOWN = 12  # frames that are evaluated and encoded


class Rates(NamedTuple):
    """Seconds that a frame of some size takes in one job on this machine.

    ``small`` and ``large`` are for training it with networks of `PROBES`; ``shown`` for evaluating
    and encoding it.
    """

    small: float
    large: float
    shown: float

    def training(self, size: float) -> float:
        """Seconds of training a frame with a network of ``size`` million parameters."""
        slope = (self.large - self.small) / (PROBES[1] - PROBES[0])
        return max(self.small + slope * (size - PROBES[0]), self.small / 2)


def measure(frame: Tensor, device: str, jobs: int, task: Task) -> Rates:
    """`Rates` for frames like ``frame``, uint8 (3, H, W), with ``jobs`` at a time.

    Three steps of ``task`` are done.
    """
    video = still_video(frame.to(device), PROBE_FRAMES)
    inputs = Inputs(video, split_frames(PROBE_FRAMES, PROBE_SPLIT))
    found = []
    for size in PROBES:
        found.append(seconds_of_training(inputs, size, device, jobs))
        task.advance()
    found.append(seconds_of_showing(inputs, device))
    task.advance()
    return Rates(*found)


def seconds_of_training(inputs: Inputs, size: float, device: str, jobs: int) -> float:
    """Seconds of training a frame in one of ``jobs``."""
    video, split, (model, config) = inputs.video, inputs.split, preset(PRESET)
    train = split.count("train")
    arch = solve(replace(model, modelsize=size), len(video), train, video.height, video.width)
    trainer = Trainer(build_network(arch, split).to(device), video, split, config)
    with shared_threads(jobs):
        return trainer.measure_step() / min(config.batch, train)


def seconds_of_maps(config: ModelConfig, inputs: Inputs) -> float:
    """Seconds of the teacher's maps for a dense head, measured on some frames.

    0 without a dense head. Raises `InputError` where the teacher has no dense form.
    """
    if not config.predict_dense or inputs.teacher is None:
        return 0.0
    dense, few = DenseTeacher(inputs.teacher), min(len(inputs.video), BATCH)
    grid, known = Grid(DENSE_ROWS, 2 * DENSE_ROWS), set(inputs.embedded)
    train = [i for i in train_indices(inputs.split) if i in known]
    frames = inputs.video.read([*range(few)])
    start = time.perf_counter()
    dense.maps(frames, grid).cpu()  # waits for a GPU
    passes = len(known) + min(len(train), SAMPLED)  # the basis is found first
    return (time.perf_counter() - start) * passes / few


def seconds_of_showing(inputs: Inputs, device: str) -> float:
    """Seconds of evaluating and encoding a frame, measured on some frames in the middle.

    Includes the teacher, where there is one, for the share of the frames that it embeds.
    """
    first = max((len(inputs.video) - SHOWN) // 2, 0)
    after = min(first + SHOWN, len(inputs.video))
    video, split = inputs.video.part(first, after), list(inputs.split[first:after])
    if "train" not in split:
        split[0] = "train"
    model, _ = preset(PRESET)
    train = split.count("train")
    arch = solve(replace(model, modelsize=PROBES[0]), len(video), train, video.height, video.width)
    with tempfile.TemporaryDirectory() as folder:
        checkpoint, stream = Path(folder) / "model.pth", Path(folder) / "comparison.mp4"
        export_model(build_network(arch, split), checkpoint, {})

        def evaluating(teacher: ClipEncoder | None) -> float:
            start = time.perf_counter()
            evaluate_checkpoint(checkpoint, video, split, teacher=teacher, device=device)
            return time.perf_counter() - start

        seconds, share = evaluating(inputs.teacher), len(inputs.embedded) / len(inputs.video)
        if share < 1:
            alone = evaluating(None)
            seconds = alone + share * (seconds - alone)

        def pairs(chosen: Sequence[int]) -> Iterator[tuple[Tensor, Tensor]]:
            return ((video.read([i])[0], video.read([i])[0]) for i in chosen)

        setting = comparison_setting(pairs, len(video))
        start = time.perf_counter()
        write_comparison(stream, pairs, len(video), 25.0, setting=setting)
        encoding = time.perf_counter() - start
    return (seconds + encoding) / len(video)
