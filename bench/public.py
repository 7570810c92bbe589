"""The public HNeRV code (github.com/haochen-rye/HNeRV), run from a checkout.

None of its code is copied: its classes and its loss are imported from the checkout. Packages that
only its data loader needs are replaced by mocks, and ``trunc_normal_`` of timm by PyTorch's.
"""

from __future__ import annotations

import importlib
import math
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import torch
from torch import Tensor

UNUSED = (
    "decord",
    "pytorchvideo",
    "pytorchvideo.data",
    "pytorchvideo.data.encoded_video",
    "matplotlib",
    "matplotlib.path",
    "timm.models.layers",
)

RATES = {"L2": 1e-3, "Fusion6": 3e-3}  # by loss: the README's, and the best on our video


def load_public(checkout: Path) -> tuple[ModuleType, ModuleType]:
    """The modules ``model_all`` and ``hnerv_utils`` of a checkout."""
    for name in UNUSED:
        sys.modules[name] = MagicMock()
    sys.modules["timm.models.layers"].trunc_normal_ = torch.nn.init.trunc_normal_  # type: ignore[attr-defined]
    sys.path.insert(0, str(checkout))
    return importlib.import_module("model_all"), importlib.import_module("hnerv_utils")


def settings(modelsize: float, frames: int, size: tuple[int, int]) -> Namespace:
    """The flags of HNeRV's README; below 640 rows with smaller strides."""
    height, width = size
    strides = [5, 4, 4, 2, 2] if height >= 640 else [5, 2, 2, 2]
    reach = math.prod(strides)
    args = Namespace(
        embed="",
        enc_strds=strides,
        dec_strds=strides,
        enc_dim="64_16",
        ks="0_1_5",
        reduce=1.2,
        lower_width=12,
        num_blks="1_1",
        conv_type=["convnext", "pshuffel"],
        norm="none",
        act="gelu",
        out_bias="tanh",
        lr_type="cosine_0.1_1_0.1",
    )
    table = 16 * (height // reach) * (width // reach) * frames
    args.fc_dim = _first_width(args, modelsize * 1e6 - table)
    return args


def _first_width(args: Namespace, size: float) -> int:
    """The first width by HNeRV's rule: the root of a quadratic in the number of parameters."""
    _, first, largest = (int(k) for k in args.ks.split("_"))
    shrink = 1 / args.reduce
    square = shrink * sum(
        shrink ** (2 * i) * s**2 * min(2 * i + first, largest) ** 2
        for i, s in enumerate(args.dec_strds)
    )
    return int(np.roots([square, 16 * 9, -size]).max())


class PublicTraining:
    """HNeRV's training loop with its network, loss and schedule.

    It trains on the device of ``frames`` (T, 3, H, W), uint8.
    """

    def __init__(
        self,
        modules: tuple[ModuleType, ModuleType],
        frames: Tensor,
        modelsize: float,
        loss: str,
        lr: float,
        epochs: int,
        batch: int,
        seed: int,
    ) -> None:
        torch.manual_seed(seed)
        self.utils, self.loss, self.epochs, self.batch = modules[1], loss, epochs, batch
        self.frames, self.device = frames, frames.device.type
        self.args = settings(modelsize, len(frames), (frames.shape[-2], frames.shape[-1]))
        self.args.lr = lr
        self.model: Any = modules[0].HNeRV(self.args).to(frames.device)
        self.optimiser = torch.optim.Adam(self.model.parameters(), weight_decay=0.0)
        decoder = sum(p.numel() for p in self.model.decoder.parameters())
        table = self.model(frames[[0]].float() / 255)[1][0].numel() * len(frames)
        head = sum(p.numel() for p in self.model.head_layer.parameters())
        self.parameters = decoder + head + table

    def fit(self) -> Iterator[float]:
        """Yield the seconds of each epoch."""
        for epoch in range(self.epochs):
            start = time.perf_counter()
            self.model.train()
            order = torch.randperm(len(self.frames)).tolist()
            steps = len(order) // self.batch
            for step in range(steps):
                indices = order[step * self.batch : (step + 1) * self.batch]
                target = self.frames[indices].float() / 255
                self.utils.adjust_lr(
                    self.optimiser, (epoch + step / steps) / self.epochs, self.args
                )
                out, _, _ = self.model(target)
                loss = self.utils.loss_fn(out, target, self.loss)
                self.optimiser.zero_grad()
                loss.backward()
                self.optimiser.step()
            if self.device == "cuda":
                torch.cuda.synchronize()
            yield time.perf_counter() - start

    def drawer(self) -> Callable[[], object]:
        """A call that draws one frame from its latent."""
        self.model.eval()
        frame = self.frames[[0]].float() / 255
        latent = self.model.encoder(frame)
        return partial(self.model, frame, latent)

    @torch.no_grad()
    def decode(self) -> tuple[Tensor, float]:
        """Every frame (T, 3, H, W) in [0, 1], and the frames a second of the decoder alone."""
        self.model.eval()
        frames, seconds = [], []
        for index in [0, *range(len(self.frames))]:
            frame = self.frames[[index]].float() / 255
            latent = self.model.encoder(frame)
            if self.device == "cuda":
                torch.cuda.synchronize()  # otherwise the encoder's time would be included
            out, _, spent = self.model(frame, latent)
            frames.append(out.clamp(0, 1))
            seconds.append(spent)
        # the first frame is warm-up
        return torch.cat(frames[1:]), len(self.frames) / sum(seconds[1:])
