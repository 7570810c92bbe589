"""Estimate a training before it starts: size, memory, time."""

from __future__ import annotations

import weakref
from collections import Counter
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from nerv_clip.cli.options import Options
from nerv_clip.models.parameters import decoder_parameters, head_parameters
from nerv_clip.models.solver import solve_video
from nerv_clip.runs.inputs import Inputs, check_embedded, stand_in_maps
from nerv_clip.teacher.loading import known_dim
from nerv_clip.training.builder import build_video_network
from nerv_clip.training.distributed import resolve_device
from nerv_clip.training.losses import check_loss_fits
from nerv_clip.training.segments import SegmentTraining
from nerv_clip.video.reader import pictures
from nerv_clip.video.split import embedded_frames, split_frames, train_indices
from nerv_clip.video.video import GIB, checked_shots, fit, shots_read, still_video


class Estimate(NamedTuple):
    """A training command's video, network, steps and cost.

    ``memory_bytes`` is about what training needs beside the libraries: the frames, the weights
    with their gradients and two moments, and the activations saved for the backward pass.
    ``checkpoint_bytes`` is about the size of ``model_best.pth``. ``seconds`` is the training time
    on this machine, without evaluations.
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


class _SavedActivations:
    """Counts the bytes that autograd saves for the backward pass; ``peak`` is their maximum."""

    def __init__(self) -> None:
        self.now = self.peak = 0
        self.uses: Counter[int] = Counter()

    def pack(self, tensor: Tensor) -> _Saved:
        storage = tensor.untyped_storage()
        address, size = storage.data_ptr(), storage.nbytes()
        self.now += 0 if self.uses[address] else size
        self.uses[address] += 1
        self.peak = max(self.peak, self.now)
        saved = _Saved(tensor)
        weakref.finalize(saved, self._drop, address, size)
        return saved

    def _drop(self, address: int, size: int) -> None:
        self.uses[address] -= 1
        self.now -= 0 if self.uses[address] else size


class _Saved:
    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor


def estimate(options: Options) -> Estimate:
    """Measure training steps on the first frame; the rest of the video is not read.

    The number of frames is taken from the container and may be off by a few. Cuts are not known
    before the video is read: segments are those of the shots that are given, and of long ones. A
    teacher from a hub is assumed to have embeddings of 512 numbers. Raises `InputError` for flags
    that training would refuse.
    """
    device = torch.device(resolve_device(options.device))
    spec = options.data
    first = next(iter(pictures(spec.path, spec.stream)))
    frame = fit(first.pixels, spec).to(device)
    frames = sum(spec.keeps(i) for i in range(first.expected or 0))
    if first.expected:
        spec.check_reach(first.expected)
    frames = max(frames, 1)  # some containers do not store the number
    height, width = frame.shape[-2:]
    check_loss_fits(options.train.loss, height, width)
    shots = shots_read(checked_shots(options.shots), spec, frames)
    split = split_frames(frames, options.split, options.shuffle, shots)
    config, true = options.model, None
    if config.predict_clip or config.clip_input:
        assert options.teacher is not None  # noqa: S101 - set with these flags
        dim = config.clip_dim or known_dim(options.teacher[0]) or 512
        config = replace(config, clip_dim=dim)
        chosen = embedded_frames(split, options.train.clip_every, shots)
        true = torch.full((frames, dim), torch.nan)
        true[chosen] = torch.nn.functional.normalize(torch.randn(len(chosen), dim), dim=1)
    arch = solve_video(config, shots, train_indices(split), height, width)
    video = still_video(frame, frames, shots)
    check_embedded(Inputs(video, split, true=true), arch, options.train.clip_every)
    model = build_video_network(arch, split, true_embeddings=true).to(device)
    training = SegmentTraining(model, video, split, options.train, true, dense=stand_in_maps(arch))
    heads = head_parameters(*model.networks)
    sizes = decoder_parameters(*model.networks), sum(heads.values())
    saved, epochs = _SavedActivations(), options.train.epochs
    with torch.autograd.graph.saved_tensors_hooks(saved.pack, lambda packed: packed.tensor):
        seconds = training.measure_epoch()
    pixels = 3 * frames * height * width
    pixels = pixels if pixels <= options.cache_gb * GIB else 0  # a larger video is read from disk
    return Estimate(
        frames=frames,
        height=height,
        width=width,
        train_frames=split.count("train"),
        held_out=split.count("val"),
        decoder_parameters=sizes[0],
        head_parameters=sizes[1],
        checkpoint_bytes=options.train.bits * sum(sizes) // 8,
        memory_bytes=pixels + 16 * sum(sizes) + training.jobs * saved.peak,
        steps=training.steps * epochs,
        seconds=seconds * epochs,
    )
