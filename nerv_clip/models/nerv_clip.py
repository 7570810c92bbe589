"""The network, in the order that data flows."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn

from nerv_clip.errors import InputError
from nerv_clip.models.config import Architecture
from nerv_clip.models.encodings import build_encoding, input_widths
from nerv_clip.models.frame_encoder import build_encoder, pad_to
from nerv_clip.models.heads import HEADS, DenseHead, head_taps
from nerv_clip.models.layers import (
    CellStem,
    DenseStem,
    RGBHead,
    UpBlock,
)
from nerv_clip.models.motion import neighbours, warp_and_blend, warp_and_blend_maps
from nerv_clip.models.temporal import FrameTable, ShotIndex, TemporalGrid


class Features(NamedTuple):
    """Features of the decoder at B times.

    ``inputs`` (B, C, h, w) is the input of the stem; ``hidden`` (B, C, h, w) the output of the
    last up-block that was computed; ``heads`` the outputs of the heads that tap the layers
    computed, by name: ``"clip"`` (B, clip_dim), ``"motion"`` (B, 5, h, w), ``"dense"``
    (B, dense_rank, h, w).
    """

    inputs: Tensor
    hidden: Tensor
    heads: dict[str, Tensor]

    @property
    def embedding(self) -> Tensor | None:
        """The CLIP head's output (B, clip_dim), not normalised; None without a CLIP head."""
        return self.heads.get("clip")


class Decoded(NamedTuple):
    """Frames (B, 3, H, W) in about [0, 1] at B times, and the features at these times."""

    frames: Tensor
    features: Features


class Output(NamedTuple):
    """What `NeRVClip.forward` returns for B times.

    ``frames`` (B, 3, H, W) in about [0, 1]; ``embedding`` (B, clip_dim), not normalised, None
    without a CLIP head; ``features`` (B, C, h, w), the input of the stem: coordinate features,
    then temporal grids, then latents; ``seconds`` is the time that decoding took.
    """

    frames: Tensor
    embedding: Tensor | None
    features: Tensor
    seconds: float


