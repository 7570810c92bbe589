"""What a training will be like, before it is started: size, memory, time."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from nerv_clip.coordinates import split_frames
from nerv_clip.flags import Options
from nerv_clip.losses import check_loss_fits
from nerv_clip.model import NeRVClip
from nerv_clip.sizing import decoder_parameters, head_parameters, solve
from nerv_clip.sources import pictures
from nerv_clip.training import Trainer
from nerv_clip.video import Clip, fit


class Estimate(NamedTuple):
    """Of a training command: the clip, the network, the steps, and seconds on this machine.

    ``clip_bytes`` are the frames as the training keeps them; ``checkpoint_bytes`` about what
    ``model_best.pth`` will have.
    """

    frames: int
    height: int
    width: int
    train_frames: int
    held_out: int
    decoder_parameters: int
    head_parameters: int
    checkpoint_bytes: int
    clip_bytes: int
    steps: int
    seconds: float


class _Alike:
    """Any frame of a clip, standing in for all: a step takes as long with it."""

    def __init__(self, frame: Tensor) -> None:
        self.frame = frame

    def read(self, indices: list[int]) -> Tensor:
        return self.frame[None].repeat(len(indices), 1, 1, 1)


def estimate(options: Options) -> Estimate:
    """Measure one step on the first frame; the clip is looked at, not read.

    Its length is what the container says, which may differ by a few frames. Raises `InputError`
    for what a training would refuse.
    """
    spec = options.data
    first = next(iter(pictures(spec.path)))
    frame = fit(first.pixels, spec)
    frames = max(1, sum(spec.keeps(i) for i in range(first.expected or 1)))
    height, width = frame.shape[-2:]
    check_loss_fits(options.train.loss, height, width)
    split = split_frames(frames, options.split, options.shuffle)
    arch = solve(options.model, frames, split.count("train"), height, width)
    model = NeRVClip(arch)
    times = tuple(i / 25 for i in range(frames))
    clip = Clip(_Alike(frame), (frames, height, width), times, "", torch.device("cpu"))
    semantic = options.model.predict_clip or options.model.clip_input
    true = torch.nn.functional.normalize(torch.randn(frames, options.model.clip_dim), dim=1)
    trainer = Trainer(model, clip, split, options.train, true if semantic else None)
    sizes = decoder_parameters(model), head_parameters(model)
    steps = trainer.steps * options.train.epochs
    return Estimate(
        frames=frames,
        height=height,
        width=width,
        train_frames=split.count("train"),
        held_out=split.count("val"),
        decoder_parameters=sizes[0],
        head_parameters=sizes[1],
        checkpoint_bytes=4 * sum(sizes),
        clip_bytes=3 * frames * height * width,
        steps=steps,
        seconds=trainer.trial() * steps,
    )
