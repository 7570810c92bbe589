"""Find run directories, and name those that cannot be read."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from nerv_clip.errors import InputError
from nerv_clip.runs.run import Run

MAX_DEPTH = 32  # of folders below one that is searched for runs


class Found(NamedTuple):
    """Runs in the order of their paths, and one line for each directory that was skipped."""

    runs: list[Run]
    skipped: list[str]


def find_runs(folders: Iterable[Path | str]) -> list[Run]:
    """The runs below some folders, in the order of their paths; see `scan_folders`."""
    return scan_folders(folders).runs


def scan_folders(folders: Iterable[Path | str]) -> Found:
    """Find the runs below some folders, and the directories that should be runs but cannot be read.

    Links to folders are not followed. A folder that vanishes while it is read is skipped.
    """
    runs, skipped = [], []
    for path, trained in sorted(_with_config(folders).items()):
        run = Run(path)
        if run.is_run and _can_be_shown(path):
            runs.append(run)
        elif trained:  # without a network, config.json may be any program's
            skipped.append(_why_skipped(run))
    return Found(runs, skipped)


def _with_config(folders: Iterable[Path | str]) -> dict[Path, bool]:
    """The folders below ``folders`` with a ``config.json``, and whether there is a network, too.

    At most `MAX_DEPTH` levels are searched.
    """
    found = {}
    for top in map(Path, folders):
        for folder, below, files in os.walk(top):
            path = Path(folder)
            if len(path.parts) - len(top.parts) >= MAX_DEPTH:
                below.clear()
            if "config.json" in files:
                found[path] = "model_best.pth" in files
    return found


def _can_be_shown(path: Path) -> bool:
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def _why_skipped(run: Run) -> str:
    if not _can_be_shown(run.path):
        return str(InputError(f"{run.path}: the name is not UTF-8; rename the folder"))
    try:
        run.read_config()
    except InputError as error:
        return str(error)
    return f"{run.config} was not written by this program"
