"""Run directories as the pages need them: read once, kept by what was read."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from nerv_clip import InputError, Run
from nerv_clip.evaluation.interpolation import interpolated
from nerv_clip.files import file_hash, user_cache
from nerv_clip.runs.arrays import read_array
from nerv_clip.video.comparison import Layout, read_layout, read_pairs, read_samples

Embeddings = NDArray[np.float32]
THUMBNAILS = 9


@dataclass(frozen=True)
class View:
    """A run that can be looked at: ``key`` changes with its checkpoint, and names all caches."""

    run: Run
    key: str
    config: dict[str, Any]
    metrics: dict[str, Any]
    per_frame: pd.DataFrame

    @property
    def frames(self) -> int:
        """How many frames the video has."""
        return len(self.per_frame)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of a frame."""
        return self.config["clip"]["height"], self.config["clip"]["width"]

    @property
    def seconds(self) -> list[float]:
        """The source's timestamp of each frame."""
        return [float(s) for s in self.config["clip"]["timestamps"]]

    @property
    def has_head(self) -> bool:
        """Whether it predicts embeddings."""
        return bool(self.config["architecture"]["clip_dim"])

    @property
    def teacher(self) -> str:
        """The name of its teacher; raises `InputError` where the run names none."""
        return str(self.run.read_teacher()["name"])

    def part(self, split: str) -> NDArray[np.intp]:
        """Frame indices of a split."""
        return np.flatnonzero((self.per_frame["split"] == split).to_numpy())


def stamp(path: Path) -> tuple[str, int, int]:
    """A file as a key: where, when written, how large."""
    about = path.stat()
    return str(path), about.st_mtime_ns, about.st_size


@st.cache_data(max_entries=64, show_spinner=False)
def _hash(at: tuple[str, int, int]) -> str:
    return file_hash(Path(at[0]))


def read_view(run: Run) -> View:
    """A finished run; raises `InputError` that says what is missing, and what to do."""
    config = run.read_config()
    if not {"architecture", "clip"} <= config.keys():
        raise InputError(f"{run.path} was written by an older version: train it again")
    if not run.best.exists() or not run.metrics.exists():
        raise InputError(
            f"{run.path} has no evaluated checkpoint yet: wait for its first evaluation"
        )
    try:
        metrics = json.loads(run.metrics.read_text())
        per_frame = pd.read_csv(run.per_frame)
    except (OSError, ValueError) as error:
        raise InputError(f"{run.path} is damaged ({error}): evaluate it with --eval_only") from None
    return View(run, _hash(stamp(run.best)), config, metrics, per_frame)


def history(view: View) -> pd.DataFrame:
    """Evaluations during training; empty where the run kept none."""
    path = view.run.history
    return pd.read_csv(path) if path.exists() else pd.DataFrame()


def verification(view: View) -> dict[str, Any] | None:
    """What a verification of this very checkpoint found, if one was run."""
    try:
        content: dict[str, Any] = json.loads(view.run.verification.read_text())
    except (OSError, ValueError):
        return None
    return content if content.get("checkpoint_hash") == view.key else None


@st.cache_data(max_entries=64, show_spinner=False)
def _layout(at: tuple[str, int, int], size: tuple[int, int]) -> Layout:
    return read_layout(Path(at[0]), *size)


def layout(view: View, stream: Path) -> Layout:
    """How a stream of a run's frames is laid out; raises `InputError` if it is damaged."""
    return _layout(stamp(stream), view.size)


@st.cache_data(max_entries=8, show_spinner=False)
def _samples(at: tuple[str, int, int]) -> dict[str, Any]:
    found = read_samples(Path(at[0]))
    return {**found._asdict(), "description": base64.b64encode(found.description).decode()}


def samples(stream: Path) -> dict[str, Any]:
    """Where its frames lie, as the browser takes it; raises `InputError` if it is damaged."""
    return _samples(stamp(stream))


def redrawn(view: View) -> Path:
    """Where a stream is kept that was drawn again, since the run's own is another checkpoint's."""
    return user_cache() / "streams" / f"{view.key}.mp4"


