"""What would score without having learned: the guesses that a prediction has to beat."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

import numpy as np
import torch

from nerv_clip.evaluation.decoding import embed_times
from nerv_clip.evaluation.interpolation import interpolated, nearest
from nerv_clip.models.encodings import build_encoding
from nerv_clip.models.nerv_clip import NeRVClip
from nerv_clip.similarity import Array, unit
from nerv_clip.verification.evidence import Evidence
from nerv_clip.verification.statistics import block_length, shuffled_blocks

Kind = Literal["prediction", "chance", "trivial", "informed"]
STRENGTHS = np.logspace(-6, 3, 19)  # of the ridge, among which leave-one-out chooses
DRAWS = 10  # of each guess that is random
STORED = {  # rows that the teacher's view of the frames gives, under their names in the run
    "teacher on the pixel blend": "blend",
    "teacher on the reconstruction": "reconstruction",
    "teacher's ceiling (frame slightly cropped, JPEG)": "perturbed",
}
PREDICTION, NEAREST = "prediction", "nearest train frame"
LINEAR, SPHERICAL = "linear interpolation", "spherical interpolation"


class Candidate(NamedTuple):
    """A guess at the true embeddings (T, D), once or, where it is random, several times.

    Frames that cannot be guessed (of a video with one train frame) are NaN. ``missing`` says why
    there is none.
    """

    name: str
    kind: Kind
    values: list[Array]
    missing: str = ""


def candidates(evidence: Evidence, seed: int = 0) -> Iterator[Candidate]:
    """The prediction and all that it is compared with, from the poorest to the best informed."""
    true, predicted, train = evidence.true, evidence.predicted, evidence.train
    rng = np.random.default_rng(seed)
    count = len(true)
    length = block_length(true)
    yield Candidate(PREDICTION, "prediction", [predicted])
    drawn = [unit(rng.standard_normal(true.shape)) for _ in range(DRAWS)]
    yield Candidate("random unit vectors", "chance", drawn)
    drawn = [predicted[rng.permutation(count)] for _ in range(DRAWS)]
    yield Candidate("shuffled frame-embedding pairs", "chance", drawn)
    apart = min(length, count // 2)  # a smaller shift leaves each near its own
    shifts = np.unique(np.linspace(apart, count - apart, DRAWS).round().astype(int))
    drawn = [np.roll(predicted, shift, 0) for shift in shifts]
    yield Candidate("temporal shuffle: circular shifts", "chance", drawn)
    drawn = [predicted[shuffled_blocks(count, length, rng)] for _ in range(DRAWS)]
    yield Candidate("temporal shuffle: blocks", "chance", drawn)
    yield Candidate(
        "untrained network", "chance", [untrained(evidence.model, evidence.times, seed)]
    )
    mean = np.repeat(true[train].mean(0, keepdims=True), count, 0)
    yield Candidate("mean train embedding", "trivial", [mean])
    yield Candidate(NEAREST, "trivial", [nearest(true, train)])
    yield Candidate(LINEAR, "trivial", [interpolated(true, train, spherical=False)])
    yield Candidate(SPHERICAL, "trivial", [interpolated(true, train, spherical=True)])
    features = time_features(evidence.model, evidence.times)
    name = "ridge regression from the encoding"
    if features is None:
        yield Candidate(name, "informed", [], "no coordinate encoding: --embed ''")
    else:
        yield Candidate(name, "informed", [ridge(features, true, train)])
    for name, key in STORED.items():
        stored = evidence.stored.get(key)
        missing = "" if stored is not None else "needs the source video"
        yield Candidate(name, "informed", [] if stored is None else [stored], missing)


def ridge(features: Array, true: Array, train: list[int]) -> Array:
    """Ridge regression from features (T, F), its strength by leave-one-out over train frames.

    A train frame is predicted without itself (by the hat matrix), so that none is merely recalled.
    The intercept is not shrunk.
    """
    x, y = features - features[train].mean(0), true[train] - true[train].mean(0)
    u, s, v = np.linalg.svd(x[train], full_matrices=False)
    errors: list[float] = []
    answers: list[Array] = []
    for strength in STRENGTHS:
        shrink = s**2 / (s**2 + strength)
        fitted = (u * shrink) @ (u.T @ y)
        leverage = (u**2 * shrink).sum(1, keepdims=True) + 1 / len(train)
        left_out = y - (y - fitted) / np.maximum(1 - leverage, 1e-9)
        candidate = x @ (v.T @ ((s / (s**2 + strength))[:, None] * (u.T @ y)))
        candidate[train] = left_out
        errors.append(float(((y - left_out) ** 2).mean()))
        answers.append(candidate)
    best = answers[int(np.argmin(errors))]
    best += true[train].mean(0)
    return best


def time_features(model: NeRVClip, times: Array) -> Array | None:
    """The coordinate encoding at each time, averaged over the cells: (T, F); None without one."""
    encoding = build_encoding(model.arch.embed, model.arch.frames, model.arch.grid)
    if encoding is None:
        return None
    with torch.no_grad():
        values = encoding(torch.from_numpy(times))
    return np.asarray(values.double().mean((2, 3)).numpy())


def untrained(model: NeRVClip, times: Array, seed: int) -> Array:
    """Embeddings of a network of the same architecture whose weights have learned nothing."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        fresh = NeRVClip(model.arch, with_encoder=False).eval()
    return np.asarray(embed_times(fresh, times).double().numpy())
