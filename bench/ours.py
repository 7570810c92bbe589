"""Our training, run an epoch at a time in turn with others, so that noise affects all alike."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from nerv_clip import Trainer, load_model, load_video, solve, split_frames
from nerv_clip.cli import parse
from nerv_clip.evaluation.decoding import decode
from nerv_clip.models.checkpoint import export_model
from nerv_clip.models.parameters import decoder_parameters
from nerv_clip.training.builder import build_network
from nerv_clip.training.distributed import resolve_device

DIM = 512  # embedding width


class OurTraining:
    """A training with the given flags; random unit vectors replace the true embeddings."""

    def __init__(self, flags: list[str]) -> None:
        options = parse(flags)
        self.device = resolve_device(options.device)
        self.video = load_video(options.data, device=self.device)
        split = split_frames(len(self.video), options.split, options.shuffle)
        size = (self.video.height, self.video.width)
        config = replace(options.model, clip_dim=DIM)
        arch = solve(config, len(self.video), split.count("train"), *size)
        generator = torch.Generator().manual_seed(options.train.seed)
        true = torch.randn(len(self.video), DIM, generator=generator)
        true = torch.nn.functional.normalize(true, dim=1)
        torch.manual_seed(options.train.seed)
        self.trainer = Trainer(
            build_network(arch, split, true_embeddings=true).to(self.device),
            self.video,
            split,
            options.train,
            true,
        )
        self.parameters = decoder_parameters(self.trainer.model)

    def fit(self) -> Iterator[float]:
        """Yield the seconds of each epoch."""
        for result in self.trainer.fit():
            yield result.seconds

    def decode(self) -> tuple[Tensor, float]:
        """Every frame (T, 3, H, W) in [0, 1], decoded from the file, and frames a second."""
        with tempfile.TemporaryDirectory() as folder:
            self.export(Path(folder) / "m.pth")
            model = load_model(Path(folder) / "m.pth", self.device)
        next(iter(decode(model, [0])))
        parts = list(decode(model, list(range(len(self.video)))))
        seconds = sum(part[3] for part in parts)
        return torch.cat([part[1] for part in parts]), len(self.video) / seconds

    def drawer(self) -> Callable[[], object]:
        """A call that draws one train frame."""
        t = torch.zeros(1, dtype=torch.float64, device=self.device)
        return partial(self.trainer.model.draw, t)

    def export(self, path: Path) -> None:
        """Write the checkpoint that decoding reads."""
        export_model(self.trainer.averaged(), path, {}, self.trainer.config.bits)


def alternate(running: Mapping[str, Iterator[float]], epochs: int) -> dict[str, list[float]]:
    """Seconds of each epoch of each training; the trainings run an epoch in turn."""
    seconds: dict[str, list[float]] = {name: [] for name in running}
    for _ in tqdm(range(epochs), unit="epoch of each"):
        for name, training in running.items():
            seconds[name].append(next(training))
    return seconds


def spread(ratios: list[float]) -> str:
    """Median and quartiles, as text."""
    if len(ratios) < 2:
        return f"{ratios[0]:.2f}"
    low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive")
    return f"{middle:.2f} ({low:.2f} – {high:.2f})"
