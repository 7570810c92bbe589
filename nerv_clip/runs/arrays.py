"""Arrays that an evaluation wrote into a run directory, read with checks."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from nerv_clip.errors import InputError
from nerv_clip.runs.format_0 import ARRAYS_RENAMED


def read_array(path: Path, *, mapped: bool = False) -> NDArray[Any]:
    """An ``.npy`` file, memory-mapped with ``mapped``; raises `InputError` if it is damaged."""
    try:
        values: NDArray[Any] = np.load(path, "r" if mapped else None, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        raise _damaged(path) from None
    return values


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """All arrays of an ``.npz`` file, by name; raises `InputError` if it is damaged."""
    try:
        with np.load(path, allow_pickle=False) as content:
            return {ARRAYS_RENAMED.get(name, name): values for name, values in content.items()}
    except (OSError, ValueError, EOFError, BadZipFile, zlib.error):
        raise _damaged(path) from None


def _damaged(path: Path) -> InputError:
    return InputError(f"{path} is damaged: evaluate the run again (`evaluate`)")
