"""The split of a video into train, held-out and unused frames: HNeRV's rule, only here."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Literal

from nerv_clip.errors import InputError
from nerv_clip.video.shots import Shots

Split = Literal["train", "val", "unused"]


def parse_split(rule: str) -> tuple[int, int, int]:
    """``"a_b_c"`` as three integers with 1 <= a <= b <= c; raises `InputError` otherwise."""
    try:
        a, b, c = (int(part) for part in rule.split("_"))
    except ValueError:
        raise InputError(
            f"`data_split` {rule!r} is not a_b_c: give three whole numbers, such as 3_3_4"
        ) from None
    if not 1 <= a <= b <= c:
        raise InputError(f"`data_split` {rule}: a_b_c needs 1 <= a <= b <= c")
    return a, b, c


def split_frames(
    frames: int, rule: str, shuffle: bool = False, shots: Shots | None = None
) -> list[Split]:
    """The split of each of ``frames`` frames, by HNeRV's rule ``a_b_c``.

    Of every ``c`` frames the first ``a`` are train frames, those from ``b`` on are held out
    (``"val"``), and those between are unused. With ``shuffle`` the frames are put into a fixed
    random order first, as HNeRV's ``--shuffle_data`` does. A shot that the rule leaves
    without a train frame is trained on its first frame: without one, nothing is known about it.

    >>> split_frames(6, "2_2_3")
    ['train', 'train', 'val', 'train', 'train', 'val']
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
    for own in shots.ranges() if shots else ():
        if "train" not in split[own.start : own.stop]:
            split[own.start] = "train"
    return split


def embedded_frames(split: Sequence[Split], every: int, shots: Shots | None = None) -> list[int]:
    """The frames that the teacher embeds where it embeds one frame in ``every``: increasing.

    They are spread evenly over the frames of each split in each shot, the first and the last one
    included. By default the video is one shot.

    >>> embedded_frames(["train", "train", "val"] * 3, 2)
    [0, 2, 3, 7, 8]
    """
    chosen: list[int] = []
    for own in (shots or Shots(len(split))).ranges():
        for name in dict.fromkeys(split[own.start : own.stop]):
            frames = [i for i in own if split[i] == name]
            gaps = -(-(len(frames) - 1) // every)
            places = {round(n * (len(frames) - 1) / max(gaps, 1)) for n in range(gaps + 1)}
            chosen += [frames[place] for place in places]
    return sorted(chosen)


def train_indices(split: Sequence[Split]) -> list[int]:
    """The indices of the train frames, increasing."""
    return [i for i, name in enumerate(split) if name == "train"]
