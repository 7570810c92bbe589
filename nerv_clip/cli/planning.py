"""Plan a training that ends in a given time: which frames, which networks, how many epochs.

The plan is a list of flags, made in two steps. Before the video is read, `plan_reading` chooses the
frames and their size, from steps of small networks that are measured on this machine. Then the
shots are known, and `plan_training` chooses the size of the networks and the number of epochs.
Flags that the user gave come after those of the plan, and therefore count.

How sizes and epochs are balanced was fitted to trainings (bench/results/law.md); plans are compared
with other settings in bench/results/budgets.md.
"""

from __future__ import annotations

import math
import tempfile
import time
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from nerv_clip.cli.forecast import estimate
from nerv_clip.cli.options import Options, parse
from nerv_clip.errors import InputError
from nerv_clip.evaluation.evaluate import evaluate_checkpoint
from nerv_clip.models.checkpoint import export_model
from nerv_clip.models.config import MAX_MODELSIZE
from nerv_clip.models.sharing import LEAST_SIZE, Stretch, divide
from nerv_clip.models.solver import solve, solve_video
from nerv_clip.progress import SILENT, Progress, Task
from nerv_clip.runs.budget import Budget
from nerv_clip.runs.inputs import Inputs
from nerv_clip.runs.run import Run
from nerv_clip.training.builder import build_network, build_video_network
from nerv_clip.training.distributed import resolve_device
from nerv_clip.training.presets import preset
from nerv_clip.training.segments import SegmentTraining, makespan
from nerv_clip.training.trainer import Trainer
from nerv_clip.video.reader import pictures
from nerv_clip.video.split import parse_split, split_frames, train_indices
from nerv_clip.video.video import GIB, fit, still_video
from nerv_clip.video.writer import write_comparison

PRESET = "fast"  # at equal time it beats the default, whose steps take longer
SPLIT, CLIP_SPLIT = "9_9_10", "3_3_4"  # the test of a CLIP head needs many held-out frames
SEGMENT_FRAMES = 300
LONG_SIDE = 320  # pixels of a frame, unless there is much more time, or too little
FINER_SIDES = (480, 640, 960, 1280, 1920, 2560, 3840)
COARSER = ((LONG_SIDE, 1), (LONG_SIDE, 2), (LONG_SIDE, 3), (LONG_SIDE, 4))  # side, step
COARSEST = tuple(product((160,), (4, 6, 8, 12, 16, 24, 32, 48, 64)))
BEST_EPOCHS, AT_SIZE, POWER = 20.0, 0.4, 1.2  # epochs that suit a network of so many M parameters
LONG_EPOCH = 70  # train frames of a segment below which an epoch counts for less
LEAST_EPOCHS = 6  # with fewer, frames are left out or made smaller
FINER = (1.0, 50)  # million parameters and epochs from which on larger frames gain more
RESERVE = 0.04  # share of the time that is kept free
WARM_UP = 0.4  # share of the epochs before CLIP training starts
PROBES = (LEAST_SIZE, 4 * LEAST_SIZE)  # million parameters of networks whose step is measured
PROBE_FRAMES = 120
READ = 12  # pictures that are decoded to measure how long reading takes
SHOWN = 12  # frames that are evaluated and encoded to measure how long that takes
ENCODINGS = 5.0  # of such a sample by `write_comparison`
AGAIN = 1.3  # encodings of the whole video, on average
INTERMEDIATE = 0.05  # share of the time that evaluations before the last may take


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


class Choice(NamedTuple):
    """Million parameters of each network, and the number of epochs that fit into the time."""

    size: float
    epochs: float


class PlanPreview(NamedTuple):
    """What a training with a budget will read, as far as it is known before the video is read.

    The source has ``source_frames`` in the range that was asked for, of ``source_height`` x
    ``source_width``. ``frames`` of ``height`` x ``width`` are kept of it, of which
    ``train_frames`` are trained and ``held_out`` held out. ``memory_bytes`` is about what training
    needs beside the libraries, as in `Estimate`. The networks and the number of epochs are planned
    later, when the shots are known.
    """

    source_frames: int
    source_height: int
    source_width: int
    frames: int
    height: int
    width: int
    train_frames: int
    held_out: int
    memory_bytes: int


@dataclass(frozen=True)
class Source:
    """A video before it is read: the number of frames in the range, and the seconds of reading."""

    frames: int
    reading: float
    first: Tensor  # frame, as large as the source


