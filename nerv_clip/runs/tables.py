"""Tables that a training or an evaluation wrote into a run directory, as CSV."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import pandas as pd

from nerv_clip.errors import InputError
from nerv_clip.reading import read_bytes

MAX_BYTES = 96 << 20  # 500 000 frames of 8 numbers
MAX_COLUMNS = 64
MAX_ROW = 4096  # bytes
TEXT_COLUMNS = ("split",)


def read_table(path: Path, rows: int) -> pd.DataFrame:
    """A CSV file of at most ``rows`` rows; all columns but `TEXT_COLUMNS` hold numbers.

    Columns, rows and the length of a row are bounded before the file is parsed. Raises `InputError`
    for a file that is missing or damaged.
    """
    data = read_bytes(path, MAX_BYTES)
    lines = data.count(b"\n") + data.count(b"\r")
    header = re.split(rb"[\r\n]", data, maxsplit=1)[0]
    if lines > rows + 1 or data.count(b",") > (lines + 1) * MAX_COLUMNS or len(header) > MAX_ROW:
        raise _damaged(path, "it has too many rows or columns")
    try:
        table = pd.read_csv(io.BytesIO(data), quoting=csv.QUOTE_NONE)
    except (ValueError, OverflowError) as error:
        raise _damaged(path, str(error)) from None
    for name in table:
        if name not in TEXT_COLUMNS and not pd.api.types.is_numeric_dtype(table[name]):
            raise _damaged(path, f"'{str(name)[:40]}' holds something other than numbers")
    return table


def _damaged(path: Path, reason: str) -> InputError:
    line = " ".join(reason.replace("`", "'").split())[:150]
    return InputError(f"{path} cannot be read ({line}): evaluate the run again (`evaluate`)")
