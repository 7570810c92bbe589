"""Training data: frames, their times, and the teacher's embeddings, on the training device."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Sequence

import torch
from torch import Tensor

from nerv_clip.teacher.dense_maps import DenseMaps
from nerv_clip.video.split import Split, train_indices
from nerv_clip.video.times import frame_time
from nerv_clip.video.video import Video


def frame_times(frames: int) -> Tensor:
    """The time of each frame: (frames,) float64 in [0, 1]."""
    return torch.tensor([frame_time(i, frames) for i in range(frames)], dtype=torch.float64)


class TrainingData:
    """A video with its split and, optionally, true embeddings (T, dim), pooled and dense.

    Attributes: ``train``, the indices of the train frames; ``times`` (T,), float64, the time of
    every frame; ``device``.
    """

    def __init__(
        self,
        video: Video,
        split: Sequence[Split],
        true_embeddings: Tensor | None,
        device: torch.device,
        dense: DenseMaps | None = None,
    ) -> None:
        self.video, self.device = video, device
        self.train = train_indices(split)
        self.times = frame_times(len(video)).to(device)
        self._dense = dense
        self._true = None if true_embeddings is None else true_embeddings.to(device)

    def frames(self, indices: list[int]) -> Tensor:
        """True frames (B, 3, H, W) in [0, 1]."""
        frames: Tensor = self.video.read(indices).to(self.device).float() / 255
        return frames

    def embeddings(self, indices: list[int]) -> Tensor:
        """True embeddings (B, dim); raises ValueError if there are none."""
        if self._true is None:
            raise ValueError("a CLIP head is trained with true embeddings, but none were given")
        return self._true[indices]

    def cells(self, indices: list[int]) -> Tensor:
        """Coefficients of the true dense embeddings: (B, rank, h, w).

        Raises ValueError if there are none.
        """
        if self._dense is None:
            raise ValueError("a dense head is trained with true maps, but none were given")
        return self._dense.read(indices).to(self.device)

    def following(self, indices: list[int]) -> list[int]:
        """For each train frame the next one of its shot; for the last one itself."""
        following = []
        for index in indices:
            place = bisect(self.train, index)
            own = self.video.shots.span(self.video.shots.of(index))
            later = self.train[place] if place < len(self.train) else own.stop
            following.append(later if later < own.stop else index)
        return following
