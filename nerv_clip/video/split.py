"""Where a frame lies in time and which split it belongs to, each defined only here."""

from __future__ import annotations

import random
from typing import Literal

from nerv_clip.errors import InputError

Split = Literal["train", "val", "unused"]


def frame_time(index: int, frames: int) -> float:
    """Time ``t = index / (frames - 1)`` in [0, 1]; 0 for a video of a single frame.

    >>> frame_time(0, 5), frame_time(4, 5), frame_time(0, 1)
    (0.0, 1.0, 0.0)
    """
    return index / (frames - 1) if frames > 1 else 0.0


def parse_split(rule: str) -> tuple[int, int, int]:
    """``"a_b_c"`` as three integers with 1 <= a <= b <= c; raises `InputError` otherwise."""
    try:
        a, b, c = (int(part) for part in rule.split("_"))
    except ValueError:
        raise InputError(
            f"--data_split {rule!r} is not a_b_c: give three whole numbers, such as 3_3_4"
        ) from None
    if not 1 <= a <= b <= c:
        raise InputError(f"--data_split {rule}: a_b_c needs 1 <= a <= b <= c")
    return a, b, c


def split_frames(frames: int, rule: str, shuffle: bool = False) -> list[Split]:
    """The split of every frame, by HNeRV's rule ``a_b_c``.

    Of every ``c`` frames the first ``a`` are train, those from ``b`` on are held out (``val``)
    and those between are unused. ``shuffle`` deals the frames out in a fixed random order first,
    as HNeRV's ``--shuffle_data`` does.
    """
    a, b, c = parse_split(rule)
    order = list(range(frames))
    if shuffle:
        random.Random(0).shuffle(order)  # noqa: S311 - a split, not a secret
    split: list[Split] = ["unused"] * frames
    for place, index in enumerate(order):
        if place % c < a:
            split[index] = "train"
        elif place % c >= b:
            split[index] = "val"
    return split
