"""The training of a run directory, resumed where it was stopped."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path

import msgspec
import torch

from nerv_clip.errors import InputError
from nerv_clip.evaluation.evaluate import evaluate_checkpoint
from nerv_clip.evaluation.results import Evaluation
from nerv_clip.models.checkpoint import (
    DAMAGED,
    export_model,
    load_checkpoint,
    load_model,
    packed_weights,
    save_checkpoint,
)
from nerv_clip.models.config import ModelConfig
from nerv_clip.models.quantisation import unpack
from nerv_clip.models.segments import VideoArchitecture
from nerv_clip.models.solver import solve_video
from nerv_clip.models.video_network import VideoNetwork
from nerv_clip.progress import SILENT, Progress
from nerv_clip.runs.budget import EXTRA, Budget
from nerv_clip.runs.config import SplitRecord
from nerv_clip.runs.description import check_same, describe
from nerv_clip.runs.evaluation import evaluate_run, frame_pairs, write_evaluation
from nerv_clip.runs.inputs import Inputs, check_embedded, dense_inputs
from nerv_clip.runs.run import Run, TrainingStatus
from nerv_clip.runs.tensorboard import Curves
from nerv_clip.teacher.dense_maps import DenseMaps
from nerv_clip.teacher.loading import check_dim
from nerv_clip.training.builder import build_video_network
from nerv_clip.training.config import TrainConfig
from nerv_clip.training.distributed import Workers
from nerv_clip.training.losses import check_loss_fits
from nerv_clip.training.older_states import upgrade_state
from nerv_clip.training.results import EpochResult, Step
from nerv_clip.training.segments import SegmentTraining
from nerv_clip.video.split import train_indices

DEBUG_STEPS = 10  # in an epoch of a debug run


class RunTraining:
    """The training of a run directory, from its first step or from where it was stopped.

    The constructor raises `InputError` for settings that do not fit each other or the video,
    before a file is written; `begin` raises it for a directory that cannot be resumed. `begin`,
    `fit` and `finish` are called in this order.
    """

    def __init__(
        self,
        run: Run,
        inputs: Inputs,
        model: ModelConfig,
        config: TrainConfig,
        *,
        split: SplitRecord,
        device: str = "cpu",
        preset: str = "default",
        weight: Path | None = None,
        budget: Budget | None = None,
        images: bool = False,
        videos: bool = False,
        debug: bool = False,
        workers: Workers | None = None,
        progress: Progress = SILENT,
    ) -> None:
        self.run, self.inputs, self.config, self.device = run, inputs, config, device
        self.workers, self.progress = workers or Workers(), progress
        self.images, self.videos = images, videos
        config.check(model.predict_clip, model.clip_input)
        video = inputs.video
        check_loss_fits(config.loss, video.height, video.width)
        model = replace(model, motion=model.motion and config.motion_weight > 0)
        if model.predict_clip or model.clip_input:
            if inputs.teacher is None:
                raise InputError("`predict_clip` and `clip_input` need a teacher")
            if model.clip_dim:
                check_dim(inputs.teacher, model.clip_dim)
            model = replace(model, clip_dim=inputs.teacher.dim)
        if config.best_metric.endswith("_val") and "val" not in inputs.split:
            raise InputError(
                f"`best_metric` {config.best_metric}: the split has no held-out frames"
            )
        train = train_indices(inputs.split)
        arch = solve_video(model, video.shots, train, video.height, video.width)
        if model.predict_clip:
            check_embedded(inputs, arch, config.clip_every)
        self.dense = dense_inputs(inputs, arch, self.progress)
        torch.manual_seed(config.seed)
        self.trainer = SegmentTraining(
            _build(arch, inputs, self.dense, weight).to(device),
            video,
            inputs.split,
            config,
            inputs.true,
            self.workers,
            max_steps=DEBUG_STEPS if debug else None,
            dense=self.dense,
        )
        self.record = describe(
            inputs,
            arch,
            split=split,
            preset=preset,
            model=model,
            train=config,
            debug=debug,
            weight=weight,
            processes=self.workers.size,
            budget=budget,
        )
        self.started = self.shown = time.monotonic()
        self.best: tuple[bool, float] | None = None  # after the warm-up?, score of model_best.pth
        self.pending: EpochResult | None = None  # an epoch whose evaluation was interrupted
        self.spent = 0.0  # seconds of training before this process
        self.evaluated = False  # whether model_best.pth was evaluated with all that shows it

    @property
    def finished(self) -> bool:
        """Whether the last epoch has been trained and evaluated."""
        return self.trainer.epoch >= self.trainer.epochs and self.pending is None

    def begin(self, *, resume: bool = True, overwrite: bool = False) -> None:
        """Resume the training in the directory, or begin a new one.

        ``overwrite`` empties the directory first. Raises `InputError` where the directory
        contains the run of another training.
        """
        there = self.run.latest.exists() or self.run.best.exists()
        if overwrite or not resume or not there:
            self.workers.wait()
            if self.workers.first:
                self.run.clear(everything=overwrite)
                self.run.write_config(self.record)
            self.workers.wait()
            return
        stored = self.run.read_config()
        check_same(stored, self.record, self.run.path)
        self.record = replace(self.record, budget=stored.budget)
        if not self.run.latest.exists():
            raise InputError(
                f"{self.run.path} has a trained network but no {self.run.latest.name} to resume "
                "from: choose another folder (`out`), or start again (`resume=False`)"
            )
        content = load_checkpoint(self.run.latest)
        try:
            state = upgrade_state(content)
            self.trainer.restore(state)
            self.best = msgspec.convert(state["best"], tuple[bool, float] | None)
            self.pending = msgspec.convert(state["pending"], EpochResult | None)
            self.spent = msgspec.convert(state.get("spent", 0.0), float)
            self.started = time.monotonic()
        except DAMAGED:
            raise InputError(
                f"{self.run.latest} is damaged or not a training state: start again "
                "(`resume=False`)"
            ) from None
        if self.trainer.epoch < self.trainer.epochs:
            place = f"epoch {self.trainer.epoch + 1}, step {self.trainer.step + 1}"
            self.progress.message(f"resuming at {place}")

    def extend(self, minutes: float) -> None:
        """Train for ``minutes`` more than was planned; to be called after `begin`.

        The learning rate rises again to what it would be had all epochs been planned from the
        start. Raises `InputError` where no training state was resumed.
        """
        trainer = self.trainer
        if not trainer.epoch:
            raise InputError(
                f"{self.run.path} has no finished epoch to go on from: give it a time with "
                "`minutes` instead of `more_minutes`"
            )
        each = self.spent / trainer.epoch or trainer.measure_epoch()
        more = max(math.floor(60 * EXTRA * minutes / each), 1)
        budget = self.record.budget or Budget(minutes=0.0, train_seconds=0.0)
        extended = budget.extended(minutes, self.spent)
        self._store(extended.revised(trainer.epoch, trainer.epochs + more))
        trainer.plan(trainer.epochs + more)
        self._save()
        self.progress.message(f"{more} more epochs, {trainer.epochs} in all")

    def expected_seconds(self) -> float:
        """Seconds of the epochs that are left: planned, or from a step on a copy of the network."""
        trainer, budget = self.trainer, self.record.budget
        if budget is not None and not trainer.epoch:
            return budget.train_seconds
        return (trainer.epochs - trainer.epoch) * trainer.measure_epoch()

    def fit(
        self, *, save_minutes: float = 2.0, stop: Callable[[], bool] = lambda: False
    ) -> Iterator[EpochResult]:
        """Train to the last epoch, yielding each epoch after its evaluation, if it has one.

        The state is saved every ``save_minutes``, and when ``stop`` returns True, after which the
        generator ends.
        """
        trainer, first = self.trainer, self.workers.first
        if self.finished:
            return
        self.started = time.monotonic()
        total, done = trainer.steps * trainer.epochs, trainer.steps * trainer.epoch + trainer.step
        with (
            self.progress.task("training", total, "step", done) as task,
            Curves(self.run.tensorboard, trainer.epoch, self.progress.message)
            if first
            else nullcontext() as curves,
        ):

            def on_step(step: Step) -> None:
                task.advance(1, f"epoch {step.epoch + 1}, {step.psnr:.2f} dB")
                self._write_status(step)

            if self.pending is not None and curves is not None:
                self._evaluate_epoch(self.pending, curves)
                self.pending = None
            self.workers.wait()
            try:
                for result in trainer.fit(
                    on_step=on_step,
                    save=self._save,
                    save_seconds=60 * save_minutes,
                    stop=stop,
                ):
                    self._replan(result.epoch)
                    task.resize(trainer.steps * trainer.epochs)
                    if curves is not None:
                        curves.epoch(result)
                        last = result.epoch == trainer.epochs
                        if result.epoch % self.config.eval_freq == 0 or last:
                            self._save(result)  # the evaluation may take long
                            self._evaluate_epoch(result, curves)
                    self.workers.wait()
                    yield result
            except GeneratorExit:
                self._save()
                raise

    def finish(self) -> None:
        """Evaluate ``model_best.pth``, and write the files of the run that show it."""
        if self.workers.first:
            if not self.evaluated:
                evaluation = self._evaluate_best()
                self.progress.message(evaluation.metrics.line(self.run.best.name))
            self.progress.message(f"written to {self.run.path}")
        self.workers.wait()

    def _evaluate_best(self) -> Evaluation:
        self.evaluated = True
        return evaluate_run(
            self.run,
            self.run.best,
            self.inputs,
            self.dense,
            device=self.device,
            images=self.images,
            videos=self.videos,
            progress=self.progress,
        )

    def _replan(self, epoch: int) -> None:
        """After an epoch, change the number of epochs if the time that is left asks for it.

        The change is written into ``config.json`` first: a training that is resumed from an
        earlier state repeats it.
        """
        budget, trainer = self.record.budget, self.trainer
        if budget is None:
            return
        epochs = budget.stored(epoch)
        if epochs is None and epoch < trainer.epochs and not budget.decided(epoch):
            warm_up = self.config.pixel_loss_warmup_epochs if self.trains_clip else 0
            epochs = budget.replan(epoch, trainer.epochs, self.spent_so_far, warm_up + 1)
            if epochs != trainer.epochs:
                self._store(budget.revised(epoch, epochs))
                self.progress.message(
                    f"after epoch {epoch}: {epochs} epochs fit into the time instead of "
                    f"{trainer.epochs}"
                )
        if epochs is not None:
            trainer.plan(epochs)

    def _store(self, budget: Budget) -> None:
        self.record = replace(self.record, budget=budget)
        if self.workers.first:
            self.run.write_config(self.record)

    @property
    def trains_clip(self) -> bool:
        """Whether the networks have a CLIP head."""
        return bool(self.trainer.model.arch.clip_dim)

    @property
    def spent_so_far(self) -> float:
        """Seconds of training, with those of earlier processes."""
        return self.spent + time.monotonic() - self.started

    def _write_status(self, step: Step) -> None:
        """Once a second, write into the run directory how far the training is."""
        now = time.monotonic()
        if not self.workers.first or now - self.shown <= 1:
            return
        self.shown = now
        self.run.write_status(
            TrainingStatus(
                pid=os.getpid(),
                epoch=step.epoch + 1,
                epochs=self.trainer.epochs,
                step=step.steps * step.epoch + step.step,
                steps=step.steps * self.trainer.epochs,
                psnr=step.psnr,
                seconds=now - self.started,
            )
        )

    def _save(self, pending: EpochResult | None = None) -> None:
        if self.workers.first:
            extra = {
                "best": self.best,
                "pending": asdict(pending) if pending else None,
                "spent": self.spent_so_far,
            }
            save_checkpoint({**self.trainer.state(), **extra}, self.run.latest)

    def _evaluate_epoch(self, result: EpochResult, curves: Curves) -> None:
        """Evaluate the network as written to a file, and keep the file if it is the best so far.

        The only evaluation of a training is done with all that `finish` would do.
        """
        about, bits = {"epoch": result.epoch}, self.config.bits
        export_model(self.trainer.averaged(), self.run.candidate, about, bits)
        model = load_model(self.run.candidate, self.device)
        only = self.best is None and result.epoch == self.trainer.epochs
        if only:
            self.run.candidate.replace(self.run.best)
            evaluation = self._evaluate_best()
        else:
            evaluation = evaluate_checkpoint(
                self.run.candidate,
                self.inputs.video,
                self.inputs.split,
                true_embeddings=self.inputs.true,
                dense=self.dense,
                device=self.device,
                progress=self.progress,
            )
        metrics = evaluation.metrics
        metric, _, split = self.config.best_metric.rpartition("_")
        warm = self.trains_clip and not self.trainer.trained_clip
        rank = (not warm, float(getattr(metrics.of(split), metric)))
        is_best = self.best is None or rank > self.best
        if is_best:
            self.best = rank
        if is_best and not only:
            self.run.candidate.replace(self.run.best)
            write_evaluation(self.run, evaluation, self.inputs.true)
        self.run.candidate.unlink(missing_ok=True)
        kept = self.run.append_history({**result.row(), **metrics.flat(), "best": is_best})
        if kept is not None:
            self.progress.message(
                f"{self.run.history} was damaged: rows that cannot be read are left out, and the "
                f"old file is kept as {kept.name}"
            )
        similarity = torch.tensor(evaluation.per_frame["clip_similarity"].dropna().to_numpy())
        curves.evaluation(result.epoch, metrics, similarity)
        middle = len(self.inputs.video) // 2
        true, drawn = next(frame_pairs(self.inputs.video, model, [middle], "picture"))
        curves.pictures(result.epoch, true.cpu(), drawn.cpu())
        label = self.run.best.name if only else f"epoch {result.epoch}"
        self.progress.message(metrics.line(label))
        self._save()


def _build(
    arch: VideoArchitecture,
    inputs: Inputs,
    dense: Sequence[DenseMaps] | None,
    weight: Path | None,
) -> VideoNetwork:
    """Networks with random weights, or with those of the checkpoint ``weight``."""
    split, true = inputs.split, inputs.true
    bases = None if dense is None else [maps.basis for maps in dense]
    if weight is None:
        return build_video_network(arch, split, true_embeddings=true, bases=bases)
    content = load_checkpoint(weight)
    try:
        weights = [unpack(packed) for packed in packed_weights(content)]
        return build_video_network(arch, split, true_embeddings=true, weights=weights, bases=bases)
    except DAMAGED:
        raise InputError(
            f"`weight` {weight} does not fit the network of these settings: use the settings that "
            "it was trained with"
        ) from None
