"""The network, in the order that data flows."""

from __future__ import annotations

import time
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn

from nerv_clip.models.config import Architecture
from nerv_clip.models.encodings import build_encoding, input_widths
from nerv_clip.models.frame_encoder import build_encoder, pad_to
from nerv_clip.models.layers import (
    CellStem,
    ClipHead,
    DenseStem,
    FrameTable,
    RGBHead,
    TemporalGrid,
    UpBlock,
)
from nerv_clip.models.motion import MotionHead, Neighbours, moved, neighbours


class Seen(NamedTuple):
    """What the layers know of B times before a frame is drawn.

    ``features`` and ``embedding`` as in `Output`; ``last`` (B, C, h, w) is what the last of the
    up-blocks that were asked for gave; ``motion`` (B, C, h, w) as `MotionHead` gives
    it. ``embedding`` and ``motion`` are None without their heads, or where these come later.
    """

    features: Tensor
    last: Tensor
    embedding: Tensor | None
    motion: Tensor | None


class Drawn(NamedTuple):
    """Frames (B, 3, H, W) of B times, and what else is known there."""

    frames: Tensor
    seen: Seen


class Output(NamedTuple):
    """What the network returns for B times.

    ``frames`` (B, 3, H, W) in about [0, 1]; ``embedding`` (B, clip_dim), not normalised, None
    without a CLIP head; ``features`` (B, C, h, w), what the stem was given: coordinate features,
    temporal grids, and latents after them; ``seconds`` that decoding took.
    """

    frames: Tensor
    embedding: Tensor | None
    features: Tensor
    seconds: float


