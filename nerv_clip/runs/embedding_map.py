"""A run's embeddings as points of a map, kept in a cache because fitting takes long."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from nerv_clip.errors import InputError
from nerv_clip.evaluation.projection import Array, Projection, project
from nerv_clip.files import atomic_write, file_hash, make_folder, user_cache
from nerv_clip.runs.arrays import read_array, read_arrays
from nerv_clip.runs.run import Run


class _Stored(NamedTuple):
    """A map's file; ``key`` identifies the embeddings and the projection."""

    key: str
    true: Array
    predicted: Array


def load_map(run: Run, projection: Projection) -> tuple[Array, Array]:
    """Points (T, 2) of a run's true and predicted embeddings; fitted if `map_file` has none."""
    found = _stored(map_file(run, projection), _frames(run))
    assert found is not None  # noqa: S101 - just read or written
    return found.true, found.predicted


def map_file(run: Run, projection: Projection) -> Path:
    """The file with a run's map, which is fitted first if there is none yet.

    Maps are kept in the user's cache, since UMAP compiles for half a minute in each new process.
    A shipped run brings the map with the default parameters. Raises `InputError` as `project`
    does, and for embeddings that cannot be read.
    """
    places = (run.true, run.predicted)
    about = repr((*projection, *map(file_hash, places)))
    key = hashlib.sha256(about.encode()).hexdigest()[:32]
    kept = user_cache() / "maps" / f"{key}.npz"
    frames = _frames(run)
    for path in (run.map, kept):
        found = _stored(path, frames)
        if found is not None and found.key == key:
            return path
    arrays = [read_array(place, (frames, None)) for place in places]
    true, predicted = project(arrays, *projection)
    make_folder(kept.parent)
    with atomic_write(kept) as temporary:
        np.savez(temporary, **_Stored(key, true, predicted)._asdict())
    return kept


def _frames(run: Run) -> int:
    return len(read_array(run.true, (None, None), mapped=True))


def _stored(path: Path, frames: int) -> _Stored | None:
    try:
        content = read_arrays(path, _Stored._fields, (frames, 2))
        return _Stored(str(content["key"]), content["true"], content["predicted"])
    except (InputError, KeyError):
        return None
