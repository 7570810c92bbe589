"""A training that has to end in a given time: its epochs are planned again as it goes on."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

TOLERANCE = 0.05  # a plan that is off by at most this share of its epochs stays


@dataclass(frozen=True, kw_only=True)
class Budget:
    """The time that a training may take, as ``config.json`` stores it.

    ``minutes`` is what the user gave, for everything; ``train_seconds`` what is left for the epochs
    after the video was read, and with the last evaluation kept free. ``revisions`` are the changes
    of the plan: (epochs that were finished, epochs that were planned from then on), in order. A
    resumed training repeats those that are stored.
    """

    minutes: float
    train_seconds: float
    revisions: tuple[tuple[int, int], ...] = ()

    def stored(self, epoch: int) -> int | None:
        """The epochs that were planned when ``epoch`` epochs were finished, if they changed."""
        return dict(self.revisions).get(epoch)

    def decided(self, epoch: int) -> bool:
        """Whether the plan after ``epoch`` epochs was made before a training was resumed."""
        return any(at >= epoch for at, _ in self.revisions)

    def replan(self, epoch: int, epochs: int, spent: float, least: int) -> int:
        """The number of epochs that end in time, after ``epoch`` of ``epochs``.

        ``spent`` are the seconds of training so far; at least ``least`` epochs are planned. The
        plan stays where it is off by little.
        """
        each = spent / epoch
        fitting = max(epoch + math.floor((self.train_seconds - spent) / each + 0.5), epoch, least)
        return epochs if abs(fitting - epochs) <= TOLERANCE * epochs else fitting

    def revised(self, epoch: int, epochs: int) -> Budget:
        """With one more revision."""
        kept = tuple(each for each in self.revisions if each[0] < epoch)
        return replace(self, revisions=(*kept, (epoch, epochs)))

    def extended(self, minutes: float, spent: float) -> Budget:
        """With ``minutes`` more for a training that took ``spent`` seconds so far."""
        return replace(
            self, minutes=self.minutes + minutes, train_seconds=spent + 60 * EXTRA * minutes
        )


EXTRA = 0.9  # share of additional minutes for epochs: the rest is for reading and evaluation
