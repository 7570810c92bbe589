"""Progress in a terminal: bars and lines on stderr; text that every terminal can show."""

from __future__ import annotations

import codecs
import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tqdm import tqdm

from nerv_clip.progress import Task

ASCII = {"…": "...", "–": "-", "−": "-", "±": "+/-", "×": "x", "·": "*", "≥": ">=", "≤": "<="}


def show_any_text() -> None:
    """Replace characters that the terminal's encoding lacks, such as ``±`` with ``LC_ALL=C``.

    Bytes of a file name that are no text are shown as escapes.
    """
    codecs.register_error("ascii for terminals", _in_ascii)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="ascii for terminals")


def _in_ascii(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lost = error.object[error.start : error.end]
    shown = [ASCII.get(c) or c.encode("ascii", "backslashreplace").decode() for c in lost]
    return "".join(shown), error.end


class _Bar:
    """A `Task` as a tqdm bar."""

    def __init__(self, bar: tqdm[Any]) -> None:
        self.bar = bar

    def advance(self, steps: int = 1, note: str = "") -> None:
        """Move the bar; the note stands at its end."""
        if note:
            self.bar.set_postfix_str(note, refresh=False)
        self.bar.update(steps)

    def resize(self, total: int) -> None:
        """Stretch the bar, from the next step on: work under two seconds shows none."""
        self.bar.total = total


class Terminal:
    """Shows progress as bars and lines on stderr; shows nothing if ``quiet``."""

    def __init__(self, quiet: bool = False) -> None:
        self.quiet = quiet

    def message(self, line: str) -> None:
        """Print one line, above any bar."""
        if not self.quiet:
            tqdm.write(line, file=sys.stderr)

    @contextmanager
    def task(
        self, label: str, total: int | None, unit: str = "step", done: int = 0
    ) -> Iterator[Task]:
        """Show a bar, if the work takes longer than two seconds."""
        with tqdm(
            total=total,
            initial=done,
            desc=label,
            unit=unit,
            disable=self.quiet,
            delay=2,
            dynamic_ncols=True,
            leave=False,
        ) as bar:
            yield _Bar(bar)
