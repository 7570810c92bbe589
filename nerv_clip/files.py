"""Write files atomically, hash them, and find the user's cache folder."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nerv_clip.errors import InputError


def user_cache() -> Path:
    """The user's cache folder for this program; ``XDG_CACHE_HOME`` moves it."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "nerv_clip"


def file_hash(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex; raises `InputError` where it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None


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
    temporary name is unique to this thread, and keeps the suffix, by which writers choose the
    format.
    """
    temporary = path.with_name(f".{os.getpid()}.{threading.get_ident()}.{path.name}")
    try:
        yield temporary
        temporary.replace(path)
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)


def cannot_write(path: Path, error: OSError) -> InputError:
    """The `InputError` for a file or folder that could not be written."""
    reason = error.strerror or str(error) or "the disk is full"
    return InputError(f"cannot write {path}: {reason}; free some space, or choose another folder")