def suited_epochs(size: float, train: float) -> float:
    """The number of epochs for which a network of ``size`` million parameters is best.

    With more time, a larger network gains more than more epochs. ``train`` is the number of its
    train frames; with few of them, epochs are short, and more are needed.
    """
    return float(BEST_EPOCHS * (size / AT_SIZE) ** POWER * max(LONG_EPOCH / train, 1.0))


def balance(seconds: Callable[[float], float], available: float, train: float) -> Choice:
    """The size whose epochs are those that suit it; ``seconds`` of an epoch grow with the size.

    ``available`` are the seconds for all epochs; ``train`` as in `suited_epochs`.
    """
    sizes = np.geomspace(LEAST_SIZE, 8, 80)
    choices = [Choice(float(size), available / seconds(size)) for size in sizes]
    suited = (c for c in choices if c.epochs >= suited_epochs(c.size, train))
    return max(suited, default=choices[0])


def jobs_for(segments: int, device: str) -> int:
    """Segments that are trained side by side, as `SegmentTraining` does it."""
    return min(torch.get_num_threads(), segments) if device == "cpu" else 1


def check_plannable(options: Options, processes: int) -> None:
    """Raise `InputError` where ``minutes`` cannot be combined with what else is given."""
    if processes > 1:
        raise InputError("`minutes` plans for one process: leave out torchrun, or `minutes`")
    if given(options, "-e", "--epochs"):
        raise InputError("`minutes` plans the number of epochs: leave out `epochs` or `minutes`")


def given(options: Options, *flags: str) -> bool:
    """Whether the user gave one of these flags."""
    return any(word.partition("=")[0] in flags for word in options.argv)


def stored_budget(options: Options) -> Budget | None:
    """The budget of the run that goes on; None where a new one is planned, or there is none."""
    run = Run(options.run)
    limited = options.minutes is not None or options.more_minutes is not None
    goes_on = limited and options.resume and not options.overwrite and run.config.exists()
    budget = run.read_config().budget if goes_on else None
    return None if budget is None else replace(budget, revisions=())


def with_plan(options: Options, flags: list[str]) -> Options:
    """The options with the flags of a plan; those that the user gave come after them."""
    return parse([*flags, *options.argv])


def plan_text(flags: list[str], options: Options) -> str:
    """The flags of a plan in one line, without those that the user gave."""
    pairs = zip(flags[::2], flags[1::2], strict=True)  # each has one value
    return " ".join(f"{flag} {value}" for flag, value in pairs if not given(options, flag))


