"""Read a file of PyTorch without trusting the sizes that it states, and without executing code."""

from __future__ import annotations

import io
import os
import pickle
import pickletools
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO
from zipfile import ZIP_STORED, BadZipFile, ZipFile, ZipInfo

import torch

from nerv_clip.errors import InputError
from nerv_clip.reading import MAX_BYTES, open_archive, open_file

MAX_PROGRAM = 16 << 20  # bytes of the pickle: the names and shapes of up to 500 networks
ITEM_BYTES = {
    "torch FloatStorage": 4,
    "torch DoubleStorage": 8,
    "torch HalfStorage": 2,
    "torch BFloat16Storage": 2,
    "torch LongStorage": 8,
    "torch IntStorage": 4,
    "torch ByteStorage": 1,
    "torch BoolStorage": 1,
}
ALLOWED = {*ITEM_BYTES, "torch._utils _rebuild_tensor_v2", "collections OrderedDict"}
# the operations that push the description of a storage, in their order
TEXT, NUMBER = {"BINUNICODE", "GET"}, {"BININT", "BININT1", "BININT2", "LONG1"}
STORAGE = ({"MARK"}, TEXT, {"GLOBAL", "GET"}, TEXT, TEXT, NUMBER, {"TUPLE"})


def load_archive(path: Path) -> Any:  # noqa: ANN401 - any plain value
    """The content of a ``.pth`` file, on the CPU: tensors, and plain values.

    All sizes are compared with the file's own size before memory is allocated for them. Raises
    `InputError` where the file is missing, and where it is damaged or no such file.
    """
    missing = f"no checkpoint at {path}: train a run first"
    with open_file(path, MAX_BYTES, missing=missing) as file:
        try:
            return torch.load(_checked(file), map_location="cpu", weights_only=True)
        except Exception:  # zipfile, pickletools and torch raise a dozen types for a damaged file
            raise InputError(
                f"{path} is damaged or not a checkpoint: give the model_best.pth of a run"
            ) from None


def _checked(file: BinaryIO) -> io.BytesIO:
    """A copy of the archive with checked members only, in memory.

    torch reads an archive with other code than `zipfile`. It gets a copy, because the two could
    disagree about what a forged archive contains.
    """
    with open_archive(file) as archive:
        members = {info.filename: info for info in archive.infolist()}
        if sum(info.file_size for info in members.values()) > os.fstat(file.fileno()).st_size:
            raise BadZipFile("the members are larger than the file")
        if any(info.compress_type != ZIP_STORED for info in members.values()):
            raise BadZipFile("torch does not compress members")
        (program,) = (name for name in members if name.endswith("/data.pkl"))
        if members[program].file_size > MAX_PROGRAM:
            raise BadZipFile("the pickle is too long")
        _check_program(archive.read(program), program.removesuffix("data.pkl"), members)
        copy = io.BytesIO()
        with ZipFile(copy, "w") as checked:
            for name in members:
                checked.writestr(name, archive.read(name))
    copy.seek(0)
    return copy


def _check_program(program: bytes, folder: str, members: dict[str, ZipInfo]) -> None:
    """Raise ValueError where a storage is not as large as the member that holds it."""
    for kind, key, count in _storages(program):
        if count * ITEM_BYTES[kind] != members[f"{folder}data/{key}"].file_size:
            raise ValueError(f"storage {key} has another size than its member")


def _storages(program: bytes) -> Iterator[tuple[str, str, int]]:
    """Type, key and number of items of each storage that a pickle loads; nothing is executed.

    Raises ValueError for a pickle that names anything but tensors and plain values, or describes a
    storage in another way than torch writes it.
    """
    memo: dict[Any, Any] = {}
    ops: deque[tuple[str, Any]] = deque([("", None)], maxlen=len(STORAGE))  # the last ones
    for op, value, _ in pickletools.genops(program):
        if op.name in ("BINPUT", "LONG_BINPUT"):
            memo[value] = ops[-1][1]
            continue
        if op.name in ("BINGET", "LONG_BINGET"):
            ops.append(("GET", memo[value]))
        elif op.name == "BINPERSID":
            names, values = zip(*ops, strict=True)
            if not all(name in known for name, known in zip(names, STORAGE, strict=True)):
                raise pickle.UnpicklingError("a storage is described in an unknown way")
            _, _, kind, key, _, count, _ = values
            yield kind, key, count
            ops.append((op.name, None))
        else:
            if op.name == "GLOBAL" and value not in ALLOWED:
                raise pickle.UnpicklingError(f"unknown type {value}")
            ops.append((op.name, value))
