"""What asks the network or its teacher; torch is imported when this is first called for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st
from numpy.typing import NDArray
from run_view import View, drawn_picture

from nerv_clip import InputError, frame_time

if TYPE_CHECKING:
    from nerv_clip import NeRVClip, Video
    from nerv_clip.search import Library, TrainedRun

Pixels = NDArray[np.uint8]
MOST_BYTES = 250_000_000  # of a source video that is kept to show its true frames


@st.cache_resource(max_entries=4, show_spinner="loading the network…")
def _model(key: str, path: str) -> NeRVClip:
    from nerv_clip import load_model

    return load_model(Path(path))


def model_of(view: View) -> NeRVClip:
    """A run's network, kept by its checkpoint's hash."""
    return _model(view.key, str(view.run.best))


def draw(view: View, t: float) -> Pixels:
    """What the network draws at a time in [0, 1]: uint8 (H, W, 3)."""
    import torch

    from nerv_clip.video.writer import to_pixels

    with torch.no_grad():
        return to_pixels(model_of(view)(torch.tensor([t], dtype=torch.float64)).frames[0])


def predicted_embedding(view: View, t: float) -> NDArray[np.float32]:
    """The unit embedding (dim,) that the CLIP head gives to a time in [0, 1]."""
    import torch

    with torch.no_grad():
        embedding = model_of(view).embed(torch.tensor([t], dtype=torch.float64))[0]
        return np.asarray(torch.nn.functional.normalize(embedding, dim=0).numpy(), np.float32)


def drawn(view: View, frame: int) -> Pixels:
    """The reconstruction of a frame: out of its stream, or by the network where there is none."""
    stored = drawn_picture(view, frame)
    return draw(view, frame_time(frame, view.frames)) if stored is None else stored


@st.cache_resource(max_entries=2, show_spinner="reading the source video…")
def _clip(key: str, path: str, spec: tuple[object, ...], digest: str) -> Video | None:
    from nerv_clip import VideoSpec, load_video

    video = load_video(VideoSpec(Path(path), *spec))  # type: ignore[arg-type]
    return video if video.hash == digest else None


def video_of(view: View) -> Video | None:
    """The source video, or None where it is not here any more, is another one, or too large."""
    from nerv_clip.cli.options import parse_size

    about, flags = view.config["clip"], view.config["flags"]
    large = 3 * about["frames"] * about["height"] * about["width"] > MOST_BYTES
    if large or not Path(about["path"]).exists():
        return None
    spec = (
        parse_size("--crop_list", flags["crop_list"]),
        parse_size("--resize_list", flags["resize_list"]),
        flags["vid_start"],
        flags["vid_end"],
        flags["vid_step"],
    )
    try:
        return _clip(view.key, about["path"], spec, about["hash"])
    except InputError:
        return None


def true_frame(view: View, frame: int) -> Pixels | None:
    """The true frame as the source has it, or None where the source is not here."""
    from nerv_clip.video.writer import to_pixels

    video = video_of(view)
    return None if video is None else to_pixels(video.read([frame])[0])


@st.cache_resource(max_entries=4, show_spinner="loading the teacher…")
def searchable(key: str, path: str) -> TrainedRun:
    """A run to ask, kept with its teacher."""
    from nerv_clip import load_run

    return load_run(path, start=progress)


@st.cache_resource(max_entries=2, show_spinner="loading the runs…")
def library_of(roots: tuple[str, ...], stamps: tuple[tuple[str, int, int], ...]) -> Library:
    """All runs below some folders to ask, kept as long as the checkpoints' stamps are these."""
    from nerv_clip.search import Library

    return Library(map(Path, roots), start=progress)


def progress(total: int, label: str) -> Callable[[int], object]:
    """A progress bar on the page, gone after the last step."""
    bar, done = st.progress(0.0, text=label), 0

    def notice(steps: int) -> None:
        nonlocal done
        done += steps
        bar.progress(min(done / max(total, 1), 1.0), text=label)
        if done >= total:
            bar.empty()

    return notice
