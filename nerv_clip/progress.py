"""Progress of long work, shown in a terminal, in a browser, or nowhere: one protocol for all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Task(Protocol):
    """One piece of work, whose steps are counted as they are done."""

    def advance(self, steps: int = 1, note: str = "") -> None:
        """Count ``steps`` as done; ``note`` is a short text to show beside the bar.

        An implementation may raise to cancel the work.
        """

    def resize(self, total: int) -> None:
        """The work turned out to have ``total`` steps."""


class Progress(Protocol):
    """Receives the progress of long work. Functions that take long accept one as ``progress``."""

    def task(
        self, label: str, total: int | None, unit: str = "step", done: int = 0
    ) -> AbstractContextManager[Task]:
        """Begin a task of ``total`` steps (None: unknown), ``done`` of which are done already."""

    def message(self, line: str) -> None:
        """Show one line of text."""


class _SilentTask:
    def advance(self, steps: int = 1, note: str = "") -> None:
        """Show nothing."""

    def resize(self, total: int) -> None:
        """Show nothing."""


class SilentProgress:
    """Shows nothing: the default of every function that accepts a `Progress`."""

    @contextmanager
    def task(
        self, label: str, total: int | None, unit: str = "step", done: int = 0
    ) -> Iterator[Task]:
        """A task that shows nothing."""
        yield _SilentTask()

    def message(self, line: str) -> None:
        """Show nothing."""


SILENT = SilentProgress()
