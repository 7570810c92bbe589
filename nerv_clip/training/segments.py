"""Train the networks of all segments of a video, an epoch at a time, on all cores."""

from __future__ import annotations

import heapq
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Event, Lock
from typing import Any

import msgspec
import numpy as np
import torch
from torch import Tensor

from nerv_clip.models.nerv_clip import NeRVClip
from nerv_clip.models.video_network import VideoNetwork
from nerv_clip.teacher.dense_maps import DenseMaps
from nerv_clip.training.config import TrainConfig
from nerv_clip.training.distributed import Workers
from nerv_clip.training.results import EpochResult, Step
from nerv_clip.training.threads import jobs_for, shared_threads
from nerv_clip.training.trainer import Trainer
from nerv_clip.video.split import Split
from nerv_clip.video.video import Video

MEASURED = 6  # sizes of networks whose step is measured to estimate the time of an epoch


def makespan(seconds: Sequence[float], jobs: int) -> float:
    """When the last of some tasks ends, if the longest is begun first by the job that is free.

    >>> makespan([3.0, 2.0, 2.0], 2)
    4.0
    """
    busy = [0.0] * jobs
    for each in sorted(seconds, reverse=True):
        heapq.heapreplace(busy, busy[0] + each)
    return max(busy)


class SegmentTraining:
    """Trains every network of a video, each on the train frames of its own segment.

    An epoch passes once over the train frames of all segments. On a CPU, segments are trained side
    by side in threads, which share PyTorch's threads among them; on a GPU, with ``compile`` and
    under ``torchrun`` one after the other. A single network is trained by `Trainer` alone, with
    the same weights. ``model`` comes from `nerv_clip.training.builder.build_video_network`; the
    other arguments are those of `Trainer`, for the whole video; ``dense`` has an entry for each
    segment.
    """

    def __init__(
        self,
        model: VideoNetwork,
        video: Video,
        split: list[Split],
        config: TrainConfig,
        true_embeddings: Tensor | None = None,
        workers: Workers | None = None,
        max_steps: int | None = None,
        dense: Sequence[DenseMaps] | None = None,
    ) -> None:
        self.model, self.config, self.workers = model, config, workers or Workers()
        self.trainers = [
            Trainer(
                network,
                video.part(segment.seen.start, segment.seen.stop),
                split[segment.rows],
                config,
                None if true_embeddings is None else true_embeddings[segment.rows],
                self.workers,
                max_steps,
                None if dense is None else dense[number],
            )
            for number, (segment, network) in enumerate(
                zip(model.arch.segments, model.networks, strict=True)
            )
        ]
        self.results: list[EpochResult | None] = [None] * len(self.trainers)  # of this epoch
        self.seconds = 0.0  # spent in this epoch so far

    @property
    def steps(self) -> int:
        """Steps in an epoch, of all segments."""
        return sum(trainer.steps for trainer in self.trainers)

    @property
    def epochs(self) -> int:
        """Epochs that are planned: those of the settings, unless `plan` changed them."""
        return self.trainers[0].epochs

    def plan(self, epochs: int) -> None:
        """Plan another number of epochs, of which the learning rate follows the rest."""
        for trainer in self.trainers:
            trainer.epochs = epochs

    @property
    def epoch(self) -> int:
        """Number of epochs that all segments have finished."""
        return min(trainer.epoch for trainer in self.trainers)

    @property
    def step(self) -> int:
        """Steps of this epoch that are done, of all segments."""
        return sum(
            trainer.steps * (trainer.epoch - self.epoch) + trainer.step for trainer in self.trainers
        )

    @property
    def trained_clip(self) -> bool:
        """Whether the last epoch was after the warm-up, when a CLIP head is trained."""
        return self.epoch > self.config.pixel_loss_warmup_epochs

    def measure_epoch(self) -> float:
        """Seconds of an epoch, from a step of each size of network, on a copy of one.

        Of many sizes, `MEASURED` are measured, and the others are estimated by their parameters.
        """
        jobs = self.jobs
        sizes = [sum(p.numel() for p in trainer.model.parameters()) for trainer in self.trainers]
        distinct = sorted(set(sizes))
        places = np.linspace(0, len(distinct) - 1, MEASURED).round().astype(int)
        chosen = [distinct[place] for place in dict.fromkeys(places.tolist())]
        with shared_threads(jobs):
            measured = [self.trainers[sizes.index(size)].measure_step() for size in chosen]
        seconds = np.interp(sizes, chosen, measured)
        steps = [trainer.steps for trainer in self.trainers]
        return makespan([float(s) * n for s, n in zip(seconds, steps, strict=True)], jobs)

    def averaged(self) -> VideoNetwork:
        """A copy of the networks for export, as `Trainer.averaged` makes it."""
        networks: list[NeRVClip] = [trainer.averaged() for trainer in self.trainers]
        return VideoNetwork(self.model.arch, networks).eval()

    def state(self) -> dict[str, Any]:
        """Everything that the next step depends on, as tensors and plain values."""
        return {
            "architecture": self.model.arch.plain(),
            "segments": [trainer.state() for trainer in self.trainers],
            "results": msgspec.to_builtins(self.results),
            "seconds": self.seconds,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a `state`; on a CPU the result is the same bit for bit.

        A state of another training raises one of several exceptions.
        """
        for trainer, own in zip(self.trainers, state["segments"], strict=True):
            trainer.restore(own)
        results = msgspec.convert(state["results"], list[EpochResult | None])
        epochs = [t.epoch - (r is not None) for t, r in zip(self.trainers, results, strict=True)]
        if len(set(epochs)) != 1 or len({trainer.epochs for trainer in self.trainers}) != 1:
            raise ValueError("the segments are in different epochs, or planned for other ones")
        self.results, self.seconds = results, float(state["seconds"])

    def fit(
        self,
        *,
        on_step: Callable[[Step], None] = lambda step: None,
        save: Callable[[], None] = lambda: None,
        save_seconds: float = math.inf,
        stop: Callable[[], bool] = lambda: False,
    ) -> Iterator[EpochResult]:
        """Train to the last epoch and yield the result of each; arguments as in `Trainer.fit`."""
        last_save = time.monotonic()
        while self.epoch < self.epochs or any(self.results):
            start = time.perf_counter()
            due = last_save + save_seconds
            self._train(on_step, partial(_interrupted, stop, due))
            self.seconds += time.perf_counter() - start
            stopping = self.workers.any(stop())
            if stopping or time.monotonic() >= due:
                save()
                last_save = time.monotonic()
            if stopping:
                return
            if all(self.results):
                yield self._finish_epoch()

    def _train(self, on_step: Callable[[Step], None], pause: Callable[[], bool]) -> None:
        """Train the segments that have not finished this epoch, until they have, or ``pause``.

        ``pause`` is called after every step.
        """
        waiting = [number for number, result in enumerate(self.results) if result is None]
        waiting.sort(key=self._work, reverse=True)  # the longest first, so that all end together
        jobs, paused, lock = self.jobs, Event(), Lock()

        def report(step: Step) -> None:
            with lock:
                single = len(self.trainers) == 1
                on_step(step if single else Step(self.epoch, self.step, self.steps, step.psnr))

        def stop() -> bool:
            if pause():
                paused.set()
            return paused.is_set()

        def train(number: int) -> None:
            if paused.is_set():
                return
            if jobs > 1:
                torch.set_num_threads(own)
            try:
                epochs = self.trainers[number].fit(on_step=report, stop=stop)
                self.results[number] = next(epochs, None)
            except BaseException:
                paused.set()  # the others stop after their step
                raise

        if jobs == 1:
            for number in waiting:
                train(number)
                if self.results[number] is None:  # the same in all processes of torchrun
                    break
            return
        with shared_threads(jobs) as own, ThreadPoolExecutor(jobs) as pool:
            list(pool.map(train, waiting))

    @property
    def jobs(self) -> int:
        """Segments that are trained side by side; with one, each uses all of PyTorch's threads."""
        if self.workers.size > 1 or self.config.compile:
            return 1
        return jobs_for(len(self.trainers), self.trainers[0].device.type)

    def _work(self, number: int) -> int:
        """A number that grows with the duration of a segment's epoch."""
        trainer = self.trainers[number]
        return trainer.steps * sum(p.numel() for p in trainer.model.parameters())

    def _finish_epoch(self) -> EpochResult:
        """The result of an epoch: means over the train frames of all segments."""
        results = [result for result in self.results if result is not None]
        seconds = self.seconds
        self.results, self.seconds = [None] * len(self.trainers), 0.0
        if len(results) == 1:
            return results[0]
        frames = [len(trainer.train_frames) for trainer in self.trainers]

        def mean(values: list[float | None]) -> float | None:
            known = [(v, n) for v, n in zip(values, frames, strict=True) if v is not None]
            total = sum(n for _, n in known)
            return sum(v * n for v, n in known) / total if known else None

        names = results[0].losses
        return EpochResult(
            epoch=results[0].epoch,
            losses={name: mean([result.losses[name] for result in results]) for name in names},
            psnr=mean([result.psnr for result in results]) or 0.0,
            lr=results[0].lr,
            seconds=seconds,
        )


def _interrupted(stop: Callable[[], bool], due: float) -> bool:
    """Whether a training is to stop, or to save its state, which is ``due`` at a monotonic time."""
    return stop() or time.monotonic() >= due
