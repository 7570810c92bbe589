"""Plan a training that ends in a given time: which frames, which networks, how many epochs.

The plan is a list of flags, made in two steps. Before the video is read, `plan_reading` chooses the
frames and their size, from steps of small networks that are measured on this machine. Then the
shots are known, and `plan_training` chooses the size of the networks and the number of epochs.
Flags that the user gave come after those of the plan, and therefore count.

How sizes and epochs are balanced was fitted to trainings (bench/results/law.md).
"""

from __future__ import annotations

import math
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from operator import attrgetter
from typing import NamedTuple

import numpy as np
from torch import Tensor

from nerv_clip.cli.options import Options, parse
from nerv_clip.cli.quality import expected_psnr
from nerv_clip.cli.rates import PRESET, Rates, measure, seconds_of_maps, seconds_of_showing
from nerv_clip.cli.survey import Source, survey
from nerv_clip.errors import InputError
from nerv_clip.models.config import MAX_MODELSIZE
from nerv_clip.models.sharing import LEAST_SIZE, Stretch, divide
from nerv_clip.models.solver import solve_video
from nerv_clip.progress import SILENT, Progress
from nerv_clip.runs.budget import Budget
from nerv_clip.runs.inputs import Inputs, check_embedded, stand_in_maps
from nerv_clip.training.builder import build_video_network
from nerv_clip.training.segments import SegmentTraining, makespan
from nerv_clip.training.threads import jobs_for
from nerv_clip.video.spec import VideoSpec
from nerv_clip.video.split import parse_split, train_indices
from nerv_clip.video.video import fit
from nerv_clip.video.writer import to_pixels

SPLIT, CLIP_SPLIT = "9_9_10", "3_3_4"  # the test of a CLIP head needs many held-out frames
SEGMENT_FRAMES = 300
LONG_SIDE = 320  # pixels of a frame, or half as many, or more if there is much time
FINER_SIDES = (480, 640, 960, 1280, 1920, 2560, 3840)
STEPS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)  # of frames; all are compared
BEST_EPOCHS, AT_SIZE, POWER = 20.0, 0.4, 1.2  # epochs that suit a network of so many M parameters
LONG_EPOCH = 70  # train frames of a segment below which an epoch counts for less
LEAST_FRAMES = 60  # that are kept of a video that has more
FINER = (1.0, 50)  # million parameters and epochs from which on larger frames gain more
RESERVE = 0.04  # share of the time that is kept free
WARM_UP = 0.4  # share of the epochs before CLIP training starts
INTERMEDIATE = 0.05  # share of the time that two evaluations before the last may take


class Choice(NamedTuple):
    """Million parameters of each network, and the number of epochs that fit into the time."""

    size: float
    epochs: float


class ReadingPlan(NamedTuple):
    """The first part of a plan: ``flags``, and what they were chosen by.

    ``choice`` is what the networks will be about, ``segments`` about how many there will be;
    ``rates`` is what a frame takes, ``psnr`` what `expected_psnr` says of it.
    """

    flags: list[str]
    choice: Choice
    segments: int
    source: Source
    rates: Rates
    psnr: float


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


def check_plannable(options: Options, processes: int) -> None:
    """Raise `InputError` where ``minutes`` cannot be combined with what else is given."""
    if processes > 1:
        raise InputError("`minutes` plans for one process: leave out torchrun, or `minutes`")
    if given(options, "-e", "--epochs"):
        raise InputError("`minutes` plans the number of epochs: leave out `epochs` or `minutes`")


def given(options: Options, *flags: str) -> bool:
    """Whether the user gave one of these flags."""
    return any(word.partition("=")[0] in flags for word in options.argv)


def with_plan(options: Options, flags: list[str]) -> Options:
    """The options with the flags of a plan; those that the user gave come after them."""
    return parse([*flags, *options.argv])


def plan_text(flags: list[str], options: Options) -> str:
    """The flags of a plan in one line, without those that the user gave."""
    pairs = zip(flags[::2], flags[1::2], strict=True)  # each has one value
    return " ".join(f"{flag} {value}" for flag, value in pairs if not given(options, flag))