class NeRVClip(nn.Module):
    """A video as a network: time in, the frame and its CLIP embedding out.

    ::

        (x, y, t) ─► encoding (160) ─┐
        t ─► temporal grids ─────────┼─► stem ─┬─► up-blocks ─┬─► more ─► RGB head ─► frame
        frame ─► encoder (optional) ─┘         │              │                   (3, H, W)
                                               │              └─► motion head ─► motion (5, h, w)
                                               └─► CLIP head ─► embedding (512)

        stem or an up-block ─► dense head ─► an embedding for each cell (512, h, w)

        at a time between train frames:
        frame before, frame after, motion ─► warp and blend ─► frame (3, H, W)

    The CLIP head and the dense head tap the stem or an up-block, the motion head an up-block
    (`nerv_clip.models.heads`). The up-blocks are residual (`nerv_clip.models.layers`) or those of
    HNeRV (arXiv 2304.02633), from which the encoder is taken as well; the temporal grids are
    FFNeRV's (arXiv 2212.12294). The encoder is used in training only: decoding reads the latents
    of the train frames from a table, interpolated in t. With ``clip_input``, a table of true
    embeddings takes the place of the latents.

    Nothing is interpolated across the cuts in ``arch``: grids, table and neighbours are those of
    the time's shot. A time between two shots is not one that a video has
    (`nerv_clip.models.video_network` never gives one).

    A network with a motion head draws frames at train times itself; at any other time the two
    neighbouring train frames are drawn, warped and blended (`nerv_clip.models.motion`).

    ``with_encoder=False`` leaves the encoder out, as in a shipped checkpoint. Train times and
    table are placeholders until `nerv_clip.training.builder.build_network`, or a checkpoint, sets
    them.
    """

    train_times: Tensor  # (L,) float64, increasing; only with a motion head

    def __init__(self, arch: Architecture, *, with_encoder: bool = True) -> None:
        super().__init__()
        a = self.arch = arch
        self.shots = ShotIndex(a.frames, a.cuts) if a.cuts else None
        self.encoding = build_encoding(a.embed, a.frames, a.grid)
        self.grids = nn.ModuleList(
            TemporalGrid(steps=steps, channels=channels, grid=a.grid, shots=self.shots)
            for steps, channels in a.grids
        )
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
            self.table = FrameTable(
                steps=a.table_steps, shape=(a.enc_dim[1], *a.grid), shots=self.shots
            )
        elif a.clip_input:
            self.table = FrameTable(
                steps=a.table_steps, shape=(a.clip_input, 1, 1), shots=self.shots
            )
        inside = sum(input_widths(a).values())
        self.stem: DenseStem | CellStem
        if a.embed.startswith("pe") and not a.enc_strides:  # the input is the same in every cell
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
        self.taps = head_taps(a)
        for head in HEADS:
            tap = self.taps.get(head.name)
            module = None if tap is None else head.build(a, a.widths[tap])
            self.add_module(f"{head.name}_head", module)
        if "motion" in self.taps:
            times = torch.linspace(0, 1, a.motion_steps, dtype=torch.float64)
            self.register_buffer("train_times", times)
        self.to(memory_format=torch.channels_last)  # saves a quarter of a step's time on a CPU

    def head(self, name: str) -> nn.Module | None:
        """The head of this name in `HEADS`, or None where the architecture does not have it."""
        return self.get_submodule(f"{name}_head") if name in self.taps else None

    def forward(self, t: Tensor) -> Output:
        """Frames and embeddings at times ``t`` (B,) in [0, 1], float64, with the time it took."""
        start = time.perf_counter()
        # `decode` draws two frames per time; at train times one is enough
        decoded = self.draw(t) if self._draws_alone(t) else self.decode(t)
        if t.is_cuda:
            torch.cuda.synchronize()  # the clock must stop after the work is done
        seconds = time.perf_counter() - start
        return Output(decoded.frames, decoded.features.embedding, decoded.features.inputs, seconds)

    def decode(self, t: Tensor) -> Decoded:
        """Frames and features at times ``t`` (B,) in [0, 1], float64.

        With a motion head, a frame between train frames is made from its two neighbours, and the
        features include the outputs of all heads. The function is pure and has no data-dependent
        branch, so it can be exported: both neighbours are drawn for every time, and for a train
        time that frame itself takes the place of both.
        """
        if "motion" not in self.taps:
            return self.draw(t)
        features = self.forward_features(t, until=max(self.taps.values()))

        def drawn(times: Tensor) -> Tensor:
            return self.draw(times).frames

        return Decoded(self._moved(t, drawn, features.heads["motion"], warp_and_blend), features)

    def _moved(
        self,
        t: Tensor,
        drawn: Callable[[Tensor], Tensor],
        motion: Tensor,
        warp: Callable[[Tensor, Tensor, Tensor, Tensor, tuple[int, int]], Tensor],
    ) -> Tensor:
        """What is ``drawn`` at train times, and at others made from both neighbours: (B, C, h, w).

        ``motion`` is the motion head's output at ``t``, ``warp`` blends the neighbours by it.
        """
        found = neighbours(self.train_times, t, self.shots)
        ends = torch.where(found.exact, found.own, torch.stack([found.before, found.after]))
        both = drawn(self.train_times[ends.flatten()])
        before, after = torch.unflatten(both, 0, (2, -1)).unbind(0)
        gaps = found.gaps * (self.arch.frames - 1)
        between = warp(motion, before, after, gaps, self.arch.padded)
        return torch.where(found.exact[:, None, None, None], before, between)

    def draw(self, t: Tensor, latent: Tensor | None = None) -> Decoded:
        """The network's own frames at times ``t`` (B,) in [0, 1], float64, without motion.

        ``latent`` (B, C, h, w) is the output of `encode`, in training; by default latents are read
        from the table.
        """
        features = self.forward_features(t, until=len(self.blocks), latent=latent)
        frames = self.rgb_head(features.hidden)[..., : self.arch.height, : self.arch.width]
        return Decoded(frames, features)

    def embed(self, t: Tensor) -> Tensor:
        """Embeddings (B, clip_dim), not normalised, at times ``t`` (B,); no frame is drawn.

        No up-block after the CLIP head's tap is computed. Raises TypeError without a CLIP head.
        """
        if "clip" not in self.taps:
            raise TypeError("this network has no CLIP head")
        return self.forward_features(t, until=self.taps["clip"]).heads["clip"]

    def embed_map(self, t: Tensor) -> Tensor:
        """Unit embeddings (B, dense_dim, h, w) of a grid of cells at times ``t`` (B,).

        The cells cover what the decoder draws before the crop to the frame's size
        (``arch.padded``), so that cells at the right and at the bottom may lie outside of the
        frame. No frame is drawn. Raises TypeError without a dense head.
        """
        return self._dense_head.expand(self.map_coefficients(t))

    def embed_at(self, x: Tensor, y: Tensor, t: Tensor) -> Tensor:
        """Unit embeddings (B, dense_dim) at the points ``x``, ``y`` (B,) of times ``t`` (B,).

        ``x`` runs from 0 at the left edge of the frame to 1 at the right, ``y`` from 0 at the top
        to 1 at the bottom. Between the middles of cells coefficients are interpolated linearly.
        Raises `InputError` for points outside of the frame, TypeError without a dense head.
        """
        places = torch.stack([x, y], 1)
        if not bool(((places >= 0) & (places <= 1)).all()):
            raise InputError("x and y are places in the frame: give numbers from 0 to 1")
        cells = self.map_coefficients(t)
        height, width = self.arch.padded
        drawn = places.new_tensor([self.arch.width / width, self.arch.height / height])
        grid = (2 * places * drawn - 1).to(cells)[:, None, None]
        sampled = nn.functional.grid_sample(cells, grid, "bilinear", "border", align_corners=False)
        return self._dense_head.expand(sampled[:, :, 0, 0])

    def map_coefficients(self, t: Tensor) -> Tensor:
        """Unit coefficients (B, dense_rank, h, w), which `embed_map` expands by the head's basis.

        With a motion head, those between train frames are made from their two neighbours, as
        frames are.
        """
        if self._draws_alone(t):
            return self._predicted_cells(t)
        motion = self.forward_features(t, until=self.taps["motion"]).heads["motion"]
        cells = self._moved(t, self._predicted_cells, motion, warp_and_blend_maps)
        return nn.functional.normalize(cells, dim=1)

    def _predicted_cells(self, t: Tensor) -> Tensor:
        """The dense head's output as unit coefficients (B, dense_rank, h, w)."""
        if "dense" not in self.taps:
            raise TypeError("this network has no dense head")
        cells = self.forward_features(t, until=self.taps["dense"]).heads["dense"]
        return nn.functional.normalize(cells, dim=1)

    @property
    def _dense_head(self) -> DenseHead:
        head = self.head("dense")
        if not isinstance(head, DenseHead):
            raise TypeError("this network has no dense head")
        return head

    def forward_features(self, t: Tensor, *, until: int, latent: Tensor | None = None) -> Features:
        """Features at times ``t`` (B,) up to the up-block ``until`` (0: the stem only).

        ``latent`` as in `draw`.
        """
        inputs = self.stem_input(t, latent)
        hidden = self.stem(inputs)
        outputs: dict[str, Tensor] = {}
        for depth in range(until + 1):
            if depth:
                hidden = self.blocks[depth - 1](hidden)
            for name, tap in self.taps.items():
                if tap == depth:
                    outputs[name] = self.get_submodule(f"{name}_head")(hidden)
        return Features(inputs, hidden, outputs)

    def stem_input(self, t: Tensor, latent: Tensor | None = None) -> Tensor:
        """Coordinate features, temporal grids and latents, concatenated: (B, C, h, w)."""
        parts = [] if self.encoding is None else [self.encoding(t)]
        parts += [grid(t) for grid in self.grids]
        if self.table is not None:
            parts.append(self.table(t) if latent is None else latent)
        cells = (1, 1) if isinstance(self.stem, DenseStem) else self.arch.grid
        return torch.cat([part.expand(-1, -1, *cells) for part in parts], dim=1)

    def encode(self, frames: Tensor) -> Tensor:
        """Latents (B, C, h, w) of true frames (B, 3, H, W) in [0, 1].

        Raises TypeError without an encoder.
        """
        if self.encoder is None:
            raise TypeError("this network has no encoder")
        latent: Tensor = self.encoder(pad_to(frames, self.arch.padded))
        return latent

    def _draws_alone(self, t: Tensor) -> bool:
        """Whether `draw` gives the same frames as `decode` at all of these times."""
        return "motion" not in self.taps or bool(neighbours(self.train_times, t).exact.all())
