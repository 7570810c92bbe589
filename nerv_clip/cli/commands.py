"""A whole command as the terminal runs it: check, train, evaluate, write."""

from __future__ import annotations

import os
import resource
import shutil
import sys
import time
import zlib
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import torch
from tqdm import tqdm

from nerv_clip.cli.inputs import load_inputs
from nerv_clip.cli.options import Options
from nerv_clip.cli.products import pairs, score, write_products
from nerv_clip.cli.record import check_same, record
from nerv_clip.cli.terminal import Curves, Terminal, evaluation_line, interruptible, show_step
from nerv_clip.errors import InputError
from nerv_clip.evaluation.evaluate import write_evaluation
from nerv_clip.files import atomic_write, file_hash
from nerv_clip.models.checkpoint import export_model, load_checkpoint, load_model, save_checkpoint
from nerv_clip.models.nerv_clip import NeRVClip
from nerv_clip.models.quantisation import unpack
from nerv_clip.models.solver import decoder_parameters, head_parameters, solve
from nerv_clip.runs.run import Run
from nerv_clip.teacher.encoder import check_dim
from nerv_clip.training.distributed import Workers, resolve_device, workers
from nerv_clip.training.losses import check_loss_fits
from nerv_clip.training.trainer import EpochResult, Step, Trainer


def run_session(options: Options) -> bool:
    """Train, or evaluate, as the options say; False if it was interrupted and can go on."""
    device = resolve_device(options.device)
    # the momentum of a unit that died decays into denormals, which made late steps 1.4 times slower
    torch.set_flush_denormal(True)
    command = Evaluating if options.eval_only else Training
    with workers(device) as group:
        work = command(options, group, device)  # all that can be refused before a file is written
        work.run.create()
        group.wait()
        with work.run.locked() if group.first else nullcontext():
            return work.go()


class Evaluating:
    """The evaluation of ``model_best.pth``, or of ``--weight`` into a directory of its own."""

    def __init__(self, options: Options, group: Workers, device: str) -> None:
        self.options, self.group = options, group
        self.run = Run(options.run)
        self.checkpoint = options.weight or self.run.best
        self.arch = load_model(self.checkpoint).arch
        if options.weight is not None and self.run.config.exists():
            best = self.run.best
            if not best.exists() or file_hash(best) != file_hash(self.checkpoint):
                raise InputError(
                    f"--weight {options.weight}: {self.run.path} is the run of another network, "
                    "whose figures would be lost: give another --outf"
                )
        self.inputs = load_inputs(options, device, Terminal(quiet=not group.first))
        size = (self.arch.frames, self.arch.height, self.arch.width)
        video = self.inputs.video
        if size != (len(video), video.height, video.width):
            raise InputError(
                f"{self.checkpoint} draws {size[0]} frames of {size[1]}x{size[2]}, but --data_path "
                f"gives {len(video)} of {video.height}x{video.width}: give the video and the size "
                "that it was trained on"
            )
        width, teacher = self.arch.clip_dim or self.arch.clip_input, self.inputs.teacher
        keys = ["clip", "data_split"]
        if width and teacher is not None:
            check_dim(teacher, width)
            keys.append("teacher")
        self.record = record(options, video, teacher, group.size, self.arch)
        trained = Run(self.checkpoint.parent)
        if trained.is_run:
            check_same(trained, self.record["identity"], keys)
        if self.run.config.exists():
            check_same(self.run, self.record["identity"], keys)
            self.record = {**self.run.read_config(), "teacher": self.record["teacher"]}

    def go(self) -> bool:
        """Write the figures and pictures."""
        if self.group.first:
            if self.inputs.teacher is not None or not self.run.config.exists():
                self.run.write_json(self.run.config, self.record)
            if not self.run.best.exists():
                with atomic_write(self.run.best) as temporary:
                    shutil.copyfile(self.checkpoint, temporary)
            images, videos = self.options.dump_images, self.options.dump_videos
            write_products(self.inputs, self.run, self.checkpoint, images=images, videos=videos)
        self.group.wait()
        return True


