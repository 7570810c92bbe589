"""How good a plan of ``--minutes`` will look, from a few pictures of the video.

The yardstick is the mean PSNR of every frame of the source, at the size of the pictures. Three
errors add up: of the networks, of frames that are smaller than the yardstick, and of frames that
are left out. How the first follows from the pictures was fitted to long trainings, with a root mean
square error of 2 dB (bench/results/law.md), and how it changes with size and epochs to short ones
(bench/results/budgets_former_rules.md). The estimate is for comparing plans of one video; what
plans reached beside other settings is in bench/results/budgets.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor

from nerv_clip.metrics import psnr

RUN = 5  # consecutive pictures
MOST_DB = 60.0
LEVEL = (0.40, 0.72, -0.7)  # times detail, times motion, and constant: dB at `AT_SIZE`, `AT_EPOCHS`
AT_SIZE, AT_EPOCHS = 0.2, 20.0
LAW = (1.7, 1.3, 0.35, -0.15, -0.27)  # of size, epochs, both, and their squares, in octaves
LONG, GAIN = 300, 0.65  # with fewer train frames an epoch counts for less, by this power
EASIER = 1.0  # dB that networks gain on frames of half the width
HALVED = 4.0  # dB that smaller frames lose beyond half the width, each time they are halved
STATIC = (33.0, 0.045, 0.5)  # above this level in dB, size and epochs change less, at least by half
BETWEEN = 3.0  # dB by which a frame between two others is better known than from one of them


class Content(NamedTuple):
    """What makes a video hard, as means of PSNR in dB, at most 60.

    ``detail`` is that of pictures shrunk to half their width and enlarged again, ``motion`` that of
    a picture against the fourth after it, ``next_motion`` against the next.
    """

    detail: float
    motion: float
    next_motion: float

    def after(self, frames: float) -> float:
        """PSNR in dB of a frame against one so many frames later."""
        slope = min((self.motion - self.next_motion) / math.log2(RUN - 1), 0.0)
        return self.next_motion + slope * math.log2(frames)


def content_of(runs: Sequence[Tensor]) -> Content:
    """Measure runs of consecutive pictures, each uint8 (`RUN` or fewer, 3, H, W)."""
    detail, motion, near = [], [], []
    for run in runs:
        pictures = run.float() / 255
        half = [max(side // 2, 1) for side in pictures.shape[-2:]]
        small = F.interpolate(pictures, half, mode="area")
        again = F.interpolate(small, pictures.shape[-2:], mode="bicubic").clamp(0, 1)
        detail.append(_psnr(again, pictures))
        motion.append(_psnr(pictures[-1:], pictures[:1]))
        near.append(_psnr(pictures[1:], pictures[:-1]) if len(pictures) > 1 else MOST_DB)
    return Content(*(sum(values) / len(values) for values in (detail, motion, near)))


def expected_psnr(
    content: Content, *, size: float, epochs: float, train: float, smaller: float, step: int
) -> float:
    """Mean PSNR in dB of every frame of the source.

    Networks have ``size`` million parameters and are trained for ``epochs`` on ``train`` frames
    each. Every ``step``-th frame is kept, with the width of the pictures of ``content`` divided by
    ``smaller``.
    """
    halvings = math.log2(smaller)
    level = LEVEL[0] * content.detail + LEVEL[1] * content.motion + LEVEL[2] + EASIER * halvings
    start, slope, least = STATIC
    change = min(max(1 - slope * (level - start), least), 1.0)
    long = epochs * min(train / LONG, 1) ** GAIN
    errors = [_error(level + change * _law(size, long))]
    if halvings > 0:
        errors.append(_error(content.detail - HALVED * (halvings - 1)))
    if step > 1:
        known = content.after(max(step / 2, 1)) + BETWEEN
        errors.append(_error(known) * (step - 1) / step)
    return -10 * math.log10(sum(errors))


def _law(size: float, epochs: float) -> float:
    """PSNR in dB above that at `AT_SIZE` and `AT_EPOCHS`."""
    b, c, d, f, g = LAW
    s = min(math.log2(size / AT_SIZE), -b / (2 * g))  # where the fit would fall again
    e = min(math.log2(max(epochs, 0.1) / AT_EPOCHS), -(c + d * s) / (2 * f))
    return b * s + c * e + d * s * e + f * e * e + g * s * s


def _error(level: float) -> float:
    return float(10 ** (-min(level, MOST_DB) / 10))


def _psnr(a: Tensor, b: Tensor) -> float:
    return float(psnr(a, b).clamp(max=MOST_DB).mean())
