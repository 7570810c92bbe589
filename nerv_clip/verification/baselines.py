"""Embeddings that are compared with the true ones: the prediction, and the baselines."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

import numpy as np
import torch

from nerv_clip.evaluation.decoding import embed_times
from nerv_clip.evaluation.interpolation import interpolated, nearest
from nerv_clip.models.config import Architecture
from nerv_clip.models.encodings import build_encoding
from nerv_clip.models.nerv_clip import NeRVClip
from nerv_clip.models.video_network import VideoNetwork
from nerv_clip.similarity import Array, unit
from nerv_clip.training.data import frame_times
from nerv_clip.verification.evidence import Evidence
from nerv_clip.verification.statistics import block_length, shuffled_blocks
from nerv_clip.verification.tables import COMPONENTS, CUBIC, PROCESS, head_bytes, tables

Kind = Literal["prediction", "chance", "trivial", "table", "informed"]
STRENGTHS = np.logspace(-6, 3, 19)  # of ridge regression, chosen by leave-one-out
RANDOM_DRAWS = 10  # of each random baseline
PREDICTION, NEAREST = "prediction", "nearest train frame"
LINEAR, SPHERICAL = "linear interpolation", "spherical interpolation"
INTERPOLATIONS = (LINEAR, SPHERICAL, COMPONENTS, CUBIC, PROCESS)  # what the verdict compares with
TRAIN_STORED = "stores the train frames"  # so that only the other frames are scored
TEACHER_ROWS = {  # the teacher's embeddings of other frames: their keys in `Evidence.stored`
    "teacher on the pixel blend": "blend",
    "teacher on the reconstruction": "reconstruction",
    "teacher's ceiling (frame slightly cropped, JPEG)": "perturbed",
}


class Embeddings(NamedTuple):
    """Embeddings of all frames that are compared with the true ones.

    ``draws`` are arrays (T, D): one, or several for a random baseline. Rows are NaN for frames
    that have no embedding: nearest train frame and interpolation of a train frame that is alone in
    its shot.
    ``draws`` is empty where the embeddings are not available, and ``missing`` is the reason.
    ``size`` are the bytes of the CLIP head, or of the train embeddings that a baseline stores; None
    where it stores none.
    """

    name: str
    kind: Kind
    draws: list[Array]
    missing: str = ""
    size: int | None = None


COMPARED = 17  # that `prediction_and_baselines` yields


def prediction_and_baselines(evidence: Evidence, seed: int = 0) -> Iterator[Embeddings]:
    """The prediction, then the baselines: by chance, trivial, tables, informed.

    Chance baselines carry no information about individual frames. Trivial ones and tables use the
    true embeddings of the train frames only; tables take at most the bytes of the CLIP head.
    Informed ones also use the coordinate encoding, or pixels.
    """
    budget = head_bytes(evidence.model, evidence.config.train.bits)
    yield Embeddings(PREDICTION, "prediction", [evidence.predicted], size=budget)
    yield from _chance(evidence, seed)
    yield from _trivial(evidence)
    yield from _tables(evidence, budget)
    yield from _informed(evidence)


def _chance(evidence: Evidence, seed: int) -> Iterator[Embeddings]:
    true, predicted, count = evidence.true, evidence.predicted, len(evidence.true)
    rng = np.random.default_rng(seed)
    length = block_length(true)
    draws = [unit(rng.standard_normal(true.shape)) for _ in range(RANDOM_DRAWS)]
    yield Embeddings("random unit vectors", "chance", draws)
    draws = [predicted[rng.permutation(count)] for _ in range(RANDOM_DRAWS)]
    yield Embeddings("shuffled frame-embedding pairs", "chance", draws)
    least = min(length, count // 2)  # a smaller shift moves frames onto nearly equal ones
    shifts = np.unique(np.linspace(least, count - least, RANDOM_DRAWS).round().astype(int))
    draws = [np.roll(predicted, shift, 0) for shift in shifts]
    yield Embeddings("temporal shuffle: circular shifts", "chance", draws)
    draws = [predicted[shuffled_blocks(count, length, rng)] for _ in range(RANDOM_DRAWS)]
    yield Embeddings("temporal shuffle: blocks", "chance", draws)
    untrained = untrained_embeddings(evidence.model, evidence.times, seed)
    yield Embeddings("untrained network", "chance", [untrained])


def _trivial(evidence: Evidence) -> Iterator[Embeddings]:
    true, train = evidence.true, evidence.train
    mean = np.repeat(true[train].mean(0, keepdims=True), len(true), 0)
    yield Embeddings("mean train embedding", "trivial", [mean], size=4 * true.shape[1])
    size = 4 * true[train].size  # float32, as a teacher gives them
    yield Embeddings(NEAREST, "trivial", [nearest(true, train, evidence.shots)], size=size)
    for name, spherical in ((LINEAR, False), (SPHERICAL, True)):
        values = interpolated(true, train, evidence.shots, spherical=spherical)
        yield Embeddings(name, "trivial", [values], size=size)


def _tables(evidence: Evidence, budget: int) -> Iterator[Embeddings]:
    """Tables of train embeddings, scored on the other frames only: train frames are NaN."""
    for name, table in tables(evidence.true, evidence.train, budget, evidence.shots):
        if table is None:
            yield Embeddings(name, "table", [], f"no such table in {budget:,} bytes")
            continue
        table.values[evidence.train] = np.nan
        yield Embeddings(name, "table", [table.values], TRAIN_STORED, table.size)


def _informed(evidence: Evidence) -> Iterator[Embeddings]:
    name = "ridge regression from the encoding"
    if evidence.model.arch.first.embed:
        yield Embeddings(name, "informed", [_ridge_in_segments(evidence)])
    else:
        yield Embeddings(name, "informed", [], "the network has no coordinate encoding")
    for name, key in TEACHER_ROWS.items():
        if key in evidence.stored:
            yield Embeddings(name, "informed", [evidence.stored[key]])
        else:
            yield Embeddings(name, "informed", [], "needs the source video")


def _ridge_in_segments(evidence: Evidence) -> Array:
    """`ridge` from the encoding of each segment's own network, fitted to its own train frames."""
    parts = []
    for segment in evidence.model.arch.segments:
        own = slice(segment.first, segment.first + segment.frames)
        train = [i - own.start for i in evidence.train if own.start <= i < own.stop]
        features = time_features(segment.network)[: segment.frames]
        parts.append(ridge(features, evidence.true[own], train))
    return np.concatenate(parts)