def plan_reading(
    options: Options, minutes: float, started: float, device: str, progress: Progress = SILENT
) -> ReadingPlan:
    """Choose the frames that are read, their size, and how they are split.

    ``started`` is when the command was started, of `time.monotonic`. Raises `InputError` where the
    time is too short for any plan.
    """

    def data_at(frame: Tensor, side: int = LONG_SIDE) -> VideoSpec:
        return with_plan(options, _reading_flags(options, frame, side, 1)).data

    source = survey(options.data, data_at)
    end = started + 60 * minutes * (1 - RESERVE) - source.reading
    if end <= time.monotonic():
        least = source.reading / 60 / (1 - RESERVE)
        raise InputError(
            f"`minutes` {minutes:g}: reading the video alone takes about {least:.2g} minutes; give "
            "more time, or a part of the video (`start`, `end`)"
        )
    typical = to_pixels(source.typical)
    wanted = with_plan(options, _reading_flags(options, source.typical, LONG_SIDE, 1))
    full = max(fit(typical, wanted.data).shape)
    a, _, c = parse_split(wanted.split)
    measured: dict[tuple[int, ...], Rates] = {}

    def plans(side: int, steps: Sequence[int]) -> Iterator[ReadingPlan]:
        frame = fit(typical, data_at(source.typical, side))
        size = tuple(frame.shape)
        for step in steps:
            frames = max(source.frames // step, 1)
            segments = max(frames // SEGMENT_FRAMES, 1)
            jobs = jobs_for(segments, device)
            if size not in measured:
                task.resize(3 * len(measured) + 3)
                measured[size] = measure(frame, device, jobs, task)
            rates, train = measured[size], max(frames * a / c, 1)
            left = max(end - time.monotonic() - frames * rates.shown, 0.0) * jobs
            choice = balance(partial(_epoch, rates, train), left, train / segments)
            psnr = expected_psnr(
                source.content,
                size=choice.size,
                epochs=choice.epochs,
                train=train / segments,
                smaller=full / max(size),
                step=step,
            )
            flags = _reading_flags(options, source.typical, side, step)
            yield ReadingPlan(flags, choice, segments, source, rates, psnr)

    with progress.task("measuring training steps", 3) as task:
        steps = [step for step in STEPS if step == 1 or source.frames >= LEAST_FRAMES * step]
        if given(options, "--vid_step"):
            steps = [options.data.step]
        plan = max(plans(LONG_SIDE, steps), key=attrgetter("psnr"))
        if plan.psnr < source.content.detail:  # that of half the width, trained for ever
            plan = max(plan, *plans(LONG_SIDE // 2, steps), key=attrgetter("psnr"))
        if plan.choice.epochs >= FINER[1]:
            for side in FINER_SIDES:
                if side > max(source.typical.shape):
                    break
                finer = next(plans(side, steps[:1]))
                if finer.choice.size < FINER[0] or finer.choice.epochs < FINER[1]:
                    break
                plan = finer
    return plan


def _epoch(rates: Rates, train: float, size: float) -> float:
    """Seconds of an epoch of ``train`` frames in one job."""
    return train * rates.training(size)


def _reading_flags(options: Options, frame: Tensor, side: int, step: int) -> list[str]:
    height, width = frame.shape[1:]
    scale = min(side / max(height, width), 1.0)
    split = CLIP_SPLIT if options.model.predict_clip else SPLIT
    flags = ["--preset", PRESET, "--data_split", split, "--vid_step", str(step)]
    flags += ["--segment_frames", str(SEGMENT_FRAMES), "--bits", "16"]
    if scale < 1:
        rows, columns = (max(2 * round(scale * s / 2), 2) for s in (height, width))
        flags += ["--resize_list", f"{rows}_{columns}"]
    return flags


def plan_training(
    options: Options,
    inputs: Inputs,
    rates: Rates,
    minutes: float,
    started: float,
    device: str,
) -> tuple[list[str], Budget]:
    """Flags that choose the networks and the epochs for a video that was read, and the budget.

    ``rates`` are those of `plan_reading`, ``started`` as there. Raises `InputError` where the time
    that is left is too short for one epoch.
    """
    video, split = inputs.video, inputs.split
    train, most = train_indices(split), options.model.segment_frames
    jobs = jobs_for(len(divide(video.shots, train, MAX_MODELSIZE, most)), device)
    rates = rates._replace(shown=seconds_of_showing(inputs, device))  # with the teacher
    shown = len(video) * rates.shown + seconds_of_maps(options.model, inputs)
    end = started + 60 * minutes * (1 - RESERVE) - shown
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
    often = 2 * len(video) * rates.shown <= INTERMEDIATE * 60 * minutes
    every = math.ceil(epochs * (0.4 if often else 10))  # also once if epochs are added
    flags += ["--epochs", str(epochs), "--eval_freq", str(every)]
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
    check_embedded(inputs, arch, options.train.clip_every)
    network = build_video_network(arch, split, true_embeddings=inputs.true).to(device)
    config = replace(options.train, pixel_loss_warmup_epochs=0)
    dense = stand_in_maps(arch)
    return SegmentTraining(network, video, split, config, inputs.true, dense=dense).measure_epoch()
