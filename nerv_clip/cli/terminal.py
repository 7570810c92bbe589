"""Progress in a terminal: bars and lines on stderr."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tqdm import tqdm

from nerv_clip.progress import Task


class _Bar:
    """A `Task` as a tqdm bar."""

    def __init__(self, bar: tqdm[Any]) -> None:
        self.bar = bar

    def advance(self, steps: int = 1, note: str = "") -> None:
        """Move the bar; the note stands at its end."""
        if note:
            self.bar.set_postfix_str(note, refresh=False)
        self.bar.update(steps)


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