def preview_plan(options: Options, progress: Progress = SILENT) -> PlanPreview:
    """What a training with ``minutes`` will read, chosen by `plan_reading`.

    The number of frames is taken from the container and may be off by a few. Raises `InputError`
    for what training would refuse.
    """
    assert options.minutes is not None  # noqa: S101 - the caller's to check
    check_plannable(options, 1)
    device = resolve_device(options.device)
    flags, choice, source = _choose_reading(options, options.minutes, device, progress)
    flags += ["--modelsize", f"{choice.size:.3g}", "--epochs", "1"]
    flags += ["--pixel_loss_warmup_epochs", "0"]
    cost = estimate(with_plan(options, flags))  # of one network: a segment has one of its own
    segments = max(cost.frames // SEGMENT_FRAMES, 1)
    state = 16 * (cost.decoder_parameters + cost.head_parameters)
    pixels = 3 * cost.frames * cost.height * cost.width
    pixels = pixels if pixels <= options.cache_gb * GIB else 0
    activations = cost.memory_bytes - state - pixels
    height, width = source.first.shape[1:]
    return PlanPreview(
        source_frames=source.frames,
        source_height=height,
        source_width=width,
        frames=cost.frames,
        height=cost.height,
        width=cost.width,
        train_frames=cost.train_frames,
        held_out=cost.held_out,
        memory_bytes=pixels + segments * state + jobs_for(segments, device) * activations,
    )


def plan_reading(options: Options, minutes: float, device: str) -> list[str]:
    """Flags that choose the frames that are read, their size, and how they are split.

    Raises `InputError` where the time is too short for any plan.
    """
    return _choose_reading(options, minutes, device, SILENT)[0]


def _choose_reading(
    options: Options, minutes: float, device: str, progress: Progress
) -> tuple[list[str], Choice, Source]:
    """The flags of `plan_reading`, the networks that they were chosen with, and the source."""
    source = _probe(options)
    seconds = 60 * minutes * (1 - RESERVE) - source.reading
    if seconds <= 0:
        least = source.reading / 60 / (1 - RESERVE)
        raise InputError(
            f"`minutes` {minutes:g}: reading the video alone takes about {least:.2g} minutes; give "
            "more time, or a part of the video (`start`, `end`)"
        )
    measured: dict[tuple[int, ...], Rates] = {}

    def attempt(side: int, step: int) -> tuple[list[str], Choice]:
        flags = _reading_flags(options, source.first, side, step)
        wanted = with_plan(options, flags)
        frame = fit(source.first.permute(1, 2, 0).numpy(), wanted.data)
        size, frames = tuple(frame.shape), max(source.frames // wanted.data.step, 1)
        jobs = jobs_for(max(frames // SEGMENT_FRAMES, 1), device)
        if size not in measured:
            task.resize(3 * len(measured) + 3)
            measured[size] = measure(frame, device, jobs, task)
        a, _, c = parse_split(wanted.split)
        rates, train = measured[size], max(frames * a / c, 1)
        left = max(seconds - frames * rates.shown, 0.0) * jobs
        own = train / max(frames // SEGMENT_FRAMES, 1)
        return flags, balance(lambda size: train * rates.training(size), left, own)

    with progress.task("measuring training steps", 3) as task:
        for side, step in (*COARSER, *COARSEST):
            flags, choice = attempt(side, step)
            if choice.epochs >= LEAST_EPOCHS:
                break
        if (side, step) == COARSER[0]:
            for larger in FINER_SIDES:
                if larger > max(source.first.shape):
                    break
                finer, better = attempt(larger, 1)
                if better.size < FINER[0] or better.epochs < FINER[1]:
                    break
                flags, choice = finer, better
    return flags, choice, source


def _probe(options: Options) -> Source:
    """Decode some pictures, and measure how long that takes."""
    spec, clock = options.data, [time.perf_counter()]
    whole = replace(spec, resize=None)
    for picture in pictures(spec.path, spec.stream):
        frame = fit(picture.pixels, whole)
        clock.append(time.perf_counter())
        if len(clock) > READ:
            break
    opening, count = clock[1] - clock[0], len(clock) - 1
    each = (clock[-1] - clock[1]) / max(count - 1, 1)
    total = max(picture.expected or count, count)
    if picture.expected:
        spec.check_reach(picture.expected)
    end = total if spec.end is None else min(spec.end, total)
    return Source(max(end - spec.start, 1), opening + each * end, frame)


def _reading_flags(options: Options, first: Tensor, side: int, step: int) -> list[str]:
    height, width = first.shape[1:]
    scale = min(side / max(height, width), 1.0)
    split = CLIP_SPLIT if options.model.predict_clip else SPLIT
    flags = ["--preset", PRESET, "--data_split", split, "--vid_step", str(step)]
    flags += ["--segment_frames", str(SEGMENT_FRAMES), "--bits", "16"]
    if scale < 1:
        rows, columns = (max(2 * round(scale * s / 2), 2) for s in (height, width))
        flags += ["--resize_list", f"{rows}_{columns}"]
    return flags


def measure(frame: Tensor, device: str, jobs: int, task: Task) -> Rates:
    """`Rates` for frames like ``frame``, uint8 (3, H, W), with ``jobs`` at a time.

    Three steps of ``task`` are done.
    """
    video = still_video(frame.to(device), PROBE_FRAMES)
    inputs = Inputs(video, split_frames(PROBE_FRAMES, CLIP_SPLIT))
    found = []
    for size in PROBES:
        found.append(_seconds_of_training(inputs, size, device, jobs))
        task.advance()
    found.append(_seconds_of_showing(inputs, PROBES[0], device))
    task.advance()
    return Rates(*found)


def _seconds_of_training(inputs: Inputs, size: float, device: str, jobs: int) -> float:
    """Seconds of training a frame in one of ``jobs``."""
    video, split, (model, config) = inputs.video, inputs.split, preset(PRESET)
    train, threads = split.count("train"), torch.get_num_threads()
    arch = solve(replace(model, modelsize=size), len(video), train, video.height, video.width)
    torch.set_num_threads(max(threads // jobs, 1))
    try:
        trainer = Trainer(build_network(arch, split).to(device), video, split, config)
        return trainer.measure_step() / min(config.batch, train)
    finally:
        torch.set_num_threads(threads)


def _seconds_of_showing(inputs: Inputs, size: float, device: str) -> float:
    """Seconds of evaluating and encoding a frame, measured on some frames in the middle.

    Includes the teacher, where there is one.
    """
    first = max((len(inputs.video) - SHOWN) // 2, 0)
    after = min(first + SHOWN, len(inputs.video))
    video, split = inputs.video.part(first, after), list(inputs.split[first:after])
    if "train" not in split:
        split[0] = "train"
    model, _ = preset(PRESET)
    train = split.count("train")
    arch = solve(replace(model, modelsize=size), len(video), train, video.height, video.width)
    with tempfile.TemporaryDirectory() as folder:
        checkpoint, stream = Path(folder) / "model.pth", Path(folder) / "comparison.mp4"
        export_model(build_network(arch, split), checkpoint, {})
        start = time.perf_counter()
        evaluate_checkpoint(checkpoint, video, split, teacher=inputs.teacher, device=device)
        between = time.perf_counter()
        write_comparison(
            stream,
            lambda chosen: ((video.read([i])[0], video.read([i])[0]) for i in chosen),
            len(video),
            25.0,
        )
        encoding = (time.perf_counter() - between) * AGAIN / ENCODINGS
    return (between - start + encoding) / len(video)


def plan_training(
    options: Options, inputs: Inputs, minutes: float, started: float, device: str
) -> tuple[list[str], Budget]:
    """Flags that choose the networks and the epochs for a video that was read, and the budget.

    ``started`` is when the command was started, of `time.monotonic`. Raises `InputError` where the
    time that is left is too short for one epoch.
    """
    video, split = inputs.video, inputs.split
    train, most = train_indices(split), options.model.segment_frames
    jobs = jobs_for(len(divide(video.shots, train, MAX_MODELSIZE, most)), device)
    small, large = (_seconds_of_training(inputs, size, device, jobs) for size in PROBES)
    rates = Rates(small, large, _seconds_of_showing(inputs, PROBES[0], device))
    end = started + 60 * minutes * (1 - RESERVE) - len(video) * rates.shown
    size = options.model.modelsize
    if not given(options, "--modelsize"):
        size = _total_size(options, inputs, rates, jobs, end - time.monotonic())
    flags = ["--modelsize", f"{size:.3g}"]
    sized = with_plan(options, flags)
    seconds = _seconds_of_an_epoch(sized, inputs, device)
    left = end - time.monotonic()
    epochs = math.floor(left / seconds)
    least = 2 if options.model.predict_clip else 1
    if epochs < least:
        needed = minutes + (least * seconds - left) / 60
        raise InputError(
            f"`minutes` {minutes:g} is too short to train on {len(train)} frames and to evaluate "
            f"the result: give at least {needed:.1f}, or a part of the video (`start`, `end`)"
        )
    shown = len(video) * rates.shown
    between = 3 if shown * 2 <= INTERMEDIATE * 60 * minutes else 1
    flags += ["--epochs", str(epochs), "--eval_freq", str(math.ceil(epochs / between))]
    if options.model.predict_clip:
        flags += ["--pixel_loss_warmup_epochs", str(max(math.floor(WARM_UP * epochs), 1))]
    return flags, Budget(minutes=minutes, train_seconds=left)


def _total_size(
    options: Options, inputs: Inputs, rates: Rates, jobs: int, available: float
) -> float:
    """Million parameters of all networks together that `balance` an epoch's time."""
    train, shots = train_indices(inputs.split), inputs.video.shots
    parts = divide(shots, train, MAX_MODELSIZE, options.model.segment_frames)

    def epoch(mean: float) -> float:
        own = divide(shots, train, mean * len(parts), options.model.segment_frames)
        return makespan([_trained(part, train) * rates.training(part.size) for part in own], jobs)

    chosen = balance(epoch, max(available, 0.0), len(train) / len(parts))
    return min(chosen.size * len(parts), MAX_MODELSIZE)


def _trained(part: Stretch, train: list[int]) -> int:
    return bisect_left(train, part.seen) - bisect_left(train, part.first)


def _seconds_of_an_epoch(options: Options, inputs: Inputs, device: str) -> float:
    """Seconds of an epoch of the networks that the options describe, from steps of them."""
    video, split, model = inputs.video, inputs.split, options.model
    if inputs.teacher is not None and (model.predict_clip or model.clip_input):
        model = replace(model, clip_dim=inputs.teacher.dim)
    arch = solve_video(model, video.shots, train_indices(split), video.height, video.width)
    network = build_video_network(arch, split, true_embeddings=inputs.true).to(device)
    config = replace(options.train, pixel_loss_warmup_epochs=0)
    return SegmentTraining(network, video, split, config, inputs.true).measure_epoch()
