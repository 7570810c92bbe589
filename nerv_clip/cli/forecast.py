"""What a training will be like, before it is started: size, memory, time."""

from __future__ import annotations

import weakref
from collections import Counter
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from nerv_clip.cli.options import Options
from nerv_clip.models.nerv_clip import NeRVClip
from nerv_clip.models.solver import decoder_parameters, head_parameters, solve
from nerv_clip.teacher.encoder import known_dim
from nerv_clip.training.distributed import resolve_device
from nerv_clip.training.losses import check_loss_fits
from nerv_clip.training.trainer import Trainer
from nerv_clip.video.reader import pictures
from nerv_clip.video.split import split_frames
from nerv_clip.video.video import GIB, Video, fit


class Estimate(NamedTuple):
    """Of a training command: the video, the network, the steps, and seconds on this machine.

    ``memory_bytes`` is about what training needs, beside torch itself: the frames, the weights
    with gradient and two moments, and what a step keeps for its way back. ``checkpoint_bytes`` is
    about what ``model_best.pth`` will have.
    """

    frames: int
    height: int
    width: int
    train_frames: int
    held_out: int
    decoder_parameters: int
    head_parameters: int
    checkpoint_bytes: int
    memory_bytes: int
    steps: int
    seconds: float


class _Kept:
    """Counts the bytes that autograd keeps for the way back; ``peak`` is the most at a time."""

    def __init__(self) -> None:
        self.now = self.peak = 0
        self.uses: Counter[int] = Counter()

    def pack(self, tensor: Tensor) -> _Held:
        storage = tensor.untyped_storage()
        address, size = storage.data_ptr(), storage.nbytes()
        self.now += 0 if self.uses[address] else size
        self.uses[address] += 1
        self.peak = max(self.peak, self.now)
        held = _Held(tensor)
        weakref.finalize(held, self._drop, address, size)
        return held

    def _drop(self, address: int, size: int) -> None:
        self.uses[address] -= 1
        self.now -= 0 if self.uses[address] else size


class _Held:
    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor


class _Alike:
    """Any frame of a video, standing in for all: a step takes as long with it."""

    def __init__(self, frame: Tensor) -> None:
        self.frame = frame

    def read(self, indices: list[int]) -> Tensor:
        return self.frame[None].repeat(len(indices), 1, 1, 1)


def estimate(options: Options) -> Estimate:
    """Measure one step on the first frame; the video is looked at, not read.

    Its length is what the container says, which may differ by a few frames, and a hub's teacher is
    taken to give 512 numbers. Raises `InputError` for flags that a training would refuse.
    """
    device = torch.device(resolve_device(options.device))
    spec = options.data
    first = next(iter(pictures(spec.path)))
    frame = fit(first.pixels, spec).to(device)
    frames = sum(spec.keeps(i) for i in range(first.expected or 0))
    if first.expected:
        spec.check_reach(first.expected)
    frames = max(frames, 1)  # of a container that does not say
    height, width = frame.shape[-2:]
    check_loss_fits(options.train.loss, height, width)
    split = split_frames(frames, options.split, options.shuffle)
    config, true = options.model, None
    if config.predict_clip or config.clip_input:
        assert options.teacher is not None  # noqa: S101 - these flags name one
        dim = config.clip_dim or known_dim(options.teacher[0]) or 512
        config = replace(config, clip_dim=dim)
        true = torch.nn.functional.normalize(torch.randn(frames, dim), dim=1)
    arch = solve(config, frames, split.count("train"), height, width)
    model = NeRVClip(arch).to(device)
    times = tuple(i / 25 for i in range(frames))
    video = Video(_Alike(frame), (frames, height, width), times, "", device)
    trainer = Trainer(model, video, split, options.train, true)
    sizes = decoder_parameters(model), head_parameters(model)
    steps, kept = trainer.steps * options.train.epochs, _Kept()
    with torch.autograd.graph.saved_tensors_hooks(kept.pack, lambda held: held.tensor):
        seconds = trainer.trial()
    pixels = 3 * frames * height * width
    pixels = pixels if pixels <= options.cache_gb * GIB else 0  # a larger video is streamed
    return Estimate(
        frames=frames,
        height=height,
        width=width,
        train_frames=split.count("train"),
        held_out=split.count("val"),
        decoder_parameters=sizes[0],
        head_parameters=sizes[1],
        checkpoint_bytes=options.train.bits * sum(sizes) // 8,
        memory_bytes=pixels + 16 * sum(sizes) + kept.peak,
        steps=steps,
        seconds=seconds * steps,
    )
