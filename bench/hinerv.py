"""The public HiNeRV code (github.com/hmkx/HiNeRV), run from a checkout, by its recipe or by ours.

None of its code is copied: its network and its losses are imported from the checkout, and its
configuration for Big Buck Bunny (``cfgs/models/bunny-hinerv-xxs_1280x720.txt``) is read from there.
Only the number of channels is changed, to reach the wanted size. A package that its script alone
needs is replaced by a mock. Frames are trained whole: at the sizes measured here, patches of 80x80
would cost more, since each is computed with a margin.
"""

from __future__ import annotations

import argparse
import bisect
import importlib
import logging
import math
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, NamedTuple
from unittest.mock import MagicMock

import torch
from torch import Tensor, nn

from nerv_clip import TrainConfig
from nerv_clip.training.losses import pixel_loss
from nerv_clip.training.optimisers import Muon
from nerv_clip.training.schedules import Schedule, learning_rate

CONFIGURATION = "cfgs/models/bunny-hinerv-xxs_1280x720.txt"
UNUSED = "accelerate"
GRID_LR = 0.01  # of its learned grids, with our optimiser
SILENT = logging.getLogger("hinerv")
Recipe = Literal["own", "ours"]


class Modules(NamedTuple):
    """The modules of a checkout: the network, the losses, and the flags of its configuration."""

    network: ModuleType
    losses: ModuleType
    flags: list[str]


def load_hinerv(checkout: Path) -> Modules:
    """The modules of a checkout, whose folder is put on the path."""
    sys.modules.setdefault(UNUSED, MagicMock())
    sys.path.insert(0, str(checkout))
    network = importlib.import_module("models.hinerv")
    losses = importlib.import_module("losses")
    return Modules(network, losses, shlex.split((checkout / CONFIGURATION).read_text()))


