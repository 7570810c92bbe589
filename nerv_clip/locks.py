"""Files that mark work in progress: locked by their owner, and unlocked when its process ends."""

from __future__ import annotations

import errno
import fcntl
import os
from contextlib import suppress
from pathlib import Path

UNSUPPORTED = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)  # by the file system


def acquire(path: Path) -> int:
    """Make a file and lock it, waiting while another thread or process has the lock.

    Returns a file descriptor for `release`. Raises `OSError` where the file cannot be made. A file
    system without locks gives none, and nothing waits.
    """
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            _lock(handle)
            if _is_at(handle, path):  # the last owner has not removed it in the meantime
                return handle
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)


def release(path: Path, handle: int) -> None:
    """Remove a file that `acquire` has locked, and end the lock."""
    with suppress(OSError):  # such as a file system that became read-only
        path.unlink()
    os.close(handle)


def remove_abandoned(path: Path) -> None:
    """Remove a file that `acquire` made and that no thread or process has locked any more."""
    with suppress(OSError):  # locked, or gone
        handle = os.open(path, os.O_RDWR)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
        finally:
            os.close(handle)


def _lock(handle: int) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            raise


def _is_at(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False
