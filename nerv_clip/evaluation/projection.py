"""Embeddings as points on a map: predicted and true ones projected together."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nerv_clip.errors import InputError
from nerv_clip.files import atomic_write, file_hash, make_folder, user_cache
from nerv_clip.runs.run import Run, read_array, read_arrays

Method = Literal["UMAP", "PCA"]
Array = NDArray[np.float64]


class Projection(NamedTuple):
    """How embeddings become points; the last two are UMAP's (see `project`)."""

    method: Method = "UMAP"
    neighbours: int = 30
    spread: float = 0.3


class _Stored(NamedTuple):
    """A map's file: ``key`` names the embeddings and the projection."""

    key: str
    true: Array
    predicted: Array


def load_map(run: Run, how: Projection) -> tuple[Array, Array]:
    """Points (T, 2) of a run's true and of its predicted embeddings, as `map_file` keeps them."""
    found = _stored(map_file(run, how))
    assert found is not None  # noqa: S101 - just read or written
    return found.true, found.predicted


def map_file(run: Run, how: Projection) -> Path:
    """Where the map of a run lies; fitted now if it lies nowhere yet.

    It is kept in the user's cache, since UMAP compiles itself for half a minute in each new
    process. A run that ships brings its first map. Raises `InputError` as `project` does, and for
    embeddings that cannot be read.
    """
    places = (run.true, run.predicted)
    about = repr((*how, *map(file_hash, places)))
    key = hashlib.sha256(about.encode()).hexdigest()[:32]
    kept = user_cache() / "maps" / f"{key}.npz"
    for path in (run.map, kept):
        found = _stored(path)
        if found is not None and found.key == key:
            return path
    true, predicted = project([read_array(place) for place in places], *how)
    make_folder(kept.parent)
    with atomic_write(kept) as temporary:
        np.savez(temporary, **_Stored(key, true, predicted)._asdict())
    return kept


def _stored(path: Path) -> _Stored | None:
    try:
        content = read_arrays(path)
        return _Stored(str(content["key"]), content["true"], content["predicted"])
    except (InputError, KeyError):
        return None


def project(
    groups: list[NDArray[np.floating]],
    method: Method = "UMAP",
    neighbours: int = 30,
    spread: float = 0.3,
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
