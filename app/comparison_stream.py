"""A stream for the player, drawn again where the run's own belongs to another checkpoint."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st
from inference import model_of, progress, video_of
from run_view import View, redrawn, stream, true_stream

from nerv_clip import InputError, frame_time
from nerv_clip.files import make_folder
from nerv_clip.video.comparison import read_pairs

if TYPE_CHECKING:
    from torch import Tensor

KEPT = 8  # streams that were drawn again


def playable(view: View) -> Path:
    """The stream of this checkpoint; drawn first, with its progress on the page, if need be."""
    if stream(view) is None:
        note = st.info("The pictures here are not this checkpoint's: they are drawn again, once.")
        _draw_again(view)
        note.empty()
    return stream(view) or redrawn(view)


def _draw_again(view: View) -> None:
    from nerv_clip.video.writer import write_comparison

    path = redrawn(view)
    others = sorted(make_folder(path.parent).glob("*.mp4"), key=lambda p: p.stat().st_mtime)
    for old in others[: -KEPT + 1]:
        old.unlink(missing_ok=True)
    fps = view.config["clip"]["fps"]
    write_comparison(path, lambda chosen: _pairs(view, chosen), view.frames, fps, view.key)


def _pairs(view: View, frames: Sequence[int]) -> Iterator[tuple[Tensor, Tensor]]:
    import torch

    model, notice = model_of(view), progress(len(frames), "drawing the frames…")
    for frame, true in zip(frames, _true(view, frames), strict=True):
        t = torch.tensor([frame_time(frame, view.frames)], dtype=torch.float64)
        with torch.no_grad():
            yield true, model(t).frames[0]
        notice(1)


def _true(view: View, frames: Sequence[int]) -> Iterator[Tensor]:
    """From the source; else out of the run's stream, whose true half is the same video's."""
    import torch

    video, earlier = video_of(view), true_stream(view)
    if video is not None:
        for frame in frames:
            yield video.read([frame])[0].float() / 255
    elif earlier is not None:
        for pair in read_pairs(earlier, frames, *view.size):
            yield torch.from_numpy(np.ascontiguousarray(pair.true)).permute(2, 0, 1).float() / 255
    else:
        raise InputError(
            f"{view.run.path} has no comparison.mp4, and its video is not at "
            f"{view.config['clip']['path']}: put it there, or evaluate the run with --eval_only"
        )
