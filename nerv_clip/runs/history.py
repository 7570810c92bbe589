"""``history.csv``: a row of numbers for each evaluation during training."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from nerv_clip.reading import read_bytes
from nerv_clip.runs.tables import MAX_BYTES, MAX_COLUMNS

CELL = re.compile(r"|True|False|[-+]?(\d+\.?\d*(e[-+]?\d+)?|inf|nan)")


class History(NamedTuple):
    """The rows that can be read, and the number of lines that cannot."""

    rows: pd.DataFrame
    damaged: int


def read_history(path: Path) -> History:
    """Read a history; without a header, no row can be read.

    Raises `InputError` where there is a file that cannot be read at all.
    """
    if not path.exists():
        return History(pd.DataFrame(), 0)
    header, *lines = read_bytes(path, MAX_BYTES).decode(errors="replace").splitlines() or [""]
    names = header.split(",")
    if "epoch" not in names or len(names) > MAX_COLUMNS:
        return History(pd.DataFrame(), 1 + len(lines))
    good = [line for line in lines if _is_row(line, names)]
    rows = pd.read_csv(io.StringIO("\n".join([header, *good])))
    return History(rows, len(lines) - len(good))


def _is_row(line: str, names: list[str]) -> bool:
    cells = line.split(",")
    fits = len(cells) == len(names) and all(map(CELL.fullmatch, cells))
    return fits and cells[names.index("epoch")].isdecimal()