class Training:
    """A training of a run directory, from its first step or from where it was stopped."""

    def __init__(self, options: Options, group: Workers, device: str) -> None:
        self.options, self.group = options, group
        self.run = Run(options.run)
        self.terminal = Terminal(quiet=not group.first)
        self.inputs = load_inputs(options, device, self.terminal)
        video, split = self.inputs.video, self.inputs.split
        check_loss_fits(options.train.loss, video.height, video.width)
        if self.inputs.teacher is not None:
            width = replace(options.model, clip_dim=self.inputs.teacher.dim)
            self.options = options = replace(options, model=width)
        arch = solve(options.model, len(video), split.count("train"), video.height, video.width)
        torch.manual_seed(options.train.seed)
        model = NeRVClip(arch)
        if options.weight is not None:
            _start_from(model, load_checkpoint(options.weight), str(options.weight))
        self.trainer = Trainer(
            model.to(device),
            video,
            split,
            options.train,
            self.inputs.true,
            group,
            max_steps=10 if options.debug else None,
        )
        self.record = record(options, video, self.inputs.teacher, group.size, arch)
        self.started = self.shown = time.monotonic()
        self.best: tuple[bool, float] | None = None  # after the warm-up?, score of model_best.pth

    def go(self) -> bool:
        """Train to the last epoch, or to an interruption (False), and write the run directory."""
        pending = self._resume()
        if self.trainer.epoch < self.options.train.epochs or pending is not None:
            self._announce()
            if not self._fit(pending):
                return False
        if self.group.first:
            images, videos = self.options.dump_images, self.options.dump_videos
            write_products(self.inputs, self.run, self.run.best, images=images, videos=videos)
        self.group.wait()
        return True

    def _resume(self) -> EpochResult | None:
        """Take up the saved state, or begin; returns an epoch whose evaluation was cut off."""
        fresh = self.options.overwrite or not self.options.resume
        if fresh or not (self.run.latest.exists() or self.run.best.exists()):
            self._begin()
            return None
        check_same(self.run, self.record["identity"])
        if not self.run.latest.exists():
            raise InputError(
                f"{self.run.path} holds a trained network but no {self.run.latest.name} to go on "
                "from: choose another --outf, or start again with --not_resume"
            )
        state = load_checkpoint(self.run.latest)
        self.trainer.restore(state)
        self.best = state["best"]
        place = f"epoch {self.trainer.epoch + 1}, step {self.trainer.step + 1}"
        if self.trainer.epoch < self.options.train.epochs:
            self.terminal.say(f"going on in {place}")
        return EpochResult(*state["pending"]) if state["pending"] else None

    def _begin(self) -> None:
        """Empty the directory of an earlier run, and say what this one is."""
        self.group.wait()
        if self.group.first:
            self.run.clear(everything=self.options.overwrite)
            self.run.write_json(self.run.config, self.record)
        self.group.wait()

    def _announce(self) -> None:
        """Parameters, memory and time, measured by a trial step on a copy."""
        trainer, model, a = self.trainer, self.trainer.model, self.trainer.model.arch
        seconds = trainer.trial()
        left = self.options.train.epochs - trainer.epoch
        self.terminal.say(
            f"{len(self.inputs.video)} frames of {a.height}x{a.width} | "
            f"grid {a.grid[0]}x{a.grid[1]}, "
            f"strides {' '.join(map(str, (*a.strides, a.head_stride)))}, "
            f"widths {' '.join(map(str, a.widths))}"
        )
        parts = [f"{decoder_parameters(model) / 1e6:.4f} M parameters"]
        if "clip" in model.taps:
            parts.append(f"{head_parameters(model) / 1e6:.4f} M in the CLIP head")
        parts.append(f"{_peak_gib(self.inputs.device):.1f} GiB of memory")
        parts.append(
            f"about {_duration(seconds * trainer.steps * left)} for {left} epochs of "
            f"{trainer.steps} steps"
        )
        self.terminal.say(" | ".join(parts))

    def _fit(self, pending: EpochResult | None) -> bool:
        trainer, epochs = self.trainer, self.options.train.epochs
        total, done = trainer.steps * epochs, trainer.steps * trainer.epoch + trainer.step
        first = self.group.first
        with (
            interruptible() as received,
            self.terminal.bar(total, "training", "step", done) as bar,
            Curves(self.run.tensorboard, trainer.epoch) if first else nullcontext() as curves,
        ):
            if pending is not None and curves is not None:
                self._evaluate_epoch(pending, curves)
            self.group.wait()
            for result in trainer.fit(
                on_step=lambda step: self._show(bar, step),
                save=lambda: self._save(curves),
                save_seconds=60 * self.options.save_minutes,
                stop=lambda: bool(received),
            ):
                if curves is not None:
                    curves.epoch(result)
                    if result.epoch % self.options.train.eval_freq == 0 or result.epoch == epochs:
                        self._save(curves, result)  # the evaluation may take long
                        self._evaluate_epoch(result, curves)
                self.group.wait()
            stopped = self.group.any(bool(received))
        if stopped:
            place = f"epoch {trainer.epoch + 1} after step {trainer.step}"
            place = "the last evaluation" if trainer.epoch == epochs else place
            self.terminal.say(
                f"stopped in {place}: all is saved, the same command goes on from here"
            )
        return not stopped

    def _show(self, bar: tqdm[Any], step: Step) -> None:
        """Move the bar; once a second, also say in the run directory how far it is."""
        show_step(bar, step)
        now = time.monotonic()
        if self.group.first and now - self.shown > 1:
            self.shown = now
            about = {
                "pid": os.getpid(),
                "epoch": step.epoch + 1,
                "epochs": self.options.train.epochs,
                "step": step.steps * step.epoch + step.step,
                "steps": step.steps * self.options.train.epochs,
                "psnr": step.psnr,
                "seconds": now - self.started,
            }
            self.run.write_json(self.run.progress, about)

    def _save(self, curves: Curves | None, pending: EpochResult | None = None) -> None:
        if curves is not None:
            curves.flush()
            extra = {"best": self.best, "pending": list(pending) if pending else None}
            save_checkpoint({**self.trainer.state(), **extra}, self.run.latest)

    def _evaluate_epoch(self, result: EpochResult, curves: Curves) -> None:
        """Score the network as it would be shipped; it is shipped if it is the best so far."""
        about, bits = {"epoch": result.epoch}, self.options.train.bits
        export_model(self.trainer.averaged(), self.run.candidate, about, bits)
        model = load_model(self.run.candidate, self.inputs.device)
        evaluation = score(self.inputs, self.run.candidate, with_teacher=False)
        summary = evaluation.summary
        metric, _, group = self.options.train.best_metric.rpartition("_")
        warm = "clip" in model.taps and not self.trainer.trained_clip
        rank = (not warm, float(summary[group][metric]))
        is_best = self.best is None or rank > self.best
        if is_best:
            self.best = rank
            self.run.candidate.replace(self.run.best)
            write_evaluation(self.run, evaluation, self.inputs.true)
        self.run.candidate.unlink(missing_ok=True)
        self.run.append_history({**result._asdict(), **_flat(summary), "best": is_best})
        similarity = torch.tensor(evaluation.per_frame["clip_similarity"].dropna().to_numpy())
        curves.evaluation(result.epoch, summary, similarity)
        middle = len(self.inputs.video) // 2
        true, drawn = next(pairs(self.inputs, model, [middle], "picture"))
        curves.pictures(result.epoch, true.cpu(), drawn.cpu())
        self.terminal.say(evaluation_line(f"epoch {result.epoch}", summary))
        self._save(curves)


def _start_from(model: NeRVClip, content: dict[str, Any], name: str) -> None:
    """Load the weights of a checkpoint that has this network's shapes."""
    try:
        missing, unexpected = model.load_state_dict(unpack(content["weights"]), strict=False)
    except (RuntimeError, KeyError, zlib.error):
        missing, unexpected = ["shapes"], []
    if unexpected or any(not key.startswith("encoder.") for key in missing):
        raise InputError(
            f"--weight {name} holds another network than these flags give: repeat its flags"
        )


def _flat(summary: dict[str, Any]) -> dict[str, Any]:
    """``{"val": {"psnr": …}}`` as ``psnr_val``, for a row of ``history.csv``."""
    return {
        f"{figure}_{group}": value
        for group in ("all", "train", "val")
        for figure, value in summary[group].items()
    }


def _peak_gib(device: str) -> float:
    if device == "cuda":
        return torch.cuda.max_memory_allocated() / 2**30
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
