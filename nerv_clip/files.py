"""Where files go, and how they are written: whole, or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nerv_clip.errors import InputError


def user_cache() -> Path:
    """The user's cache folder for this program; ``XDG_CACHE_HOME`` moves it."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "nerv_clip"


@contextmanager
def written(path: Path) -> Iterator[Path]:
    """A temporary path beside ``path`` that takes its name once the block is through.

    A full disk or a missing permission becomes one `InputError`; the old file stays. The
    temporary name keeps the suffix, since writers choose the format by it.
    """
    temporary = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        yield temporary
        temporary.replace(path)
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)


def cannot_write(path: Path, error: OSError) -> InputError:
    """One line for a file or folder that could not be written."""
    reason = error.strerror or str(error) or "the disk took no more"
    return InputError(f"cannot write {path}: {reason}; free some room or choose another place")
