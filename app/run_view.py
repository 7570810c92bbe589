"""Run directories as the pages show them: everything is read once and cached by file stamps."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from nerv_clip import InputError, Metrics, Run, RunConfig
from nerv_clip.evaluation.interpolation import interpolated
from nerv_clip.evaluation.results import COLUMNS
from nerv_clip.files import file_hash, user_cache
from nerv_clip.runs.arrays import read_array
from nerv_clip.similarity import Array, centred_cosine, cosine, present, unit
from nerv_clip.video.comparison import Layout, read_layout, read_pairs, read_samples
from nerv_clip.video.shots import Shots

Pixels = NDArray[np.uint8]
Stamp = tuple[str, int, int, int, int]
THUMBNAILS = 9


@dataclass(frozen=True)
class RunView:
    """An evaluated run; ``key`` is the hash of its checkpoint, which identifies all caches."""

    run: Run
    key: str
    config: RunConfig
    metrics: Metrics
    per_frame: pd.DataFrame

    @property
    def name(self) -> str:
        """The name of the run directory."""
        return self.run.path.name

    @property
    def frames(self) -> int:
        """Number of frames of the video."""
        return self.config.video.frames

    @property
    def shots(self) -> Shots:
        """The shots of the video."""
        return self.config.video.cuts

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of a frame in pixels."""
        return self.config.video.height, self.config.video.width

    @property
    def timestamps(self) -> tuple[float, ...]:
        """Time of each frame in the source, in seconds."""
        return self.config.video.timestamps

    @property
    def has_clip_head(self) -> bool:
        """Whether the network predicts embeddings."""
        return bool(self.config.architecture.clip_dim)

    @property
    def has_dense_head(self) -> bool:
        """Whether the network predicts embeddings of cells."""
        return bool(self.config.architecture.first.dense_dim)

    def frames_of(self, split: str) -> NDArray[np.intp]:
        """Frame indices of a split."""
        return np.flatnonzero((self.per_frame["split"] == split).to_numpy())


def stamp(path: Path) -> Stamp:
    """Path, inode, size and times of change of a file: a key for caches.

    Programs can set the time of the content (mtime), but not that of the inode (ctime). Raises
    `InputError` where the file is gone, as when its run is deleted while a page is drawn.
    """
    try:
        about = path.stat()
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror})") from None
    return str(path), about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns


@st.cache_data(max_entries=64, show_spinner=False)
def _hash(at: Stamp) -> str:
    return file_hash(Path(at[0]))


def read_view(run: Run) -> RunView:
    """Read an evaluated run; raises `InputError` if files are missing or damaged."""
    config = _config(stamp(run.config), str(run.path)) if run.config.exists() else run.read_config()
    if not run.best.exists() or not run.metrics.exists():
        raise InputError(
            f"{run.path} has no evaluated checkpoint yet: wait for its first evaluation"
        )
    per_frame = _per_frame(stamp(run.per_frame), str(run.path))
    if len(per_frame) != config.video.frames or not set(COLUMNS) <= set(per_frame):
        raise InputError(
            f"{run.per_frame} does not match the run: evaluate the run again (`evaluate`)"
        )
    return RunView(run, _hash(stamp(run.best)), config, run.read_metrics(), per_frame)


@st.cache_resource(max_entries=16, show_spinner=False)
def _config(at: Stamp, path: str) -> RunConfig:
    return Run(path).read_config()


@st.cache_resource(max_entries=16, show_spinner=False)
def _per_frame(at: Stamp, path: str) -> pd.DataFrame:
    """The table of a run, which pages share: they copy it to change it."""
    return Run(path).read_per_frame()


@st.cache_data(max_entries=64, show_spinner=False)
def _layout(at: Stamp, size: tuple[int, int]) -> Layout:
    return read_layout(Path(at[0]), *size)


def stream_layout(view: RunView, stream: Path) -> Layout:
    """The layout of a stream of a run's frames; raises `InputError` if it is damaged."""
    return _layout(stamp(stream), view.size)


@st.cache_data(max_entries=8, show_spinner=False)
def _samples(at: Stamp) -> dict[str, object]:
    found = read_samples(Path(at[0]))
    return {**found._asdict(), "description": base64.b64encode(found.description).decode()}


def stream_samples(stream: Path) -> dict[str, object]:
    """`read_samples` of a stream as JSON values; raises `InputError` if it is damaged."""
    return _samples(stamp(stream))


def redrawn_stream(view: RunView) -> Path:
    """The path of a stream that the app draws if the run's own is of another checkpoint."""
    return user_cache() / "streams" / f"{view.key}.mp4"


def own_stream(view: RunView) -> Path | None:
    """The stream that was drawn by exactly this checkpoint, if there is one."""
    for path in (view.run.comparison, redrawn_stream(view)):
        if is_complete(view, path) and stream_layout(view, path).checkpoint == view.key:
            return path
    return None


def any_stream(view: RunView) -> Path | None:
    """A stream with the true frames of the run's video, from any checkpoint of the run."""
    stored = view.run.comparison
    return own_stream(view) or (stored if is_complete(view, stored) else None)