def ridge(features: Array, true: Array, train: list[int]) -> Array:
    """Ridge regression of ``true`` (T, D) from ``features`` (T, F), fitted to the train frames.

    Each train frame is predicted by a fit that leaves it out (computed from the hat matrix); the
    regularisation strength minimises the error of these predictions. The intercept is not
    regularised.
    """
    x, y = features - features[train].mean(0), true[train] - true[train].mean(0)
    u, s, v = np.linalg.svd(x[train], full_matrices=False)
    errors: list[float] = []
    predictions: list[Array] = []
    for strength in STRENGTHS:
        shrink = s**2 / (s**2 + strength)
        fitted = (u * shrink) @ (u.T @ y)
        leverage = (u**2 * shrink).sum(1, keepdims=True) + 1 / len(train)
        left_out = y - (y - fitted) / np.maximum(1 - leverage, 1e-9)
        predicted = x @ (v.T @ ((s / (s**2 + strength))[:, None] * (u.T @ y)))
        predicted[train] = left_out
        errors.append(float(((y - left_out) ** 2).mean()))
        predictions.append(predicted)
    best = predictions[int(np.argmin(errors))]
    best += true[train].mean(0)
    return best


def time_features(arch: Architecture) -> Array:
    """The coordinate encoding of each frame, averaged over positions: (frames, F)."""
    encoding = build_encoding(arch.embed, arch.frames, arch.grid)
    assert encoding is not None  # noqa: S101 - asked for where there is one
    with torch.no_grad():
        values = encoding(frame_times(arch.frames))
    return np.asarray(values.double().mean((2, 3)).numpy())


def untrained_embeddings(model: VideoNetwork, times: Array, seed: int) -> Array:
    """Embeddings (T, D) of networks of the same architecture with random weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        networks = [NeRVClip(s.network, with_encoder=False) for s in model.arch.segments]
    fresh = VideoNetwork(model.arch, networks).eval()
    return np.asarray(embed_times(fresh, times).double().numpy())
