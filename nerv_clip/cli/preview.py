"""What a training with a budget will read, before it is started."""

from __future__ import annotations

import time
from typing import NamedTuple

from nerv_clip.cli.forecast import estimate
from nerv_clip.cli.options import Options
from nerv_clip.cli.planning import check_plannable, plan_reading, with_plan
from nerv_clip.models.config import MAX_MODELSIZE
from nerv_clip.progress import SILENT, Progress
from nerv_clip.training.distributed import resolve_device


class PlanPreview(NamedTuple):
    """What a training with a budget will read, as far as it is known before the video is read.

    The source has ``source_frames`` in the range that was asked for, of ``source_height`` x
    ``source_width``. ``frames`` of ``height`` x ``width`` are kept of it, of which
    ``train_frames`` are trained and ``held_out`` held out. ``memory_bytes`` is about what training
    needs beside the libraries, as in `Estimate`. The networks and the number of epochs are planned
    later, when the shots are known.
    """

    source_frames: int
    source_height: int
    source_width: int
    frames: int
    height: int
    width: int
    train_frames: int
    held_out: int
    memory_bytes: int


def preview_plan(options: Options, progress: Progress = SILENT) -> PlanPreview:
    """What a training with ``minutes`` will read, chosen by `plan_reading`.

    The number of frames is taken from the container and may be off by a few. Raises `InputError`
    for what training would refuse.
    """
    assert options.minutes is not None  # noqa: S101 - the caller's to check
    check_plannable(options, 1)
    device = resolve_device(options.device)
    plan = plan_reading(options, options.minutes, time.monotonic(), device, progress)
    size = min(plan.choice.size * plan.segments, MAX_MODELSIZE)
    one = ["--modelsize", f"{size:.3g}", "--epochs", "1", "--pixel_loss_warmup_epochs", "0"]
    cost = estimate(with_plan(options, [*plan.flags, *one]))
    height, width = plan.source.typical.shape[1:]
    return PlanPreview(
        source_frames=plan.source.frames,
        source_height=height,
        source_width=width,
        frames=cost.frames,
        height=cost.height,
        width=cost.width,
        train_frames=cost.train_frames,
        held_out=cost.held_out,
        memory_bytes=cost.memory_bytes,
    )
