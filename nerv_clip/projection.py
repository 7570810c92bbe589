"""Embeddings as points on a map: predicted and true ones projected together."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nerv_clip.errors import InputError

Method = Literal["UMAP", "PCA"]
Array = NDArray[np.float64]


def project(
    groups: list[NDArray[np.floating]],
    method: Method = "UMAP",
    *,
    neighbours: int = 15,
    spread: float = 0.1,
    seed: int = 0,
) -> list[Array]:
    """Points (N, 2) of each group of embeddings (N, dim), all fitted in one map.

    ``UMAP`` (McInnes et al., 2018) keeps neighbourhoods by cosine: ``neighbours`` a point, from 2
    to one less than there are, ``spread`` the least distance between points in [0, 1]. ``PCA``
    keeps directions of variance. The same input gives the same map. Raises `InputError` where
    there are fewer than 4 points, or parameters are out of range.
    """
    everything = np.concatenate([np.asarray(group, np.float64) for group in groups])
    everything /= np.maximum(np.linalg.norm(everything, axis=1, keepdims=True), 1e-12)
    count = len(everything)
    if count < 4:
        raise InputError(f"a map of {count} points says nothing: 4 are the least")
    if method == "PCA":
        centred = everything - everything.mean(0)
        left, values, _ = np.linalg.svd(centred, full_matrices=False)
        points = left[:, :2] * values[:2]
    else:
        if not 2 <= neighbours < count or not 0 <= spread <= 1:
            raise InputError(
                f"UMAP takes 2 to {count - 1} neighbours here, and a least distance from 0 to 1"
            )
        import umap  # takes seconds

        fitted = umap.UMAP(
            n_neighbors=neighbours,
            min_dist=spread,
            metric="cosine",
            random_state=seed,
            n_jobs=1,  # or it would warn: a seed allows one
            init="pca" if count > 5000 else "spectral",
        )
        points = np.asarray(fitted.fit_transform(everything), np.float64)
    ends = np.cumsum([len(group) for group in groups])[:-1]
    return np.split(points, ends)
