"""Recognise the video that a run was trained on: by its hash, or else by what its frames show.

A video that is rendered or decoded on another machine may differ in the last digit of some pixels,
and has another hash then. Its frames are compared with the true frames in the run's
``comparison.mp4``. That stream is lossy, so the comparison is between mean colours of small cells,
which a codec keeps and which another frame, another crop or another video changes.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from nerv_clip.errors import InputError
from nerv_clip.progress import SILENT, Progress
from nerv_clip.runs.config import RunConfig
from nerv_clip.runs.run import Run
from nerv_clip.video.comparison import Pixels, read_pairs
from nerv_clip.video.video import Video

CELL = 8  # pixels a side
TOLERANCE = 12  # of 255 levels, for the mean of a cell in any frame


def check_video(video: Video, run: Run, progress: Progress = SILENT) -> None:
    """Raise `InputError` where a video is not the one that a run was trained on.

    The same hash is the same video. With another hash, the video must have the same number of
    frames and the same size, and in every frame and colour the mean of each cell of `CELL` x
    `CELL` pixels must be within `TOLERANCE` levels of that in ``comparison.mp4``; a message says
    so. Without a ``comparison.mp4`` that can be read, only the hash counts.
    """
    config = run.read_config()
    if video.hash == config.video.hash:
        return
    difference = _difference(video, run, config, progress)
    if difference:
        raise InputError(
            f"the video is not the one that the run was trained on ({difference}): give "
            f"{config.video.path}, with the crop, size and range of the run"
        )
    progress.message(
        "note: some pixels differ slightly from those of the video that the run was trained on; "
        "its frames are the same within the tolerance"
    )


def _difference(video: Video, run: Run, config: RunConfig, progress: Progress) -> str:
    """What distinguishes a video from the run's; empty if all frames are within the tolerance."""
    shape = (len(video), video.height, video.width)
    wanted = (config.video.frames, config.video.height, config.video.width)
    if shape != wanted:
        return "{} frames of {}x{}, the run has {} of {}x{}".format(*shape, *wanted)
    frames = range(len(video))
    try:
        pairs = read_pairs(run.comparison, frames, video.height, video.width)
        with progress.task(f"comparing with {run.comparison.name}", len(video), "frame") as task:
            for pair in pairs:
                found = _largest_difference(video.read([pair.frame])[0], pair.true)
                if found > TOLERANCE:
                    return (
                        f"frame {pair.frame} differs by up to {found:.0f} of 255 levels in cells "
                        f"of {CELL}x{CELL} pixels, {TOLERANCE} are allowed"
                    )
                task.advance()
    except InputError:
        return f"its hash differs, and the run has no readable {run.comparison.name} to compare it"
    return ""


def _largest_difference(frame: Tensor, stored: Pixels) -> float:
    """Between the mean colours of cells, in levels.

    ``frame`` is uint8 (3, H, W); ``stored`` shows the same at (h, w, 3), perhaps shrunk.
    """
    grid = (-(-stored.shape[0] // CELL), -(-stored.shape[1] // CELL))
    other = torch.tensor(stored).permute(2, 0, 1)
    means = [adaptive_avg_pool2d(pixels.cpu().float(), grid) for pixels in (frame, other)]
    return float((means[0] - means[1]).abs().max())
