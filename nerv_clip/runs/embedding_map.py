"""A run's embeddings as points of a map, kept in a cache because fitting takes long."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nerv_clip.cache import cached
from nerv_clip.errors import InputError
from nerv_clip.evaluation.projection import Array, Projection, project
from nerv_clip.files import atomic_write, file_hash, user_cache
from nerv_clip.runs.arrays import read_array, read_arrays
from nerv_clip.runs.run import Run
from nerv_clip.similarity import present


class _Found(NamedTuple):
    """A map (T, 2) of the true and of the predicted embeddings, and its file."""

    path: Path
    true: Array
    predicted: Array


def load_map(run: Run, projection: Projection) -> tuple[Array, Array]:
    """Points (T, 2) of a run's true and predicted embeddings; fitted if `map_file` has none.

    True points are NaN for frames that the teacher did not embed.
    """
    found = _find(run, projection)
    return found.true, found.predicted


def map_file(run: Run, projection: Projection) -> Path:
    """The file with a run's map, which is fitted first if there is none yet.

    Maps are kept in the user's cache, since UMAP compiles for half a minute in each new process.
    A shipped run brings the map with the default parameters. Raises `InputError` as `project`
    does, and for embeddings that cannot be read.
    """
    return _find(run, projection).path


def _find(run: Run, projection: Projection) -> _Found:
    places = (run.true, run.predicted)
    about = repr((*projection, *map(file_hash, places)))
    key = hashlib.sha256(about.encode()).hexdigest()[:32]
    kept = user_cache() / "maps" / f"{key}.npz"
    embedded = present(read_array(run.true, (None, None), mapped=True))
    frames = len(embedded)

    def read(path: Path) -> _Found | None:
        return _read(path, key, embedded)

    def make(path: Path) -> None:
        embeddings, guesses = (read_array(place, (frames, None)) for place in places)
        true = np.full((frames, 2), np.nan)
        true[embedded], predicted = project([embeddings[embedded], guesses], *projection)
        with atomic_write(path) as temporary:
            np.savez(temporary, key=np.array(key), true=true, predicted=predicted)

    return read(run.map) or cached(kept, read, make)


def _read(path: Path, key: str, embedded: NDArray[np.bool_]) -> _Found | None:
    """The map in a file; None where it is missing, damaged, or of other embeddings.

    ``embedded`` says which frames have a true embedding.
    """
    try:
        content = read_arrays(path, ("key", "true", "predicted"), (len(embedded), 2))
        found = _Found(path, content["true"], content["predicted"])
        stored = str(content["key"])
    except (InputError, KeyError):
        return None
    valid = bool(np.isfinite(found.true[embedded]).all() and np.isfinite(found.predicted).all())
    return found if stored == key and valid else None
