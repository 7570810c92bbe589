"""The training command: train a run, or evaluate it, in the terminal."""

from __future__ import annotations

import resource
import shutil
import sys
import time
from contextlib import nullcontext
from dataclasses import replace
from typing import Protocol

import torch

from nerv_clip.cli.inputs import load_inputs
from nerv_clip.cli.options import Options
from nerv_clip.cli.planning import (
    check_plannable,
    plan_reading,
    plan_text,
    plan_training,
    with_plan,
)
from nerv_clip.cli.terminal import Terminal
from nerv_clip.errors import InputError
from nerv_clip.files import atomic_write, file_hash
from nerv_clip.interruption import interruptible
from nerv_clip.models.checkpoint import load_model
from nerv_clip.models.parameters import decoder_parameters, head_parameters
from nerv_clip.runs.budget import Budget
from nerv_clip.runs.config import RunConfig, SplitRecord
from nerv_clip.runs.description import check_same, describe
from nerv_clip.runs.evaluation import evaluate_run
from nerv_clip.runs.inputs import Inputs, dense_inputs
from nerv_clip.runs.run import Run
from nerv_clip.runs.run_training import RunTraining
from nerv_clip.runs.same_video import check_video
from nerv_clip.teacher.loading import check_dim
from nerv_clip.training.distributed import Workers, resolve_device, workers


class Command(Protocol):
    """A command whose constructor refuses bad input before any file is written."""

    run: Run
    terminal: Terminal

    def execute(self) -> bool:
        """Do the work; False if it was interrupted and can be resumed."""


def run_command(options: Options) -> bool:
    """Train or evaluate; False if the training was interrupted and can be resumed."""
    device = resolve_device(options.device)
    kind = EvaluateCommand if options.eval_only else TrainCommand
    with workers(device) as group:
        command: Command = kind(options, group, device)
        command.run.create()
        group.wait()
        with command.run.locked(command.terminal) if group.first else nullcontext():
            return command.execute()


class TrainCommand:
    """Train a run directory, from its first step or from where it was stopped."""

    def __init__(self, options: Options, group: Workers, device: str) -> None:
        self.group, self.device = group, device
        self.run = Run(options.run)
        self.terminal = Terminal(quiet=not group.first)
        options, inputs, budget = self._planned(options)
        self.options = options
        self.training = RunTraining(
            self.run,
            inputs,
            options.model,
            options.train,
            split=SplitRecord(rule=options.split, shuffled=options.shuffle),
            device=device,
            preset=options.preset,
            weight=options.weight,
            budget=budget,
            images=options.dump_images,
            videos=options.dump_videos,
            debug=options.debug,
            workers=group,
            progress=self.terminal,
        )

    def _planned(self, options: Options) -> tuple[Options, Inputs, Budget | None]:
        """The options, inputs and budget; with ``minutes``, they are planned, or were before."""
        started = time.monotonic()
        budget, minutes = options.budget, options.minutes
        if minutes is None or budget is not None:
            return options, load_inputs(options, self.device, self.terminal), budget
        check_plannable(options, self.group.size)
        first = plan_reading(options, minutes, started, self.device, self.terminal)
        reading = with_plan(options, first.flags)
        inputs = load_inputs(reading, self.device, self.terminal)
        rates, device = first.rates, self.device
        then, budget = plan_training(reading, inputs, rates, minutes, started, device)
        flags = plan_text([*first.flags, *then], options)
        self.terminal.message(f"the plan for {minutes:g} minutes: {flags}")
        return with_plan(reading, then), inputs, budget

    def execute(self) -> bool:
        """Train to the last epoch and evaluate; False after an interruption."""
        training, options = self.training, self.options
        training.begin(resume=options.resume, overwrite=options.overwrite)
        if options.more_minutes is not None:
            training.extend(options.more_minutes)
        if not training.finished:
            self._announce()
            if not self._fit():
                return False
        training.finish()
        return True

    def _announce(self) -> None:
        """Print parameters, memory and time."""
        trainer, seconds = self.training.trainer, self.training.expected_seconds()
        networks, arch = trainer.model.networks, trainer.model.arch
        left = trainer.epochs - trainer.epoch
        grid = "x".join(map(str, arch.first.grid))
        strides = " ".join(map(str, (*arch.first.strides, arch.first.head_stride)))
        parts = [
            f"{arch.frames} frames of {arch.height}x{arch.width}",
            f"{_count('shot', len(arch.shots))}, {_count('network', len(networks))}",
            f"grid {grid}, strides {strides}",
        ]
        if len(networks) == 1:
            parts.append(f"widths {arch.widths}")
        self.terminal.message(" | ".join(parts))
        for segment, network in zip(arch.segments, networks, strict=True) if networks[1:] else ():
            self.terminal.message(
                f"frames {segment.first} to {segment.first + segment.frames - 1}: "
                f"{decoder_parameters(network) / 1e6:.4f} M parameters, "
                f"widths {' '.join(map(str, segment.network.widths))}"
            )
        parts = [f"{decoder_parameters(*networks) / 1e6:.4f} M parameters"]
        heads = {"clip": "the CLIP head", "dense": "the dense head"}
        for name, count in head_parameters(*networks).items():
            if count:
                parts.append(f"{count / 1e6:.4f} M in {heads[name]}")
        parts.append(f"{_peak_gib(self.device):.1f} GiB of memory")
        parts.append(f"about {_duration(seconds)} for {left} epochs of {trainer.steps} steps")
        self.terminal.message(" | ".join(parts))

    def _fit(self) -> bool:
        trainer = self.training.trainer
        with interruptible() as received:
            for _ in self.training.fit(
                save_minutes=self.options.save_minutes, stop=lambda: bool(received)
            ):
                pass
            stopped = self.group.any(bool(received))
        if stopped:
            place = f"in epoch {trainer.epoch + 1} after step {trainer.step}"
            place = "before the last evaluation" if trainer.epoch == trainer.epochs else place
            self.terminal.message(
                f"stopped {place}: the state is saved, the same command resumes from here"
            )
        return not stopped


