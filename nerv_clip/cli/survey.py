"""Look at some pictures of a video before it is read: how long reading takes, and what it shows."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nerv_clip.cli.quality import RUN, Content, content_of
from nerv_clip.video.reader import pictures, runs_of_pictures
from nerv_clip.video.spec import VideoSpec
from nerv_clip.video.video import fit

READ = 12  # pictures that are decoded to measure how long reading takes
PLACES = (0.1, 0.3, 0.5, 0.7, 0.9)  # shares of the range, at which pictures are compared


@dataclass(frozen=True)
class Source:
    """A video before it is read: the number of frames in the range, and the seconds of reading.

    ``typical`` is a frame as large as the source, uint8 (3, H, W); ``content`` was measured at the
    size of the yardstick.
    """

    frames: int
    reading: float
    typical: Tensor
    content: Content


def survey(spec: VideoSpec, yardstick: Callable[[Tensor], VideoSpec]) -> Source:
    """Decode some pictures from the beginning and, where the source allows, from its whole range.

    ``yardstick`` gives the part and the size at which pictures are compared, for a frame of the
    source. Raises `InputError` where the source cannot be read.
    """
    whole, clock = replace(spec, resize=None), [time.perf_counter()]
    opening: deque[NDArray[np.uint8]] = deque(maxlen=RUN)
    for picture in pictures(spec.path, spec.stream):
        fit(picture.pixels, whole)
        clock.append(time.perf_counter())
        opening.append(picture.pixels)
        if len(clock) > READ:
            break
    first, count = clock[1] - clock[0], len(clock) - 1
    each = (clock[-1] - clock[1]) / max(count - 1, 1)
    total = max(picture.expected or count, count)
    if picture.expected:
        spec.check_reach(picture.expected)
    end = total if spec.end is None else min(spec.end, total)
    shares = [(spec.start + place * (end - spec.start)) / total for place in PLACES]
    runs, typical = [], [fit(opening[-1], whole)]
    size = yardstick(typical[0])
    for run in runs_of_pictures(spec.path, spec.stream, shares, RUN):
        if len({pixels.shape for pixels in run}) == 1:
            runs.append(torch.stack([fit(pixels, size) for pixels in run]))
            typical.append(fit(run[-1], whole))
    if not runs and len({pixels.shape for pixels in opening}) == 1:
        runs.append(torch.stack([fit(pixels, size) for pixels in opening]))
    return Source(
        max(end - spec.start, 1), first + each * end, typical[len(typical) // 2], content_of(runs)
    )