class NeRVClip(nn.Module):
    """A video as a network: time in, the frame and its CLIP embedding out.

    ::

        (x, y, t) ─► encoding (160) ─┐         ┌─► CLIP head ─► embedding (512)
        t ─► temporal grids ─────────┼─► stem ─┴─► up-blocks ─┬─► RGB head ─► frame (3, H, W)
        frame ─► encoder (optional) ─┘                        └─► motion head, at times between
                                                                  train frames: they are moved

    The up-blocks are residual (`nerv_clip.models.layers`), or HNeRV's (arXiv 2304.02633), as its
    encoder is; the temporal grids are FFNeRV's (2212.12294). The encoder sees a frame in training
    only: decoding reads the train frames' latents from a table, interpolated in t. At a time that
    is no train frame's the frame is made of its neighbouring train frames, decoded and moved
    (`nerv_clip.models.motion`). ``--clip_input`` puts a table of true embeddings in the
    latents' place.
    """

    train_times: Tensor  # (L,) float64, rising; with a motion head only

    def __init__(self, arch: Architecture, with_encoder: bool = True) -> None:
        super().__init__()
        a = self.arch = arch
        self.encoding = build_encoding(a.embed, a.frames, a.grid)
        self.grids = nn.ModuleList(
            TemporalGrid(steps=steps, channels=channels, grid=a.grid) for steps, channels in a.grids
        )
        inside = sum(input_widths(a).values())
        self.encoder = self.table = None
        if a.enc_strides:
            if with_encoder:
                self.encoder = build_encoder(
                    strides=a.enc_strides,
                    dims=a.enc_dim,
                    blocks=a.enc_blocks,
                    kernel=a.enc_kernel,
                    conv_type=a.enc_conv_type,
                    norm=a.norm,
                    act=a.act,
                )
            self.table = FrameTable(steps=a.table_steps, shape=(a.enc_dim[1], *a.grid))
        elif a.clip_input:
            self.table = FrameTable(steps=a.table_steps, shape=(a.clip_input, 1, 1))
        self.stem: DenseStem | CellStem
        if a.embed.startswith("pe") and not a.enc_strides:  # all cells would be given the same
            self.stem = DenseStem(features=inside, width=a.widths[0], grid=a.grid, act=a.act)
        else:
            self.stem = CellStem(features=inside, hidden=a.stem_width, width=a.widths[0], act=a.act)
        self.blocks = nn.ModuleList(
            UpBlock(
                kind=a.conv_type,
                inside=before,
                outside=after,
                stride=stride,
                kernel=kernel,
                count=a.blocks,
                norm=a.norm,
                act=a.act,
            )
            for (before, after), stride, kernel in zip(
                pairwise(a.widths), a.strides, a.kernels, strict=True
            )
        )
        self.rgb_head = RGBHead(
            width=a.widths[-1], stride=a.head_stride, kernel=a.head_kernel, out_bias=a.out_bias
        )
        self.clip_head = (
            ClipHead(width=a.widths[a.clip_tap], dim=a.clip_dim) if a.clip_dim else None
        )
        self.deepest = max(a.clip_tap, a.motion_tap)  # where a head looks
        self.motion_head = None
        if a.motion_tap:
            self.motion_head = MotionHead(a.widths[a.motion_tap])
            times = torch.linspace(0, 1, a.motion_steps, dtype=torch.float64)
            self.register_buffer("train_times", times)
        self.to(memory_format=torch.channels_last)  # a quarter of a step's time on a CPU

    def forward(self, t: Tensor) -> Output:
        """Frames and embeddings at times ``t`` (B,) in [0, 1], float64."""
        start = time.perf_counter()
        found = None if self.motion_head is None else neighbours(self.train_times, t)
        if found is None or found.exact.all():
            frames, seen = self.draw(t)
        else:
            frames, seen = self._between(t, found)
        if frames.is_cuda:
            torch.cuda.synchronize()  # or the clock would stop before the work is done
        return Output(frames, seen.embedding, seen.features, time.perf_counter() - start)

    def draw(self, t: Tensor, side: Tensor | None = None) -> Drawn:
        """The network's own frames at times ``t`` (B,) in [0, 1], float64: nothing is moved.

        ``side`` (B, C, h, w) are latents fresh from `encode`, in training; without it they are
        read from the checkpoint's table.
        """
        seen = self.look(t, len(self.blocks), side)
        frames = self.rgb_head(seen.last)[..., : self.arch.height, : self.arch.width]
        return Drawn(frames, seen)

    def look(self, t: Tensor, until: int, side: Tensor | None = None) -> Seen:
        """What is known at times ``t`` after the up-block ``until`` (0: the stem); no frame."""
        features = self.features(t, side)
        x = self.stem(features)
        embedding = motion = None
        for place in range(until + 1):
            x = self.blocks[place - 1](x) if place else x
            if self.clip_head is not None and place == self.arch.clip_tap:
                embedding = self.clip_head(x)
            if self.motion_head is not None and place == self.arch.motion_tap:
                motion = self.motion_head(x)
        return Seen(features, x, embedding, motion)

    def embed(self, t: Tensor) -> Tensor:
        """The embeddings (B, clip_dim) alone: no up-block after the tapped one is computed."""
        embedding = self.look(t, self.arch.clip_tap).embedding
        if embedding is None:
            raise TypeError("this network was trained without a CLIP head")
        return embedding

    def encode(self, frames: Tensor) -> Tensor:
        """Latents (B, C, h, w) of true frames (B, 3, H, W) in [0, 1], of an encoder run."""
        if self.encoder is None:
            raise TypeError("this network has no encoder")
        return self.encoder(pad_to(frames, self.arch.padded))  # type: ignore[no-any-return]

    def features(self, t: Tensor, side: Tensor | None = None) -> Tensor:
        """What the stem is given: (B, C, h, w)."""
        parts = [] if self.encoding is None else [self.encoding(t)]
        parts += [grid(t) for grid in self.grids]
        if self.table is not None:
            parts.append(self.table(t) if side is None else side)
        cells = (1, 1) if isinstance(self.stem, DenseStem) else self.arch.grid
        return torch.cat([part.expand(-1, -1, *cells) for part in parts], dim=1)

    def _between(self, t: Tensor, found: Neighbours) -> Drawn:
        """Frames at times of which some are no train frame's: those are moved."""
        seen = self.look(t, self.deepest)
        ends = torch.stack([found.before, found.after])
        ends = torch.where(found.exact, found.own, ends)
        places, back = torch.unique(ends, return_inverse=True)
        before, after = self.draw(self.train_times[places]).frames[back]
        assert seen.motion is not None  # noqa: S101 - `deepest` is not before the motion head
        gaps = found.gaps * (self.arch.frames - 1)
        made = moved(seen.motion, before, after, gaps, self.arch.padded)
        return Drawn(torch.where(found.exact[:, None, None, None], before, made), seen)
