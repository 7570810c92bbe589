"""Shots: the stretches of a video between two cuts. Nothing interpolates from one to the next."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from nerv_clip.errors import InputError


def check_increasing(firsts: Sequence[int]) -> None:
    """Raise `InputError` where the first frames of shots do not increase."""
    for before, after in pairwise(firsts):
        if after <= before:
            raise InputError(
                f"`shots`: frame {after} follows frame {before}: give the first frame of each shot "
                "in increasing order"
            )


@dataclass(frozen=True)
class Shots:
    """The shots of a video of ``frames`` frames.

    ``firsts`` is the index of the first frame of each shot, increasing, from 0. By default the
    video is one shot. Raises `InputError` for indices that are not increasing, or are not those of
    frames.

    >>> shots = Shots(8, (0, 3, 5))
    >>> len(shots), shots.of(4), shots.ranges()[1]
    (3, 1, range(3, 5))
    """

    frames: int
    firsts: tuple[int, ...] = (0,)

    def __post_init__(self) -> None:
        object.__setattr__(self, "firsts", tuple(self.firsts))
        firsts = self.firsts
        if not firsts or firsts[0] != 0:
            raise InputError("`shots`: the first shot has to start at frame 0")
        check_increasing(firsts)
        if firsts[-1] >= self.frames:
            raise InputError(
                f"`shots`: a shot starts at frame {firsts[-1]}, but the video has only "
                f"{self.frames} frames"
            )

    def __len__(self) -> int:
        return len(self.firsts)

    def of(self, frame: int) -> int:
        """The shot that contains a frame, counted from 0."""
        return bisect_right(self.firsts, frame) - 1

    def span(self, shot: int) -> range:
        """The frames of a shot."""
        return range(self.firsts[shot], (*self.firsts, self.frames)[shot + 1])

    def ranges(self) -> list[range]:
        """The frames of every shot, in order."""
        return [range(first, after) for first, after in pairwise((*self.firsts, self.frames))]

    def divided(self, most: int) -> Shots:
        """The shots, with those of more than ``most`` frames divided evenly (0: none is).

        >>> Shots(9, (0, 2)).divided(3).firsts
        (0, 2, 5, 7)
        """
        firsts = list[int]()
        for shot in self.ranges():
            count = math.ceil(len(shot) / most) if most else 1
            length, longer = divmod(len(shot), count)
            firsts += [shot.start + part * length + min(part, longer) for part in range(count)]
        return Shots(self.frames, tuple(firsts))

    def part(self, first: int, after: int) -> Shots:
        """The shots of the frames from ``first`` to before ``after``, counted from ``first``."""
        inside = (start - first for start in self.firsts if first < start < after)
        return Shots(after - first, (0, *inside))

    def within(self, frame: int, indices: Sequence[int]) -> Sequence[int]:
        """Those of ``indices``, which are increasing, that are in the same shot as ``frame``."""
        own = self.span(self.of(frame))
        return indices[bisect_left(indices, own.start) : bisect_left(indices, own.stop)]

    def settle(self, positions: NDArray[np.float64]) -> NDArray[np.float64]:
        """Positions (N,) in frames, those between two shots moved to the nearer frame.

        There is no picture between two shots; half way, the later shot begins.

        >>> Shots(8, (0, 3)).settle(np.array([1.5, 2.4, 2.5])).tolist()
        [1.5, 2.0, 3.0]
        """
        ends = np.array([*self.firsts[1:], self.frames]) - 1
        shots = np.searchsorted(self.firsts, np.floor(positions + 0.5), side="right") - 1
        return np.asarray(np.clip(positions, np.array(self.firsts)[shots], ends[shots]))
