"""Training: a generator of epochs, whose state can stop and go on at any step."""

from __future__ import annotations

import copy
import dataclasses
import time
from bisect import bisect
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from nerv_clip.errors import InputError
from nerv_clip.metrics import psnr
from nerv_clip.models.motion import neighbours, warp_and_blend
from nerv_clip.models.nerv_clip import Decoded, NeRVClip
from nerv_clip.training.config import TrainConfig
from nerv_clip.training.distributed import Workers
from nerv_clip.training.losses import clip_loss, pixel_loss, slerp
from nerv_clip.training.optimisers import build_optimiser
from nerv_clip.training.schedules import learning_rate
from nerv_clip.video.split import Split
from nerv_clip.video.times import frame_time
from nerv_clip.video.video import Video


class EpochResult(NamedTuple):
    """One finished epoch: means over its steps.

    ``epoch`` counts from 1; ``clip_loss`` is None before its epoch; ``total_loss`` is what was
    trained on, with the motion loss and the CLIP loss between train frames; ``psnr`` in dB of the
    train frames as they were drawn; ``seconds`` of this epoch.
    """

    epoch: int
    pixel_loss: float
    clip_loss: float | None
    total_loss: float
    psnr: float
    lr: float
    seconds: float


class Step(NamedTuple):
    """One finished step: the epoch counts from 0, the step within it from 1."""

    epoch: int
    step: int
    steps: int
    psnr: float


