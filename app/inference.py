"""Calls of the network and its teacher. PyTorch is imported by the first call, not by a page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st
from numpy.typing import NDArray
from run_view import Pixels, RunView, Stamp, stamp, stored_reconstruction
from widgets import PageProgress

from nerv_clip import InputError, Run, frame_time

if TYPE_CHECKING:
    from nerv_clip import Video, VideoNetwork
    from nerv_clip.search import Library, TrainedRun

MOST_BYTES = 250_000_000  # a larger source video is not kept in memory


@st.cache_resource(max_entries=4, show_spinner="Loading the network…")
def _network(key: str, path: str) -> VideoNetwork:
    from nerv_clip import load_model

    return load_model(Path(path))


def network_of(view: RunView) -> VideoNetwork:
    """A run's network, cached by the hash of its checkpoint."""
    return _network(view.key, str(view.run.best))


def draw_frame(view: RunView, t: float) -> Pixels:
    """Decode the frame at a time in [0, 1]: uint8 (H, W, 3)."""
    import torch

    from nerv_clip.video.writer import to_pixels

    with torch.no_grad():
        return to_pixels(network_of(view)(torch.tensor([t], dtype=torch.float64)).frames[0])


def predicted_embedding(view: RunView, t: float) -> NDArray[np.float32]:
    """The predicted unit embedding (dim,) at a time in [0, 1]."""
    import torch

    with torch.no_grad():
        embedding = network_of(view).embed(torch.tensor([t], dtype=torch.float64))[0]
        return np.asarray(torch.nn.functional.normalize(embedding, dim=0).numpy(), np.float32)


def reconstruction(view: RunView, frame: int) -> Pixels:
    """The reconstruction of a frame, from the run's stream or else from the network."""
    stored = stored_reconstruction(view, frame)
    return draw_frame(view, frame_time(frame, view.frames)) if stored is None else stored


@st.cache_resource(max_entries=2, show_spinner="Reading the source video…")
def _source_video(key: str, at: Stamp, folder: str) -> Video | None:
    from nerv_clip.runs.inputs import load_run_video

    try:
        return load_run_video(Run(folder))
    except InputError:
        return None


def source_video(view: RunView) -> Video | None:
    """The source video; None if it is missing, was replaced by another one, or is too large."""
    video = view.config.video
    too_large = 3 * video.frames * video.height * video.width > MOST_BYTES
    path = Path(video.path)
    if too_large or not path.exists():
        return None
    return _source_video(view.key, stamp(path), str(view.run.path))


def source_frame(view: RunView, frame: int) -> Pixels | None:
    """A true frame from the source video (H, W, 3), or None as `source_video`."""
    from nerv_clip.video.writer import to_pixels

    video = source_video(view)
    return None if video is None else to_pixels(video.read([frame])[0])


@st.cache_resource(max_entries=4, show_spinner="Loading the teacher…")
def _searchable_run(key: str, path: str) -> TrainedRun:
    from nerv_clip import load_run

    return load_run(path, progress=PageProgress())


def searchable_run(view: RunView) -> TrainedRun:
    """A run to search, cached with its teacher."""
    return _searchable_run(view.key, str(view.run.path))


@st.cache_resource(max_entries=2, show_spinner="Loading the runs…")
def library_of(folders: tuple[str, ...], stamps: tuple[Stamp, ...]) -> Library:
    """All runs in some folders to search, cached until a checkpoint in ``stamps`` changes."""
    from nerv_clip.search import Library

    return Library(map(Path, folders), progress=PageProgress())
