"""Arrays that an evaluation wrote into a run directory; sizes are checked before they are read."""

from __future__ import annotations

import math
import zlib
from collections.abc import Collection
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple, cast
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from nerv_clip.errors import InputError
from nerv_clip.reading import MAX_BYTES, open_archive, open_file
from nerv_clip.runs.older_configs import ARRAYS_RENAMED

MAX_KEY = 1 << 10  # bytes of a text, such as a map's key
# what zipfile raises for a damaged archive
DAMAGED = (BadZipFile, zlib.error, OSError, ValueError, EOFError, RuntimeError)
Shape = tuple[int | None, ...]  # None: any number


class _Header(NamedTuple):
    """The first bytes of an ``.npy`` file: what the rest is."""

    shape: tuple[int, ...]
    fortran_order: bool
    dtype: np.dtype[Any]

    @property
    def bytes(self) -> int:
        """The number of bytes of the values."""
        return math.prod(self.shape) * self.dtype.itemsize


def read_array(path: Path, shape: Shape | None = None, *, mapped: bool = False) -> NDArray[Any]:
    """An ``.npy`` file of floating-point numbers, memory-mapped with ``mapped``.

    Raises `InputError` if the file is damaged, or its array has another ``shape`` than given.
    """
    with open_file(path, MAX_BYTES) as file:
        header = _read_header(file, path)
        _check(header, path, shape)
        start = file.tell()
        if not 0 < header.bytes == file.seek(0, 2) - start:
            raise _damaged(path)
        if mapped:
            order: Literal["C", "F"] = "F" if header.fortran_order else "C"
            values: NDArray[Any] = np.memmap(file, header.dtype, "r", start, header.shape, order)
            return values
        file.seek(start)
        return _values(header, file.read(header.bytes), path)


def read_arrays(
    path: Path, names: Collection[str], shape: Shape | None = None
) -> dict[str, NDArray[Any]]:
    """The arrays ``names`` that are in an ``.npz`` file; others are not read.

    An array is of floating-point numbers, or a text. Raises `InputError` if the file is damaged,
    or an array of numbers has another ``shape`` than given.
    """
    found = {}
    with open_file(path, MAX_BYTES) as file:
        try:
            with open_archive(file) as archive:
                for member in archive.infolist():
                    stem = member.filename.removesuffix(".npy")
                    name = ARRAYS_RENAMED.get(stem, stem)
                    if name in names and member.compress_type in (ZIP_STORED, ZIP_DEFLATED):
                        with archive.open(member) as content:
                            found[name] = _read_member(cast(BinaryIO, content), path, shape)
        except DAMAGED:
            raise _damaged(path) from None
    return found


def _read_member(content: BinaryIO, path: Path, shape: Shape | None) -> NDArray[Any]:
    header = _read_header(content, path)
    if header.dtype.kind == "U":
        if header.bytes > MAX_KEY:
            raise _damaged(path)
    else:
        _check(header, path, shape)
    values = content.read(header.bytes)
    if content.read(1):
        raise _damaged(path)
    return _values(header, values, path)


def _read_header(file: BinaryIO, path: Path) -> _Header:
    try:
        version = npy.read_magic(file)
        read = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}[version]
        header = _Header(*read(file))
    except Exception:  # numpy evaluates the header as Python literals, which raises many types
        raise _damaged(path) from None
    if any(side < 0 for side in header.shape) or header.bytes > MAX_BYTES:
        raise _damaged(path)
    return header


def _check(header: _Header, path: Path, shape: Shape | None) -> None:
    """Raise `InputError` for an array that is not of numbers, or not of this shape."""
    if header.dtype.kind != "f":
        raise _damaged(path)
    if shape is not None and not (
        len(shape) == len(header.shape)
        and all(want in (None, side) for want, side in zip(shape, header.shape, strict=True))
    ):
        raise InputError(
            f"{path} has an array of shape {header.shape}, but the run needs "
            f"({', '.join('any' if side is None else str(side) for side in shape)}): evaluate the "
            "run again (`evaluate`)"
        )


def _values(header: _Header, content: bytes, path: Path) -> NDArray[Any]:
    if len(content) != header.bytes or not header.bytes:
        raise _damaged(path)
    values = np.frombuffer(bytearray(content), header.dtype)
    return values.reshape(header.shape, order="F" if header.fortran_order else "C")


def _damaged(path: Path) -> InputError:
    return InputError(f"{path} is damaged: evaluate the run again (`evaluate`)")