def build(modules: Modules, channels: int, size: tuple[int, int, int]) -> nn.Module:
    """A network of so many channels for a video of ``size`` (frames, height, width)."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model")
    modules.network.set_args(parser)
    args = parser.parse_args([*modules.flags, "--channels", str(channels)])
    model: nn.Module = modules.network.build_model(args, SILENT, {"video_size": size})
    return model


def parameters(model: nn.Module) -> int:
    """The number of parameters."""
    return sum(p.numel() for p in model.parameters())


def sized(modules: Modules, modelsize: float, size: tuple[int, int, int]) -> nn.Module:
    """The network with the most channels that has at most ``modelsize`` million parameters."""
    channels = range(8, 400, 2)
    count = bisect.bisect_right(
        channels, modelsize * 1e6, key=lambda n: parameters(build(modules, n, size))
    )
    if not count:
        raise ValueError(f"{modelsize} million parameters are too few for HiNeRV")
    return build(modules, channels[count - 1], size)


class HinervTraining:
    """A training of HiNeRV's network on the device of ``frames`` (T, 3, H, W), uint8.

    The ``recipe`` "own" is that of its paper without pruning: a frame a step, 0.7 L1 and 0.3
    MS-SSIM, Adam at 2e-3 with 10 % warm-up and a cosine, gradients clipped to length 1. "ours" is
    the default of this repository, with learned grids by Adam at `GRID_LR`.
    """

    def __init__(
        self,
        modules: Modules,
        frames: Tensor,
        modelsize: float,
        recipe: Recipe,
        epochs: int,
        seed: int,
    ) -> None:
        torch.manual_seed(seed)
        self.frames, self.recipe, self.epochs = frames, recipe, epochs
        self.size = (len(frames), frames.shape[2], frames.shape[3])
        self.model = sized(modules, modelsize, self.size).to(frames.device)
        self.parameters, self.losses = parameters(self.model), modules.losses
        self.config = TrainConfig()
        self.batch = 1 if recipe == "own" else self.config.batch
        self.schedule: Schedule = (
            _with_floor(0.1, 0.01) if recipe == "own" else learning_rate(self.config.lr_type)
        )
        self.optimiser: torch.optim.Optimizer = (
            torch.optim.Adam(self.model.parameters(), 2e-3) if recipe == "own" else self._muon()
        )
        self.rates = [group["lr"] for group in self.optimiser.param_groups]

    def _muon(self) -> Muon:
        """Our optimiser: Muon for matrices, Adam for the grids and for all others."""
        depthwise = {
            f"{name}.weight"
            for name, module in self.model.named_modules()
            if isinstance(module, nn.Conv2d | nn.Conv3d) and module.groups > 1
        }
        groups: dict[str, list[nn.Parameter]] = {"grids": [], "matrices": [], "rest": []}
        for name, parameter in self.model.named_parameters():
            matrix = parameter.dim() > 1 and len(parameter) > 3 and name not in depthwise
            kind = "grids" if "grids." in name else "matrices" if matrix else "rest"
            groups[kind].append(parameter)
        return Muon(
            [
                {"params": groups["matrices"], "lr": self.config.matrix_lr, "matrix": True},
                {"params": groups["grids"], "lr": GRID_LR},
                {"params": groups["rest"], "lr": self.config.lr},
            ]
        )

    def fit(self) -> Iterator[float]:
        """Yield the seconds of each epoch."""
        for epoch in range(self.epochs):
            start = time.perf_counter()
            self.model.train()
            order = torch.randperm(len(self.frames)).tolist()
            steps = -(-len(order) // self.batch)
            for step in range(steps):
                indices = order[step * self.batch : (step + 1) * self.batch]
                progress = (epoch + step / steps) / self.epochs
                for group, rate in zip(self.optimiser.param_groups, self.rates, strict=True):
                    group["lr"] = rate * self.schedule(progress)
                loss = self.loss(self.draw(indices), self.frames[indices].float() / 255)
                self.optimiser.zero_grad(set_to_none=True)
                loss.backward()
                if self.recipe == "own":
                    torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
                self.optimiser.step()
            if self.frames.device.type == "cuda":
                torch.cuda.synchronize()
            yield time.perf_counter() - start

    def loss(self, drawn: Tensor, true: Tensor) -> Any:  # noqa: ANN401 - of an untyped module
        """The loss of a step, a scalar."""
        if self.recipe == "ours":
            return pixel_loss(self.config.loss, drawn, true)
        pair = drawn[:, :, None].contiguous(), true[:, :, None].contiguous()
        own = self.losses.compute_loss
        return (0.7 * own("l1", *pair) + 0.3 * own("ms-ssim_5x5", *pair)).mean()

    def draw(self, indices: list[int]) -> Tensor:
        """Frames (B, 3, H, W)."""
        index = torch.tensor([[i, 0, 0] for i in indices], device=self.frames.device)
        inputs = {
            "idx": index,
            "idx_max": (len(self.frames), 1, 1),
            "video_size": self.size,
            "patch_size": (1, *self.size[1:]),
        }
        drawn: Tensor = self.model(inputs)
        return drawn[:, :, 0]

    def drawer(self) -> Callable[[], object]:
        """A call that draws one frame."""
        self.model.eval()
        return partial(self.draw, [0])

    @torch.no_grad()
    def decode(self) -> tuple[Tensor, float]:
        """Every frame (T, 3, H, W) in [0, 1], and the frames a second."""
        self.model.eval()
        frames, seconds = [], []
        for index in [0, *range(len(self.frames))]:
            start = time.perf_counter()
            drawn = self.draw([index])
            if self.frames.device.type == "cuda":
                torch.cuda.synchronize()
            seconds.append(time.perf_counter() - start)
            frames.append(drawn.clamp(0, 1))
        # the first frame is warm-up
        return torch.cat(frames[1:]), len(self.frames) / sum(seconds[1:])


def _with_floor(warm: float, floor: float) -> Schedule:
    """A linear warm-up from ``floor`` to 1, then a cosine to ``floor``."""

    def factor(progress: float) -> float:
        if progress < warm:
            return floor + (1 - floor) * progress / warm
        fall = 0.5 * (1 + math.cos(math.pi * (progress - warm) / (1 - warm)))
        return floor + (1 - floor) * fall

    return factor
