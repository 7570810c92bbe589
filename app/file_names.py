"""File names that every file system takes."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

MOST_NAME_BYTES = 200  # of 255: room for a suffix, and for what a temporary name adds


def short_name(name: str) -> str:
    """A file name without folders and control characters.

    The start of a long one is kept, then come a hash of the name, and the suffix.
    """
    name = re.sub(r"[\x00-\x1f/\\]", "_", name)
    if len(name.encode()) <= MOST_NAME_BYTES:
        return name
    suffix = Path(name).suffix if len(Path(name).suffix) <= 8 else ""
    start = name.encode()[:100].decode(errors="ignore")
    return f"{start}-{hashlib.sha256(name.encode()).hexdigest()[:16]}{suffix}"
