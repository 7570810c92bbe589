"""Write files atomically, hash them, and find the user's cache folder."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nerv_clip.errors import InputError
from nerv_clip.locks import acquire, release, remove_abandoned
from nerv_clip.reading import MAX_BYTES, open_file

PARTIAL = ".partial-"  # begins the names of unfinished files, and of locks
# .PROCESS.THREAD.NAME; the first version wrote .PROCESS.NAME, as people may name a file of theirs
EARLIER_PARTIAL = re.compile(r"\.\d+\.\d{9,}\..+")


def user_cache() -> Path:
    """The user's cache folder for this program; ``XDG_CACHE_HOME`` moves it.

    Raises `InputError` where neither that variable nor a home folder is known, as in a container
    whose user has no name.
    """
    if chosen := os.environ.get("XDG_CACHE_HOME"):
        return Path(chosen) / "nerv_clip"
    try:
        return Path.home() / ".cache" / "nerv_clip"
    except RuntimeError:
        raise InputError(
            "this user has no home folder for cached files: set XDG_CACHE_HOME to a folder"
        ) from None


def file_hash(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex; raises `InputError` as `open_file` does."""
    with open_file(path, MAX_BYTES) as file:
        try:
            return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise InputError(f"{path} cannot be read ({error.strerror})") from None


def make_folder(path: Path) -> Path:
    """Make a folder and its parents; raises `InputError` where that fails."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(path, error) from None
    return path


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``, which replaces ``path`` when the block succeeds.

    A full disk or a missing permission becomes one `InputError`, and the old file stays. The
    temporary file is locked until the block ends, so that `sweep` recognises those of killed
    processes. Its name is new for each call, and keeps the suffix, by which writers choose the
    format.
    """
    temporary = path.with_name(f"{PARTIAL}{secrets.token_hex(8)}{path.suffix}")
    with _locked(temporary, path):
        try:
            yield temporary
            temporary.replace(path)
        except OSError as error:
            raise cannot_write(path, error) from error


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Let one thread or process at a time make ``path``; the others wait.

    Raises `InputError` where the folder of ``path`` cannot be written.
    """
    lock = path.with_name(f"{PARTIAL}{hashlib.sha256(os.fsencode(path.name)).hexdigest()[:16]}")
    with _locked(lock, path):
        yield


def sweep(folder: Path) -> None:
    """Remove unfinished files and locks of killed processes from a folder.

    Earlier versions did not lock their unfinished files; those of the last day are kept.
    """
    for leftover in folder.glob(f"{PARTIAL}*"):
        remove_abandoned(leftover)
    for leftover in folder.glob(".*"):
        if EARLIER_PARTIAL.fullmatch(leftover.name) and _age(leftover) > 86_400:
            remove_abandoned(leftover)


def _age(path: Path) -> float:
    """Seconds since a file was written; 0 where it is gone."""
    try:
        return time.time() - path.stat().st_mtime
    except OSError:
        return 0.0


@contextmanager
def _locked(lock: Path, product: Path) -> Iterator[None]:
    """Hold a lock file while ``product`` is made; raises `InputError` where it cannot be made."""
    try:
        handle = acquire(lock)
    except OSError as error:
        raise cannot_write(product, error) from error
    try:
        yield
    finally:
        release(lock, handle)


def cannot_write(path: Path, error: OSError) -> InputError:
    """The `InputError` for a file or folder that could not be written."""
    reason = error.strerror or str(error) or "the disk is full"
    return InputError(f"cannot write {path}: {reason}; free some space, or choose another folder")
