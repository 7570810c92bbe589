"""The trainer: a generator of epochs whose state can be saved and restored at any step."""

from __future__ import annotations

import copy
import dataclasses
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor

from nerv_clip.errors import InputError
from nerv_clip.metrics import psnr
from nerv_clip.models.nerv_clip import Decoded, NeRVClip
from nerv_clip.teacher.dense_maps import DenseMaps
from nerv_clip.training.builder import check_train_times
from nerv_clip.training.config import TrainConfig
from nerv_clip.training.data import TrainingData
from nerv_clip.training.distributed import Workers
from nerv_clip.training.objectives import (
    OBJECTIVES,
    Batch,
    active_objectives,
    compute_losses,
)
from nerv_clip.training.optimisers import build_optimiser
from nerv_clip.training.results import EpochResult, Step
from nerv_clip.training.running_means import RunningMeans
from nerv_clip.training.schedules import learning_rate
from nerv_clip.training.state import check_optimiser, check_place
from nerv_clip.training.weight_average import WeightAverage
from nerv_clip.video.split import Split
from nerv_clip.video.video import Video


class Trainer:
    """Trains a network on the train frames of a video.

    ``model`` comes from `nerv_clip.training.builder.build_network` with the same split; the
    constructor does not change it. ``true_embeddings`` (T, dim) are needed to train a CLIP head,
    ``dense`` maps to train a dense head.
    ``max_steps`` limits the steps of an epoch. Raises ValueError if the network has other
    train times.
    """

    def __init__(
        self,
        model: NeRVClip,
        video: Video,
        split: list[Split],
        config: TrainConfig,
        true_embeddings: Tensor | None = None,
        workers: Workers | None = None,
        max_steps: int | None = None,
        dense: DenseMaps | None = None,
    ) -> None:
        config.check(predict_clip="clip" in model.taps)
        self.model, self.video, self.split, self.config = model, video, split, config
        self.workers, self.max_steps = workers or Workers(), max_steps
        self.device = next(model.parameters()).device
        self.data = TrainingData(video, split, true_embeddings, self.device, dense)
        self.train_frames, self.times = self.data.train, self.data.times
        check_train_times(model, self.times[self.train_frames])
        self.schedule = learning_rate(config.lr_type)
        self.optimiser = build_optimiser(
            config.optim, model, config.lr, config.matrix_lr, config.grid_lr
        )
        self.rates = [group["lr"] for group in self.optimiser.param_groups]
        self.average = WeightAverage(model, config.ema)
        self.means = RunningMeans()
        self.generator = torch.Generator().manual_seed(config.seed)
        self.epochs = config.epochs  # that are planned: the learning rate follows them
        self.epoch, self.step, self.updates = 0, 0, 0
        self.order: list[int] = []  # of the train frames in this epoch
        self.seconds = 0.0  # spent in this epoch so far
        self.draw: Callable[..., Decoded] = (
            torch.compile(model.draw) if config.compile else model.draw
        )

    @property
    def steps(self) -> int:
        """Steps in an epoch; the last one may have fewer frames."""
        steps = -(-len(self.train_frames) // (self.config.batch * self.workers.size))
        return min(steps, self.max_steps or steps)

    @property
    def trained_clip(self) -> bool:
        """Whether the last epoch was after the warm-up, when a CLIP head is trained."""
        return self.epoch > self.config.pixel_loss_warmup_epochs

    @torch.no_grad()
    def averaged(self) -> NeRVClip:
        """A copy of the network for export: averaged weights, and the table of latents filled."""
        model = copy.deepcopy(self.model).eval()
        self.average.copy_to(model)
        if model.encoder is not None and model.table is not None:
            frames = self.train_frames
            latents = torch.cat([model.encode(self.data.frames([i])) for i in frames])
            model.table.fill(self.times[frames], latents)
        return model

    def state(self) -> dict[str, Any]:
        """Everything that the next step depends on, as tensors and plain values."""
        return {
            "architecture": self.model.arch.plain(),
            "weights": self.model.state_dict(),
            "average": self.average.values,
            "optimiser": self.optimiser.state_dict(),
            "generator": self.generator.get_state(),
            "epochs": self.epochs,
            "epoch": self.epoch,
            "step": self.step,
            "updates": self.updates,
            "order": self.order,
            **self.means.state(),
            "seconds": self.seconds,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a `state`; on a CPU the result is the same bit for bit.

        A state of another training raises one of several exceptions.
        """
        check_place(state, self.steps, self.train_frames)
        check_optimiser(self.optimiser, state["optimiser"])
        self.model.load_state_dict(state["weights"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.average.restore(state["average"])
        self.generator.set_state(state["generator"])
        self.epochs = state.get("epochs", self.config.epochs)
        self.epoch, self.step = state["epoch"], state["step"]
        self.updates, self.order = state["updates"], state["order"]
        self.means.restore(state, self.device)
        self.seconds = state["seconds"]

    def finite(self) -> bool:
        """Whether the losses of this epoch and all weights are finite."""
        parts = [*self.means.sums.values(), *self.model.parameters()]
        return all(bool(part.isfinite().all()) for part in parts)

    def fit(
        self,
        *,
        on_step: Callable[[Step], None] = lambda step: None,
        save: Callable[[], None] = lambda: None,
        save_seconds: float = float("inf"),
        stop: Callable[[], bool] = lambda: False,
    ) -> Iterator[EpochResult]:
        """Train to the last epoch and yield the result of each.

        ``on_step`` is called after every step. ``save`` is called every ``save_seconds``, also
        within an epoch, and when ``stop`` returns True, after which the generator ends. Raises
        `InputError` if the loss or a weight becomes NaN or infinite.
        """
        # momentum of inactive units decays into denormal numbers, which slows late steps on a CPU
        torch.set_flush_denormal(True)
        last_save = time.monotonic()
        while self.epoch < self.epochs:
            start = time.perf_counter()
            if not self.order:
                order = torch.randperm(len(self.train_frames), generator=self.generator)
                self.order = [self.train_frames[i] for i in order.tolist()]
            while self.step < self.steps:
                losses = self.train_step()
                on_step(Step(self.epoch, self.step, self.steps, losses["psnr"].item()))
                stopping = self.workers.any(stop())
                if stopping or time.monotonic() - last_save >= save_seconds:
                    self._check_finite()
                    self.seconds += time.perf_counter() - start
                    start = time.perf_counter()
                    save()
                    last_save = time.monotonic()
                if stopping:
                    return
            self._check_finite()
            self.seconds += time.perf_counter() - start
            yield self._finish_epoch()

    def train_step(self) -> dict[str, Tensor]:
        """Update the weights once; returns the losses by name, ``"total"`` and ``"psnr"``.

        The values are scalar tensors of this process's frames. Reading one waits for a GPU.
        """
        config, model = self.config, self.model
        model.train()
        progress = (self.epoch + self.step / self.steps) / self.epochs
        for group, rate in zip(self.optimiser.param_groups, self.rates, strict=True):
            group["lr"] = rate * self.schedule(progress)
        size = config.batch * self.workers.size
        indices, weight = self.workers.share(self.order[self.step * size : (self.step + 1) * size])
        batch = self._forward(indices)
        objectives = active_objectives(model.arch, config, self.epoch)
        losses = compute_losses(objectives, batch, config)
        self.optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(weight * losses["total"])
        self.workers.average_gradients(model.parameters())
        self.optimiser.step()
        self.updates += 1
        self.average.update(model, self.updates)
        values = {name: loss.detach() for name, loss in losses.items()}
        values["psnr"] = psnr(batch.drawn.detach(), batch.true).mean()
        self.means.add(values, weight)
        self.step += 1
        return values

    def _forward(self, indices: list[int]) -> Batch:
        true = self.data.frames(indices)
        with self._autocast():
            latent = self.model.encode(true) if self.model.encoder is not None else None
            drawn, features = self.draw(self.times[indices], latent)
        return Batch(
            model=self.model,
            data=self.data,
            indices=indices,
            true=true,
            drawn=drawn.float(),
            heads=features.heads,
            embed=self._embed,
            uniform=lambda: self._uniform(len(indices)),
        )

    def _embed(self, times: Tensor) -> Tensor:
        with self._autocast():
            return self.model.embed(times)

    def _autocast(self) -> AbstractContextManager[object]:
        return torch.autocast(self.device.type, torch.bfloat16, self.config.amp == "bf16")

    def _uniform(self, count: int) -> Tensor:
        """``count`` random numbers; every process draws those of all, so generators stay equal."""
        everyone = self.config.batch * self.workers.size
        numbers = torch.rand(everyone, dtype=torch.float64, generator=self.generator)
        return numbers[self.workers.rank :: self.workers.size][:count].to(self.device)

    def measure_step(self) -> float:
        """Seconds of a training step, measured on a copy, so that this training is unchanged."""
        config = dataclasses.replace(self.config, compile=False)
        copied = copy.deepcopy(self.model)
        twin = Trainer(copied, self.video, self.split, config)
        twin.data = self.data
        twin.order = self.train_frames
        twin.epoch = self.config.epochs - 1  # after the warm-up, where a step takes longest
        warm_up = 5 if self.device.type == "cuda" else 1  # a GPU selects kernels, allocates memory
        for _ in range(warm_up + 1):
            twin.step = 0
            start = time.perf_counter()
            twin.train_step()["psnr"].item()  # waits for a GPU
        return time.perf_counter() - start

    def _check_finite(self) -> None:
        if not self.finite():
            raise InputError(
                f"the loss became NaN or infinite in epoch {self.epoch + 1}: the last good "
                "checkpoint is kept; train again with a lower `lr` (and `matrix_lr`)"
            )

    def _finish_epoch(self) -> EpochResult:
        means: dict[str, float] = self.means.compute(self.workers)
        names = [*(objective.name for objective in OBJECTIVES), "total"]
        result = EpochResult(
            epoch=self.epoch + 1,
            losses={name: means.get(name) for name in names},
            psnr=means["psnr"],
            lr=self.optimiser.param_groups[-1]["lr"],
            seconds=self.seconds,
        )
        self.epoch, self.step, self.order, self.seconds = self.epoch + 1, 0, [], 0.0
        self.means.reset()
        return result
