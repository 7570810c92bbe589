"""Products in the user's cache: made once, checked when read, and made again if damaged."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from nerv_clip.errors import InputError
from nerv_clip.files import cannot_write, exclusive, make_folder, sweep

T = TypeVar("T")


def cached(path: Path, read: Callable[[Path], T | None], make: Callable[[Path], None]) -> T:
    """What ``read`` finds at ``path``; if it finds nothing, ``make`` writes the file first.

    ``read`` returns None for a file that is missing, damaged, or not what was asked for; such a
    file is deleted. Of several threads and processes that need the same file, one makes it and
    the others wait. Raises `InputError` where the file cannot be written, or cannot be read after
    it was made.
    """
    found = read(path)
    if found is not None:
        return found
    with exclusive(make_folder(path.parent) / path.name):
        sweep(path.parent)
        found = read(path)
        if found is None:
            _discard(path)
            make(path)
            found = read(path)
    if found is None:
        raise InputError(f"{path} is not valid after it was written: check the disk and its source")
    return found


def read_cached(
    path: Path, shape: tuple[int, ...], kind: type[np.floating[Any]], *, mapped: bool = False
) -> NDArray[Any] | None:
    """An array in the cache, memory-mapped with ``mapped``; None as ``read`` of `cached`."""
    try:
        values: NDArray[Any] = np.load(path, mmap_mode="r" if mapped else None, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    if (values.dtype, values.shape) != (np.dtype(kind), shape):
        return None
    with suppress(OSError):  # another user's file
        os.utime(path)  # marks it as used, for tools that delete old cache files
    return values


def _discard(path: Path) -> None:
    try:
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    except OSError as error:
        raise cannot_write(path, error) from None
