"""Divide a video into segments, and share the parameters among them."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple

from nerv_clip.video.shots import Shots

LEAST_SIZE = 0.1  # million parameters of a segment's network: below, it shares one with others
POWER = 0.5  # of a segment's frames, to which its size is proportional; see law.md


class Stretch(NamedTuple):
    """A segment before its network is solved: frames ``first`` to before ``after``.

    ``seen`` is where the frames end that its network is trained on; ``size`` is in million
    parameters.
    """

    first: int
    after: int
    seen: int
    size: float


def divide(shots: Shots, train: Sequence[int], size: float, most: int) -> list[Stretch]:
    """Divide a video into segments that share ``size`` million parameters.

    A shot is a segment, or several of at most ``most`` frames each (0: any number). A segment
    without a train frame is joined with the shorter of its neighbours, and so is the smallest as
    long as it would have under `LEAST_SIZE`. ``train`` are the indices of the train frames,
    increasing. Within a shot, a segment also sees the frames up to the first train frame of the
    next, so that every held-out frame has a train frame on both sides.
    """
    lengths = [len(part) for part in shots.divided(most).ranges()]
    while (poor := _to_join(lengths, train, size)) is not None:
        beside = [i for i in (poor - 1, poor + 1) if 0 <= i < len(lengths)]
        left, right = sorted((poor, min(beside, key=lengths.__getitem__)))
        lengths[left : right + 1] = [lengths[left] + lengths[right]]
    stretches, first = [], 0
    for length, own in zip(lengths, share(lengths, size), strict=True):
        after = first + length
        following = shots.within(after - 1, train)
        seen = next((i + 1 for i in following if i >= after), after)
        stretches.append(Stretch(first, after, seen, own))
        first = after
    return stretches


def share(lengths: Sequence[int], size: float) -> list[float]:
    """``size`` shared among segments of ``lengths`` frames, in proportion to frames ** `POWER`."""
    weights = [length**POWER for length in lengths]
    return [size * weight / math.fsum(weights) for weight in weights]


def _to_join(lengths: Sequence[int], train: Sequence[int], size: float) -> int | None:
    """The segment that cannot have a network of its own, None where all can."""
    if len(lengths) == 1:
        return None
    ends = [bisect_left(train, end) for end in accumulate(lengths, initial=0)]
    empty = next((i for i, (a, b) in enumerate(pairwise(ends)) if a == b), None)
    smallest = min(range(len(lengths)), key=lengths.__getitem__)
    poor = smallest if share(lengths, size)[smallest] < LEAST_SIZE else None
    return poor if empty is None else empty
