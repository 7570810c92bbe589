"""The stream that the player shows; it is drawn again if the run's is of another checkpoint."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st
from inference import network_of, source_video
from run_view import RunView, any_stream, own_stream, redrawn_stream
from widgets import PageProgress

from nerv_clip import InputError, frame_time
from nerv_clip.cache import cached
from nerv_clip.video.comparison import read_pairs

if TYPE_CHECKING:
    from torch import Tensor

KEPT = 8  # redrawn streams in the cache


def playable_stream(view: RunView) -> Path:
    """The stream of this checkpoint; if there is none, it is drawn first."""
    found = own_stream(view)
    if found is None:
        note = st.info("There is no video of this checkpoint yet. It is drawn, once.")
        found = cached(redrawn_stream(view), lambda _: own_stream(view), partial(_redraw, view))
        note.empty()
    return found


def _redraw(view: RunView, path: Path) -> None:
    from nerv_clip.video.writer import write_comparison

    for old in _newest_first(path.parent)[KEPT - 1 :]:
        old.unlink(missing_ok=True)
    fps = view.config.video.fps
    write_comparison(path, lambda chosen: _pairs(view, chosen), view.frames, fps, view.key)


def _newest_first(folder: Path) -> list[Path]:
    """The streams in the cache; another session may delete some at the same time."""
    found = []
    for path in folder.glob("*.mp4"):
        with suppress(OSError):
            found.append((path.stat().st_mtime, path))
    return [path for _, path in sorted(found, reverse=True)]


def _pairs(view: RunView, frames: Sequence[int]) -> Iterator[tuple[Tensor, Tensor]]:
    import torch

    model = network_of(view)
    with PageProgress().task("Drawing the frames", len(frames), "frame") as task:
        for frame, true in zip(frames, _true_frames(view, frames), strict=True):
            t = torch.tensor([frame_time(frame, view.frames)], dtype=torch.float64)
            with torch.no_grad():
                yield true, model(t).frames[0]
            task.advance()


def _true_frames(view: RunView, frames: Sequence[int]) -> Iterator[Tensor]:
    """From the source video, or else from an earlier checkpoint's stream of the same video."""
    import torch

    video, stream = source_video(view), any_stream(view)
    if video is not None:
        for frame in frames:
            yield video.read([frame])[0].float() / 255
    elif stream is not None:
        for pair in read_pairs(stream, frames, *view.size):
            yield torch.from_numpy(np.ascontiguousarray(pair.true)).permute(2, 0, 1).float() / 255
    else:
        raise InputError(
            f"{view.run.path} has no comparison.mp4, and {view.config.video.path} is not the "
            "video it was trained on: put the video there, or evaluate the run again (`evaluate`)"
        )
