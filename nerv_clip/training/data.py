"""Training data: frames, their times, and the teacher's embeddings, on the training device."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Sequence

import torch
from torch import Tensor

from nerv_clip.teacher.dense_maps import DenseMaps
from nerv_clip.teacher.embeddings import frames_embedded
from nerv_clip.video.split import Split, train_indices
from nerv_clip.video.times import frame_time
from nerv_clip.video.video import Video


def frame_times(frames: int) -> Tensor:
    """The time of each frame: (frames,) float64 in [0, 1]."""
    return torch.tensor([frame_time(i, frames) for i in range(frames)], dtype=torch.float64)


class TrainingData:
    """A video with its split and, optionally, true embeddings (T, dim), pooled and dense.

    Rows of the pooled ones are NaN where a frame has none. Attributes: ``train``, the indices of
    the train frames; ``embedded``, those of the train frames with a true embedding; ``times`` (T,),
    float64, the time of every frame; ``device``.
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
        self._true = None if true_embeddings is None else true_embeddings.nan_to_num().to(device)
        known = self.train if true_embeddings is None else frames_embedded(true_embeddings)
        self._known = set(known)
        self.embedded = [i for i in self.train if i in self._known]

    def frames(self, indices: list[int]) -> Tensor:
        """True frames (B, 3, H, W) in [0, 1]."""
        frames: Tensor = self.video.read(indices).to(self.device).float() / 255
        return frames

    def embeddings(self, indices: list[int]) -> Tensor:
        """True embeddings (B, dim), 0 for a frame without one.

        Raises ValueError where the video has none.
        """
        if self._true is None:
            raise ValueError("a CLIP head is trained with true embeddings, but none were given")
        return self._true[indices]

    def cells(self, indices: list[int]) -> Tensor:
        """Coefficients of the true dense embeddings: (B, rank, h, w), 0 for a frame without.

        Raises ValueError if there are none.
        """
        if self._dense is None:
            raise ValueError("a dense head is trained with true maps, but none were given")
        return self._dense.read(indices).to(self.device)

    def shares(self, indices: list[int]) -> Tensor | None:
        """Weights (B,) of train frames in a mean that is to be of those with a true embedding.

        0 for a frame without; over all train frames, their mean is 1. None where all have one.
        """
        if len(self.embedded) == len(self.train):
            return None
        share = len(self.train) / len(self.embedded)
        return torch.tensor([share * (i in self._known) for i in indices], device=self.device)

    def around(self, indices: list[int]) -> tuple[list[int], list[int]]:
        """Train frames with a true embedding around each train frame, in the same shot.

        The last one that is not after it, and the next one after it; where there is one of them
        only, that one twice.
        """
        before, after = [], []
        for index in indices:
            known = self.video.shots.within(index, self.embedded)
            place = bisect(known, index)
            before.append(known[max(place - 1, 0)])
            after.append(known[min(place, len(known) - 1)])
        return before, after
