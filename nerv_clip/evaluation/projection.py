"""Project embeddings to two dimensions, predicted and true ones together."""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from nerv_clip.errors import InputError

Method = Literal["UMAP", "PCA"]
Array = NDArray[np.float64]


class Projection(NamedTuple):
    """How embeddings are projected; ``neighbours`` and ``min_distance`` are UMAP's (`project`)."""

    method: Method = "UMAP"
    neighbours: int = 30
    min_distance: float = 0.3


def project(
    groups: list[NDArray[np.floating]],
    method: Method = "UMAP",
    neighbours: int = 30,
    min_distance: float = 0.3,
    seed: int = 0,
) -> list[Array]:
    """Points (N, 2) of each group of embeddings (N, dim), all fitted in one projection.

    ``UMAP`` (McInnes et al., 2018) preserves neighbourhoods by cosine distance: ``neighbours`` of
    each point, from 2 to the number of points less one, and ``min_distance`` between points, in
    [0, 1]. ``PCA`` preserves the directions of largest variance. The same input gives the same
    points. Raises `InputError` for fewer than 4 points, and for parameters out of range.
    """
    everything = np.concatenate([np.asarray(group, np.float64) for group in groups])
    everything /= np.maximum(np.linalg.norm(everything, axis=1, keepdims=True), 1e-12)
    count = len(everything)
    if count < 4:
        raise InputError(f"a map needs at least 4 points, not {count}")
    if method not in get_args(Method):
        raise InputError(f"`method` {method} is unknown: choose from {', '.join(get_args(Method))}")
    if method == "PCA":
        centred = everything - everything.mean(0)
        left, values, _ = np.linalg.svd(centred, full_matrices=False)
        points = left[:, :2] * values[:2]
    else:
        if not 2 <= neighbours < count:
            raise InputError(f"`neighbours` {neighbours}: give 2 to {count - 1}")
        if not 0 <= min_distance <= 1:
            raise InputError(f"`min_distance` {min_distance}: give 0 to 1")
        import umap  # takes seconds

        fitted = umap.UMAP(
            n_neighbors=neighbours,
            min_dist=min_distance,
            metric="cosine",
            random_state=seed,
            n_jobs=1,  # UMAP warns otherwise: with a seed it uses one
            init="pca" if count > 5000 else "spectral",
        )
        points = np.asarray(fitted.fit_transform(everything), np.float64)
    ends = np.cumsum([len(group) for group in groups])[:-1]
    return np.split(points, ends)