class Trainer:
    """A network in training: all that a later step depends on, and how to save it.

    Parts are handed in: the network, the video, the true embeddings (T, dim) where the CLIP loss
    or the ``clip_input`` table needs them.
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
    ) -> None:
        if config.best_metric.endswith("_val") and "val" not in split:
            raise InputError(f"`best_metric` {config.best_metric}: the split holds out no frame")
        self.model, self.video, self.config = model, video, config
        self.split, self.max_steps = split, max_steps
        self.workers = workers or Workers()
        self.device = next(model.parameters()).device
        self.train_frames = [i for i, name in enumerate(split) if name == "train"]
        self.times = torch.tensor(
            [frame_time(i, len(video)) for i in range(len(video))], dtype=torch.float64
        ).to(self.device)
        self.true = None if true_embeddings is None else true_embeddings.to(self.device)
        self.factor = learning_rate(config.lr_type)
        self.optimiser = build_optimiser(
            config.optim, model, config.lr, config.matrix_lr, config.grid_lr
        )
        self.rates = [group["lr"] for group in self.optimiser.param_groups]
        self.average = (
            {name: p.detach().clone() for name, p in model.named_parameters()} if config.ema else {}
        )
        self.generator = torch.Generator().manual_seed(config.seed)
        self.epoch, self.step, self.updates = 0, 0, 0
        self.order: list[int] = []
        self.sums = torch.zeros(4, dtype=torch.float64, device=self.device)
        self.seconds = 0.0  # spent in this epoch so far
        self.draw: Callable[..., Decoded] = (
            torch.compile(model.draw) if config.compile else model.draw
        )
        if "motion" in model.taps:
            model.train_times.copy_(self.times[self.train_frames])
        if model.arch.clip_input:
            self.fill_table(model)

    @property
    def steps(self) -> int:
        """Steps in an epoch; the last may hold fewer frames."""
        steps = -(-len(self.train_frames) // (self.config.batch * self.workers.size))
        return min(steps, self.max_steps or steps)

    def averaged(self) -> NeRVClip:
        """A copy of the network as it would be shipped: averaged weights, its table filled."""
        model = copy.deepcopy(self.model).eval()
        if self.average:
            for name, parameter in model.named_parameters():
                parameter.data.copy_(self.average[name])
        if model.table is not None:
            self.fill_table(model)
        return model

    @torch.no_grad()
    def fill_table(self, model: NeRVClip) -> None:
        """Store the train frames' latents, or true embeddings, in the network's table."""
        assert model.table is not None  # noqa: S101 - callers checked
        if model.encoder is None:
            assert self.true is not None  # noqa: S101 - the caller hands them in
            values = self.true[self.train_frames][:, :, None, None]
        else:
            values = torch.cat([model.encode(self._frames([i])) for i in self.train_frames])
        model.table.fill(self.times[self.train_frames], values)

    def state(self) -> dict[str, Any]:
        """Everything that the next step depends on, as tensors and plain values."""
        return {
            "architecture": self.model.arch.plain(),
            "weights": self.model.state_dict(),
            "average": self.average,
            "optimiser": self.optimiser.state_dict(),
            "generator": self.generator.get_state(),
            "epoch": self.epoch,
            "step": self.step,
            "updates": self.updates,
            "order": self.order,
            "sums": self.sums,
            "seconds": self.seconds,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where `state` was taken, bit for bit on a CPU."""
        self.model.load_state_dict(state["weights"])
        self.optimiser.load_state_dict(state["optimiser"])
        for name, value in state["average"].items():
            self.average[name].copy_(value)
        self.generator.set_state(state["generator"])
        self.epoch, self.step = state["epoch"], state["step"]
        self.updates, self.order = state["updates"], state["order"]
        self.sums.copy_(state["sums"])
        self.seconds = state["seconds"]

    def finite(self) -> bool:
        """Whether the losses of this epoch and the weights are numbers."""
        parts = [self.sums, *self.model.parameters()]
        return all(bool(part.isfinite().all()) for part in parts)

    def fit(
        self,
        *,
        on_step: Callable[[Step], None] = lambda step: None,
        save: Callable[[], None] = lambda: None,
        save_seconds: float = float("inf"),
        stop: Callable[[], bool] = lambda: False,
    ) -> Iterator[EpochResult]:
        """Train to the last epoch, yielding each; raises `InputError` at a loss that is no number.

        ``save`` is called every ``save_seconds``, inside an epoch too, and when ``stop`` says so,
        after which the generator ends.
        """
        last_save = time.monotonic()
        while self.epoch < self.config.epochs:
            start = time.perf_counter()
            if not self.order:
                order = torch.randperm(len(self.train_frames), generator=self.generator)
                self.order = [self.train_frames[i] for i in order.tolist()]
            while self.step < self.steps:
                quality = self._train_step()
                on_step(Step(self.epoch, self.step, self.steps, quality))
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

    def _train_step(self) -> float:
        config, model = self.config, self.model
        model.train()
        progress = (self.epoch + self.step / self.steps) / config.epochs
        for group, rate in zip(self.optimiser.param_groups, self.rates, strict=True):
            group["lr"] = rate * self.factor(progress)
        size = config.batch * self.workers.size
        indices, weight = self.workers.share(self.order[self.step * size : (self.step + 1) * size])
        own = self._losses(indices)
        losses = weight * own
        self.optimiser.zero_grad(set_to_none=True)
        losses[2].backward()  # type: ignore[no-untyped-call]
        self.workers.average_gradients(model.parameters())
        self.optimiser.step()
        self.updates += 1
        self._update_average()
        self.sums += losses.detach().double()
        self.step += 1
        return own[3].item()

    def _losses(self, indices: list[int]) -> Tensor:
        """Pixel, CLIP and total loss and PSNR of some frames, as one tensor (4,)."""
        target = self._frames(indices)
        with torch.autocast(self.device.type, torch.bfloat16, self.config.amp == "bf16"):
            latent = self.model.encode(target) if self.model.encoder is not None else None
            drawn, features = self.draw(self.times[indices], latent)
        frames = drawn.float()
        pixel = pixel_loss(self.config.loss, frames, target)
        semantic = pixel.new_zeros(())
        if self.trains_clip:
            # a CLIP head comes with its targets
            assert self.true is not None  # noqa: S101
            semantic = clip_loss(features.heads["clip"].float(), self.true[indices])
        total = pixel + self.config.clip_loss_weight * semantic
        if self.trains_clip and self.config.slerp_loss_weight and latent is None:
            weight = self.config.clip_loss_weight * self.config.slerp_loss_weight
            total = total + weight * self._slerp_loss(indices)
        if "motion" in features.heads:
            moving = self._motion_loss(indices, features.heads["motion"].float(), target)
            total = total + self.config.motion_weight * moving
        return torch.stack([pixel, semantic, total, psnr(frames.detach(), target).mean()])

    def _slerp_loss(self, indices: list[int]) -> Tensor:
        """The CLIP loss between each frame and the next train frame, at times drawn at random.

        The goal there is the great circle between both true embeddings: nothing better is known
        without a held-out frame, and a head left alone there may do worse. Not for encoder runs,
        whose latents are known at train frames only.
        """
        drawn = self.config.batch * self.workers.size  # by every process, so that all stay equal
        share = torch.rand(drawn, dtype=torch.float64, generator=self.generator)
        share = share[self.workers.rank :: self.workers.size][: len(indices)].to(self.device)
        after = [min(bisect(self.train_frames, i), len(self.train_frames) - 1) for i in indices]
        following = [self.train_frames[place] for place in after]
        assert self.true is not None  # noqa: S101 - a CLIP head comes with its targets
        goal = slerp(self.true[indices], self.true[following], share.to(self.true))
        times = torch.lerp(self.times[indices], self.times[following], share)
        with torch.autocast(self.device.type, torch.bfloat16, self.config.amp == "bf16"):
            embedding = self.model.embed(times)
        return clip_loss(embedding.float(), goal)

    def _motion_loss(self, indices: list[int], motion: Tensor, target: Tensor) -> Tensor:
        """How far frames are from their true neighbouring train frames, moved: in decibels."""
        found = neighbours(self.model.train_times, self.times[indices])
        before, after = (
            self._frames([self.train_frames[i] for i in places.tolist()])
            for places in (found.before, found.after)
        )
        gaps = found.gaps * (len(self.video) - 1)
        made = warp_and_blend(motion, before, after, gaps, self.model.arch.padded)
        return pixel_loss("PSNR", made, target)

    def trial(self) -> float:
        """Seconds that a step takes, measured on a copy: nothing of this training changes."""
        config = dataclasses.replace(self.config, compile=False)
        twin = Trainer(copy.deepcopy(self.model), self.video, self.split, config, self.true)
        twin.order = self.train_frames
        twin.epoch = self.config.epochs - 1  # past the warm-up, where a step costs the most
        before = 5 if self.device.type == "cuda" else 1  # a GPU chooses kernels and takes memory
        for _ in range(before + 1):
            twin.step = 0
            start = time.perf_counter()
            twin._train_step()  # it waits for a GPU, as it reads the PSNR
        return time.perf_counter() - start

    @property
    def trained_clip(self) -> bool:
        """Whether the epoch before this one had a CLIP loss."""
        return self.epoch > self.config.pixel_loss_warmup_epochs

    @property
    def trains_clip(self) -> bool:
        """Whether this epoch has a CLIP loss."""
        warm = self.epoch >= self.config.pixel_loss_warmup_epochs
        return "clip" in self.model.taps and warm

    @torch.no_grad()
    def _update_average(self) -> None:
        if self.average:
            # a short memory at first, so that the random start is forgotten
            weight = max(1 - self.config.ema, 1 / (self.updates + 1))
            for name, parameter in self.model.named_parameters():
                self.average[name].lerp_(parameter, weight)

    def _frames(self, indices: list[int]) -> Tensor:
        frames: Tensor = self.video.read(indices).to(self.device).float() / 255
        return frames

    def _check_finite(self) -> None:
        if not self.finite():
            raise InputError(
                f"the loss became NaN or infinite in epoch {self.epoch + 1}: the last good "
                "checkpoint is kept; train again with a lower `lr` (and `matrix_lr`)"
            )

    def _finish_epoch(self) -> EpochResult:
        means = self.sums / self.steps
        self.workers.average(means)
        pixel, semantic, total, quality = means.tolist()
        clip = semantic if self.trains_clip else None
        seconds, self.seconds = self.seconds, 0.0
        self.epoch, self.step, self.order = self.epoch + 1, 0, []
        self.sums.zero_()
        lr = self.optimiser.param_groups[-1]["lr"]
        return EpochResult(self.epoch, pixel, clip, total, quality, lr, seconds)