class EvaluateCommand:
    """Evaluate ``model_best.pth`` of a run, or ``--weight`` into a directory of its own."""

    def __init__(self, options: Options, group: Workers, device: str) -> None:
        self.options, self.group, self.device = options, group, device
        self.run = Run(options.run)
        self.terminal = Terminal(quiet=not group.first)
        self.checkpoint = options.weight or self.run.best
        self.arch = load_model(self.checkpoint).arch
        if options.weight is not None and self.run.config.exists():
            best = self.run.best
            if not best.exists() or file_hash(best) != file_hash(self.checkpoint):
                raise InputError(
                    f"--weight {options.weight}: {self.run.path} is the run of another network, "
                    "whose metrics would be lost: give another --outf"
                )
        self.inputs = load_inputs(options, device, self.terminal)
        self._check_shape()
        record = describe(
            self.inputs,
            self.arch,
            split=SplitRecord(rule=options.split, shuffled=options.shuffle),
            preset=options.preset,
            model=options.model,
            train=options.train,
            debug=options.debug,
            weight=options.weight,
            processes=group.size,
        )
        names: tuple[str, ...] = ("data_split", "shots")
        width, teacher = self.arch.clip_dim or self.arch.clip_input, self.inputs.teacher
        if width and teacher is not None:
            check_dim(teacher, width)
            names += ("teacher", "clip_every")
        trained = Run(self.checkpoint.parent)
        if trained.is_run and trained.path.resolve() != self.run.path.resolve():
            self._check_run(trained, record, names)
        self.record: RunConfig | None = None  # to be written
        if not self.run.config.exists():
            self.record = record
        else:
            stored = self._check_run(self.run, record, names)
            if teacher is not None:
                train = replace(stored.train, clip_every=options.train.clip_every)
                self.record = replace(stored, teacher=record.teacher, train=train)

    def _check_run(self, run: Run, record: RunConfig, names: tuple[str, ...]) -> RunConfig:
        """The description of a run; raises `InputError` where its video or ``names`` differ."""
        check_video(self.inputs.video, run, self.terminal)
        stored = run.read_config()
        check_same(stored, record, run.path, names)
        return stored

    def _check_shape(self) -> None:
        video = self.inputs.video
        size = (self.arch.frames, self.arch.height, self.arch.width)
        if size != (len(video), video.height, video.width):
            raise InputError(
                f"{self.checkpoint} draws {size[0]} frames of {size[1]}x{size[2]}, but --data_path "
                f"gives {len(video)} of {video.height}x{video.width}: give the video and the size "
                "that it was trained on"
            )

    def execute(self) -> bool:
        """Write the metrics and the videos."""
        if self.group.first:
            if self.record is not None:
                self.run.write_config(self.record)
            if not self.run.best.exists():
                with atomic_write(self.run.best) as temporary:
                    shutil.copyfile(self.checkpoint, temporary)
            evaluation = evaluate_run(
                self.run,
                self.checkpoint,
                self.inputs,
                dense_inputs(self.inputs, self.arch, self.terminal),
                device=self.device,
                images=self.options.dump_images,
                videos=self.options.dump_videos,
                progress=self.terminal,
            )
            self.terminal.message(evaluation.metrics.line(self.checkpoint.name))
            self.terminal.message(f"written to {self.run.path}")
        self.group.wait()
        return True


def _count(name: str, number: int) -> str:
    return f"{number} {name}" + ("s" if number != 1 else "")


def _peak_gib(device: str) -> float:
    if device == "cuda":
        return torch.cuda.max_memory_allocated() / 2**30
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