def stream(view: View) -> Path | None:
    """The stream that this very checkpoint drew, if there is one."""
    for path in (view.run.comparison, redrawn(view)):
        if path.exists() and layout(view, path).checkpoint == view.key:
            return path
    return None


def true_stream(view: View) -> Path | None:
    """A stream whose true frames are this run's; an earlier checkpoint's serves as well."""
    own = view.run.comparison
    return stream(view) or (own if own.exists() else None)


@st.cache_data(max_entries=8, show_spinner=False)
def _thumbnails(
    at: tuple[str, int, int], frames: int, size: tuple[int, int]
) -> list[tuple[int, NDArray[np.uint8]]]:
    middles = sorted({int((i + 0.5) * frames / THUMBNAILS) for i in range(THUMBNAILS)})
    pairs = read_pairs(Path(at[0]), middles, *size)
    return [(pair.frame, pair.true) for pair in pairs]


def thumbnails(view: View) -> list[tuple[int, NDArray[np.uint8]]]:
    """Some true frames, evenly over time, with their indices; none without a stream."""
    path = true_stream(view)
    return [] if path is None else _thumbnails(stamp(path), view.frames, view.size)


@st.cache_data(max_entries=256, show_spinner=False)
def _pair(
    at: tuple[str, int, int], frame: int, size: tuple[int, int]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    (pair,) = read_pairs(Path(at[0]), [frame], *size)
    return pair.true, pair.drawn


def true_picture(view: View, frame: int) -> NDArray[np.uint8] | None:
    """The true frame as a stream shows it, or None without one."""
    path = true_stream(view)
    return None if path is None else _pair(stamp(path), frame, view.size)[0]


def drawn_picture(view: View, frame: int) -> NDArray[np.uint8] | None:
    """The reconstruction as its stream shows it, or None without one."""
    path = stream(view)
    return None if path is None else _pair(stamp(path), frame, view.size)[1]


@st.cache_data(max_entries=8, show_spinner=False)
def _embeddings(at: tuple[str, int, int]) -> Embeddings:
    values = read_array(Path(at[0])).astype(np.float32)
    unit: Embeddings = values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-12)
    return unit


def embeddings(view: View, which: str) -> Embeddings:
    """``true`` or ``predicted`` unit embeddings (T, dim); raises `InputError` without them."""
    path = view.run.true if which == "true" else view.run.predicted
    if not path.exists():
        raise InputError(
            f"{view.run.path} stores no {which} embeddings: train it with --predict_clip"
            if which == "predicted"
            else f"{view.run.path} stores no true embeddings: evaluate it with --eval_only"
        )
    return _embeddings(stamp(path))


@st.cache_data(max_entries=8, show_spinner=False)
def _similarities(
    true_at: tuple[str, int, int], predicted_at: tuple[str, int, int], train: tuple[int, ...]
) -> pd.DataFrame:
    true, predicted = _embeddings(true_at), _embeddings(predicted_at)
    mean = true[list(train)].mean(0)
    between = interpolated(true.astype(np.float64), list(train), spherical=True)
    candidates = {"prediction": predicted, "mean": np.broadcast_to(mean, true.shape)}
    candidates["interpolation"] = between
    columns = {}
    for name, candidate in candidates.items():
        columns[name] = _cosine(candidate, true)
        columns[f"{name}, centred"] = _cosine(_unit(candidate) - mean, true - mean)
    return pd.DataFrame(columns)


def _unit(values: NDArray[np.floating]) -> NDArray[np.floating]:
    unit: NDArray[np.floating] = values / np.maximum(
        np.linalg.norm(values, axis=1, keepdims=True), 1e-12
    )
    return unit


def _cosine(a: NDArray[np.floating], b: NDArray[np.floating]) -> NDArray[np.floating]:
    products: NDArray[np.floating] = (_unit(a) * _unit(b)).sum(1)
    return products


def similarities(view: View) -> pd.DataFrame:
    """Each frame's cosine with its true embedding: of the prediction, the mean train embedding,
    and the interpolation of the neighbouring train frames (its own left out); raw and centred.
    """
    for which in ("true", "predicted"):
        embeddings(view, which)  # or it says what is missing
    train = tuple(int(i) for i in view.part("train"))
    return _similarities(stamp(view.run.true), stamp(view.run.predicted), train)
