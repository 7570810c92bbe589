"""Embeddings that are compared with the true ones: the prediction, and the baselines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

import numpy as np
import torch

from nerv_clip.evaluation.decoding import embed_times
from nerv_clip.evaluation.interpolation import interpolated, nearest
from nerv_clip.models.config import Architecture
from nerv_clip.models.encodings import build_encoding
from nerv_clip.models.nerv_clip import NeRVClip
from nerv_clip.models.segments import VideoArchitecture
from nerv_clip.models.video_network import VideoNetwork
from nerv_clip.similarity import Array, Values, unit
from nerv_clip.training.data import frame_times
from nerv_clip.verification.evidence import Evidence
from nerv_clip.verification.statistics import block_length, shuffled_blocks
from nerv_clip.verification.tables import COMPONENTS, CUBIC, PROCESS, head_bytes, tables

Kind = Literal["prediction", "chance", "trivial", "table", "informed"]
STRENGTHS = np.logspace(-6, 3, 19)  # of ridge regression, chosen by leave-one-out
RANDOM_DRAWS = 10  # of each random baseline
DRAWN = 50_000  # frames of all draws together: fewer draws of a longer video are as precise
ENCODED = 1024  # frames whose encoding is in memory at a time
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

    ``draws`` are arrays (T, D): one, or several for a random baseline, which are made as they are
    read. Rows are NaN for frames that have no embedding: nearest train frame and interpolation of a
    train frame that is alone in its shot. ``draws`` is None where the embeddings are not available,
    and ``missing`` is the reason. ``size`` are the bytes of the CLIP head, or of the train
    embeddings that a baseline stores; None where it stores none.
    """

    name: str
    kind: Kind
    draws: Iterable[Values] | None
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
    known = evidence.indices("all")
    length = max(1, min(block_length(true[known]) * count // len(known), count // 2))
    draws = range(min(max(DRAWN // count, 1), RANDOM_DRAWS))
    random = (unit(rng.standard_normal(true.shape)) for _ in draws)
    yield Embeddings("random unit vectors", "chance", random)
    shuffled = (predicted[rng.permutation(count)] for _ in draws)
    yield Embeddings("shuffled frame-embedding pairs", "chance", shuffled)
    # a shift of less than a block moves frames onto nearly equal ones
    shifts = np.unique(np.linspace(length, count - length, len(draws)).round().astype(int))
    shifted = (np.roll(predicted, shift, 0) for shift in shifts)
    yield Embeddings("temporal shuffle: circular shifts", "chance", shifted)
    blocks = (predicted[shuffled_blocks(count, length, rng)] for _ in draws)
    yield Embeddings("temporal shuffle: blocks", "chance", blocks)
    yield Embeddings(
        "untrained network", "chance", [untrained_embeddings(evidence.model.arch, seed)]
    )


def _trivial(evidence: Evidence) -> Iterator[Embeddings]:
    true, train = evidence.true, evidence.train
    mean = np.broadcast_to(true[train].mean(0), true.shape)
    yield Embeddings("mean train embedding", "trivial", [mean], size=4 * true.shape[1])
    size = 4 * len(train) * true.shape[1]  # float32, as a teacher gives them
    yield Embeddings(NEAREST, "trivial", [nearest(true, train, evidence.shots)], size=size)
    for name, spherical in ((LINEAR, False), (SPHERICAL, True)):
        yield Embeddings(
            name,
            "trivial",
            [interpolated(true, train, evidence.shots, spherical=spherical)],
            size=size,
        )


def _tables(evidence: Evidence, budget: int) -> Iterator[Embeddings]:
    """Tables of train embeddings, scored on the other frames only: train frames are NaN."""
    for name, table in tables(evidence.true, evidence.train, budget, evidence.shots):
        if table is None:
            yield Embeddings(name, "table", None, f"no such table in {budget:,} bytes")
            continue
        table.values[evidence.train] = np.nan
        yield Embeddings(name, "table", [table.values], TRAIN_STORED, table.size)
        del table  # before the next one is made


def _informed(evidence: Evidence) -> Iterator[Embeddings]:
    name = "ridge regression from the encoding"
    if evidence.model.arch.first.embed:
        yield Embeddings(name, "informed", [_ridge_in_segments(evidence)])
    else:
        yield Embeddings(name, "informed", None, "the network has no coordinate encoding")
    for name, key in TEACHER_ROWS.items():
        if key in evidence.stored:
            yield Embeddings(name, "informed", [unit(evidence.stored[key].astype(np.float64))])
        else:
            yield Embeddings(name, "informed", None, "needs the source video")


def _ridge_in_segments(evidence: Evidence) -> Array:
    """`ridge` from the encoding of each segment's own network, fitted to its own train frames."""
    found, every = np.empty_like(evidence.true), evidence.train
    for segment in evidence.model.arch.segments:
        own = slice(segment.first, segment.first + segment.frames)
        train = [i - own.start for i in every if own.start <= i < own.stop]
        features = time_features(segment.network)[: segment.frames]
        found[own] = ridge(features, evidence.true[own], train)
    return found


def ridge(features: Array, true: Array, train: list[int]) -> Array:
    """Ridge regression of ``true`` (T, D) from ``features`` (T, F), fitted to the train frames.

    Each train frame is predicted by a fit that leaves it out (computed from the hat matrix); the
    regularisation strength minimises the error of these predictions. The intercept is not
    regularised.
    """
    x, y = features - features[train].mean(0), true[train] - true[train].mean(0)
    u, s, v = np.linalg.svd(x[train], full_matrices=False)

    def errors(strength: float) -> Array:
        """Of the train frames, each left out."""
        shrink = s**2 / (s**2 + strength)
        leverage = (u**2 * shrink).sum(1, keepdims=True) + 1 / len(train)
        found: Array = (u * shrink) @ (u.T @ y)
        np.subtract(y, found, out=found)
        found /= np.maximum(1 - leverage, 1e-9)
        return found

    best = min(STRENGTHS, key=lambda strength: float(np.square(errors(strength)).mean()))
    found: Array = x @ (v.T @ ((s / (s**2 + best))[:, None] * (u.T @ y)))
    found[train] = y - errors(best)
    found += true[train].mean(0)
    return found


def time_features(arch: Architecture) -> Array:
    """The coordinate encoding of each frame, averaged over positions: (frames, F)."""
    encoding = build_encoding(arch.embed, arch.frames, arch.grid)
    assert encoding is not None  # noqa: S101 - asked for where there is one
    times = frame_times(arch.frames)
    chunks = [times[start : start + ENCODED] for start in range(0, len(times), ENCODED)]
    with torch.no_grad():
        parts = [encoding(chunk).double().mean((2, 3)) for chunk in chunks]
    return np.asarray(torch.cat(parts).numpy())


def untrained_embeddings(arch: VideoArchitecture, seed: int) -> Values:
    """Embeddings (T, D) of networks of the same architecture with random weights."""
    found = np.empty((arch.frames, arch.clip_dim), np.float32)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for segment in arch.segments:  # all networks together take much memory
            network = VideoNetwork.of(NeRVClip(segment.network, with_encoder=False)).eval()
            times = frame_times(segment.network.frames)[: segment.frames].numpy()
            found[segment.first : segment.first + segment.frames] = embed_times(network, times)
    return found