def is_complete(view: RunView, stream: Path) -> bool:
    """Whether a file is a stream of all frames of the run's video, none of them cut off."""
    try:
        coded, layout = stream_samples(stream)["sizes"], stream_layout(view, stream)
    except (OSError, InputError):
        return False
    return isinstance(coded, list) and len(coded) == layout.frames == view.frames


def frames_of_shots(shots: Shots, count: int) -> list[int]:
    """At most ``count`` frames that show the video: in the middle of equal parts of its shots.

    Every shot has a part, and longer ones have more; of more than ``count`` shots, those at even
    intervals have one.
    """
    ranges = shots.ranges()
    if len(ranges) > count:
        middles = (int((i + 0.5) * shots.frames / count) for i in range(count))
        ranges = [ranges[shot] for shot in sorted({shots.of(middle) for middle in middles})]
    parts = [1] * len(ranges)
    while sum(parts) < count:
        parts[max(range(len(ranges)), key=lambda shot: len(ranges[shot]) / parts[shot])] += 1
    return sorted(
        {
            own.start + int((i + 0.5) * len(own) / among)
            for own, among in zip(ranges, parts, strict=True)
            for i in range(among)
        }
    )


@st.cache_data(max_entries=8, show_spinner=False)
def _pictures(
    at: Stamp, frames: tuple[int, ...], size: tuple[int, int]
) -> list[tuple[int, Pixels]]:
    return [(pair.frame, pair.true) for pair in read_pairs(Path(at[0]), frames, *size)]


def thumbnails(view: RunView) -> list[tuple[int, Pixels]]:
    """True frames of all parts of the video, with their indices; empty without a stream."""
    path, frames = any_stream(view), tuple(frames_of_shots(view.shots, THUMBNAILS))
    return [] if path is None else _pictures(stamp(path), frames, view.size)


@st.cache_data(max_entries=256, show_spinner=False)
def _pair(at: Stamp, frame: int, size: tuple[int, int]) -> tuple[Pixels, Pixels]:
    (pair,) = read_pairs(Path(at[0]), [frame], *size)
    return pair.true, pair.drawn


def stored_true_frame(view: RunView, frame: int) -> Pixels | None:
    """A true frame from a stream (H, W, 3); None without one."""
    path = any_stream(view)
    return None if path is None else _pair(stamp(path), frame, view.size)[0]


def stored_reconstruction(view: RunView, frame: int) -> Pixels | None:
    """A reconstruction from the checkpoint's stream (H, W, 3); None without one."""
    path = own_stream(view)
    return None if path is None else _pair(stamp(path), frame, view.size)[1]


@st.cache_data(max_entries=8, show_spinner=False)
def _embeddings(at: Stamp) -> Array:
    return unit(read_array(Path(at[0])).astype(np.float64))


def _embedding_files(view: RunView) -> tuple[Stamp, Stamp]:
    """Stamps of the true and the predicted embeddings; raises `InputError` without them."""
    if not view.run.predicted.exists():
        raise InputError(f"{view.run.path} has no predicted embeddings: train with `predict_clip`")
    if not view.run.true.exists():
        raise InputError(
            f"{view.run.path} has no true embeddings: evaluate the run again (`evaluate`)"
        )
    return stamp(view.run.true), stamp(view.run.predicted)


def embeddings(view: RunView) -> tuple[Array, Array]:
    """True and predicted unit embeddings, (T, dim) each; raises `InputError` without them.

    True ones are NaN for frames that the teacher did not embed.
    """
    true, predicted = _embedding_files(view)
    return _embeddings(true), _embeddings(predicted)


@st.cache_data(max_entries=8, show_spinner=False)
def _similarities(
    true_at: Stamp, predicted_at: Stamp, train: tuple[int, ...], firsts: tuple[int, ...]
) -> pd.DataFrame:
    true, predicted = _embeddings(true_at), _embeddings(predicted_at)
    embedded = present(true)
    train = tuple(index for index in train if embedded[index])
    mean = true[list(train)].mean(0)
    shots = Shots(len(true), firsts)
    candidates = {
        "prediction": predicted,
        "mean": np.repeat(mean[None], len(true), 0),
        "interpolation": interpolated(true, train, shots, spherical=True),
    }
    columns = {}
    for name, values in candidates.items():
        columns[name] = cosine(values, true)
        columns[f"{name}, centred"] = centred_cosine(values, true, mean)
    return pd.DataFrame(columns)


def similarities(view: RunView) -> pd.DataFrame:
    """Cosine similarity to the true embedding, a row for each frame.

    Columns: ``prediction``, and the baselines ``mean`` (mean train embedding) and
    ``interpolation`` (spherical, between the neighbouring train frames of a shot; a train frame is
    not its own neighbour, and without another one it has NaN); each also with ``, centred`` as in
    `centred_cosine`. A frame that the teacher did not embed has NaN in all columns.
    """
    train = tuple(int(i) for i in view.frames_of("train"))
    return _similarities(*_embedding_files(view), train, view.shots.firsts)
