"""Open and read files whose size is checked first: of runs, encoders and other folders."""

from __future__ import annotations

import json
import os
import stat
import zipfile
from io import BufferedReader
from pathlib import Path
from typing import Any, BinaryIO

from nerv_clip.errors import InputError

# config.json has a line of about 26 bytes for each of at most 500 000 frames
MAX_JSON_BYTES = 16 << 20
# a network of 100 M parameters with its training state (gradient moments, and an average), or
# embeddings of 500 000 frames in 1024 dimensions as float32
MAX_BYTES = 2 << 30
MAX_DIRECTORY = 4 << 20  # bytes of a ZIP archive: 60 000 members, which take 30 MB of memory


def open_file(path: Path, limit: int, *, missing: str = "", linked: bool = False) -> BufferedReader:
    """Open a regular file of at most ``limit`` bytes.

    ``missing`` is the message where there is no such file. ``linked`` allows a symbolic link to
    another folder: files of a run do not need one, and it could name any file of the user. Raises
    `InputError` for a pipe, a folder, a device, a larger file, and a file that cannot be opened.
    """
    try:
        # without O_NONBLOCK, opening a pipe waits for its writer
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise InputError(missing or f"{path} does not exist") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path} cannot be read ({reason})") from None
    try:
        _check(path, os.fstat(descriptor), limit, linked)
    except InputError:
        os.close(descriptor)
        raise
    return os.fdopen(descriptor, "rb")


def _check(path: Path, about: os.stat_result, limit: int, linked: bool) -> None:
    if not stat.S_ISREG(about.st_mode):
        raise InputError(f"{path} is not a regular file")
    if about.st_size > limit:
        raise InputError(
            f"{path} has {about.st_size:,} bytes, but such a file has at most {limit:,}: it is "
            "damaged, or of another program"
        )
    if not linked and path.is_symlink():
        folder = os.path.realpath(path.parent)
        if os.path.commonpath([folder, os.path.realpath(path)]) != folder:
            raise InputError(f"{path} is a link to another folder: copy the file itself there")


def open_archive(file: BinaryIO) -> zipfile.ZipFile:
    """Open a ZIP archive whose directory has at most `MAX_DIRECTORY` bytes.

    Raises `zipfile.BadZipFile` for another file.
    """
    end = zipfile._EndRecData(file)  # type: ignore[attr-defined]  # what ZipFile itself reads
    if not end or end[zipfile._ECD_SIZE] > MAX_DIRECTORY:  # type: ignore[attr-defined]
        raise zipfile.BadZipFile("no ZIP archive, or its directory is too large")
    return zipfile.ZipFile(file)


def read_bytes(path: Path, limit: int, *, missing: str = "", linked: bool = False) -> bytes:
    """The content of a file; arguments and errors as of `open_file`."""
    with open_file(path, limit, missing=missing, linked=linked) as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise InputError(f"{path} grew over {limit:,} bytes while it was read")
    return content


def read_text(path: Path, limit: int, *, linked: bool = False) -> str:
    """The content of a file in UTF-8; arguments and errors as of `open_file`."""
    try:
        return read_bytes(path, limit, linked=linked).decode()
    except UnicodeDecodeError:
        raise InputError(f"{path} is damaged: it is not text in UTF-8") from None


def read_json(path: Path, *, missing: str = "", linked: bool = False) -> dict[str, Any]:
    """The object in a JSON file of at most `MAX_JSON_BYTES`.

    Raises `InputError` as `open_file` does, and for content that is no JSON object, is nested too
    deeply, or has text that is not Unicode.
    """
    data = read_bytes(path, MAX_JSON_BYTES, missing=missing, linked=linked)
    try:
        content = json.loads(data)
        if b"\\u" in data:  # of half pairs, only those that stand for bytes of a file name
            json.dumps(content, ensure_ascii=False).encode(errors="surrogateescape")
    except (ValueError, RecursionError):
        raise InputError(f"{path} cannot be read, or is damaged") from None
    if not isinstance(content, dict):
        raise InputError(f"{path} was not written by this program")
    return content
