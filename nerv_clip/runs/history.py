"""``history.csv``: a row of numbers for each evaluation during training."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from nerv_clip.errors import InputError

CELL = re.compile(r"|True|False|[-+]?(\d+\.?\d*(e[-+]?\d+)?|inf|nan)")


class History(NamedTuple):
    """The rows that can be read, and the number of lines that cannot."""

    rows: pd.DataFrame
    damaged: int


def read_history(path: Path) -> History:
    """Read a history; without a header, no row can be read.

    Raises `InputError` where there is a file that cannot be read at all.
    """
    try:
        header, *lines = path.read_text(encoding="utf-8", errors="replace").splitlines() or [""]
    except FileNotFoundError:
        return History(pd.DataFrame(), 0)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None
    names = header.split(",")
    if "epoch" not in names:
        return History(pd.DataFrame(), 1 + len(lines))
    good = [line for line in lines if _is_row(line, names)]
    rows = pd.read_csv(io.StringIO("\n".join([header, *good])))
    return History(rows, len(lines) - len(good))


def _is_row(line: str, names: list[str]) -> bool:
    cells = line.split(",")
    fits = len(cells) == len(names) and all(map(CELL.fullmatch, cells))
    return fits and cells[names.index("epoch")].isdecimal()
