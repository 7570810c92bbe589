"""All networks of a video as one: time in, the frame and its CLIP embedding out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn

from nerv_clip.models.nerv_clip import NeRVClip, Output
from nerv_clip.models.segments import VideoArchitecture
from nerv_clip.models.temporal import ShotIndex

SAME_FRAME = 1e-6  # positions in frames that differ by less are equal


class Place(NamedTuple):
    """Where B times lie: the segment (B,), int64, and the time (B,) inside it, float64, [0, 1]."""

    segment: Tensor
    t: Tensor


class VideoNetwork(nn.Module):
    """The networks of a video, one for each of its segments; most videos have one.

    A time is handed to the network of its segment. A time between two shots, where there is no
    picture, becomes that of the nearer frame, so nothing is interpolated across a cut.
    ``networks`` are in the order of the segments of ``arch``.
    """

    def __init__(self, arch: VideoArchitecture, networks: list[NeRVClip]) -> None:
        super().__init__()
        self.arch = arch
        self.segments = nn.ModuleList(networks)

    @classmethod
    def of(cls, network: NeRVClip) -> VideoNetwork:
        """The video that one network draws."""
        return cls(VideoArchitecture.of(network.arch), [network])

    @property
    def networks(self) -> list[NeRVClip]:
        """The network of each segment, in order."""
        return [network for network in self.segments if isinstance(network, NeRVClip)]

    def forward(self, t: Tensor) -> Output:
        """Frames and embeddings at times ``t`` (B,) in [0, 1], float64, with the time it took.

        ``features`` of several segments are padded with zeros to the most channels.
        """
        if self._whole:
            return self.networks[0](t)  # type: ignore[no-any-return]
        parts = [(rows, network(own)) for rows, network, own in self._parts(t)]
        outputs = [output for _, output in parts]
        order = torch.cat([rows for rows, _ in parts]).argsort()
        most = max(output.features.shape[1] for output in outputs)
        embeddings = [output.embedding for output in outputs if output.embedding is not None]
        return Output(
            torch.cat([output.frames for output in outputs])[order],
            torch.cat(embeddings)[order] if embeddings else None,
            torch.cat([_padded(output.features, most) for output in outputs])[order],
            sum(output.seconds for output in outputs),
        )

    def embed(self, t: Tensor) -> Tensor:
        """Embeddings (B, clip_dim), not normalised, at times ``t`` (B,); no frame is drawn.

        Raises TypeError without a CLIP head.
        """
        return self._each(t, lambda network, own, rows: network.embed(own))

    def embed_map(self, t: Tensor) -> Tensor:
        """Unit embeddings (B, dim, h, w) of a grid of cells; see `NeRVClip.embed_map`."""
        return self._each(t, lambda network, own, rows: network.embed_map(own))

    def map_coefficients(self, t: Tensor) -> Tensor:
        """Coefficients (B, dense_rank, h, w) of `embed_map`, each of the basis of its segment."""
        return self._each(t, lambda network, own, rows: network.map_coefficients(own))

    def embed_at(self, x: Tensor, y: Tensor, t: Tensor) -> Tensor:
        """Unit embeddings (B, dim) at points of frames; see `NeRVClip.embed_at`."""
        return self._each(t, lambda network, own, rows: network.embed_at(x[rows], y[rows], own))

    def _each(self, t: Tensor, value: Callable[[NeRVClip, Tensor, Tensor], Tensor]) -> Tensor:
        """Values (B, …) of the networks of times (B,): of a network, its times, and their rows."""
        if self._whole:
            return value(self.networks[0], t, torch.arange(len(t), device=t.device))
        parts = [(rows, value(network, own, rows)) for rows, network, own in self._parts(t)]
        order = torch.cat([rows for rows, _ in parts]).argsort()
        return torch.cat([values for _, values in parts])[order]

    def place(self, t: Tensor) -> Place:
        """The segment of each time (B,) in [0, 1], and the time inside the segment.

        The times of frames give exactly the times that the segment's network was trained on.
        """
        arch, shots = self.arch, ShotIndex(self.arch.frames, self.arch.shots[1:])
        position = t.double() * (arch.frames - 1)
        exact = (position - position.round()).abs() < SAME_FRAME
        position = torch.where(exact, position.round(), position)
        first, last = position.new_tensor(shots.ends)[shots.of(t)].unbind(1)
        position = position.maximum(first).minimum(last)
        starts = [segment.first for segment in arch.segments]
        segment = torch.bucketize(position.floor(), position.new_tensor(starts[1:]), right=True)
        lasts = position.new_tensor([each.network.frames - 1 for each in arch.segments])
        inside = position - position.new_tensor(starts)[segment]
        return Place(segment, inside / lasts.clamp(min=1)[segment])

    @property
    def _whole(self) -> bool:
        """Whether one network without cuts draws the video: its times are the video's."""
        return len(self.segments) == 1 and len(self.arch.shots) == 1

    def _parts(self, t: Tensor) -> Iterator[tuple[Tensor, NeRVClip, Tensor]]:
        """For each segment with some of the times: their rows in ``t``, its network, its times."""
        place = self.place(t)
        for number in sorted(set(place.segment.tolist())):
            rows = (place.segment == number).nonzero().flatten()
            yield rows, self.networks[number], place.t[rows]


def _padded(features: Tensor, channels: int) -> Tensor:
    """Features (B, C, h, w) with channels of zeros added."""
    return nn.functional.pad(features, (0, 0, 0, 0, 0, channels - features.shape[1]))
