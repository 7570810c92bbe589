"""Trials of `chaos.py` with processes: killed at random moments, and two at once."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

from chaos_runs import COMMANDS, Fault, Place, Reference, check_readable

SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGKILL, signal.SIGINT, signal.SIGTERM)
# a signal that arrives before Python handles it ends the process; one after the end changes nothing
CODES = {signal.SIGKILL: (-9, 0), signal.SIGINT: (130, -2, 0), signal.SIGTERM: (130, -15, 0)}
NAMES = tuple(COMMANDS)


def _killed(place: Place, name: str, longest: float, chance: random.Random) -> None:
    """Start a command and end it by a signal at a random moment."""
    started = place.start(name)
    end = time.monotonic() + chance.uniform(0.2, 1.2) * longest
    while time.monotonic() < end and started.process.poll() is None:
        time.sleep(0.01)
    chosen = chance.choice(SIGNALS)
    if started.process.returncode is not None:
        return
    os.kill(started.process.pid, chosen)  # not reaped yet, even if it has ended by now
    ended = started.wait(60)
    if ended.code not in CODES[chosen]:
        raise Fault("lost", f"{chosen.name} ended {name} with {ended.code}: {ended.err[-300:]}")


def kill_training(number: int, right: Reference, folder: Path) -> float:
    """Kill a training one to three times, then let it end; its bits are those of `Reference`."""
    return _kill("train", 3, number, right, folder)


def kill_command(number: int, right: Reference, folder: Path) -> float:
    """Kill an evaluation, a verification or a search, then run it again."""
    return _kill(NAMES[1 + number % 3], 2, number, right, folder)


def _kill(name: str, most: int, number: int, right: Reference, folder: Path) -> float:
    """Kill a command up to ``most`` times, then let it end; returns its peak memory in MiB."""
    chance = random.Random(number)  # noqa: S311 - moments
    place = right.copy(folder, name)
    for _ in range(chance.randint(1, most)):
        _killed(place, name, right.of(name).seconds, chance)
        check_readable(place.run)
    peak = place.complete(name)
    right.check(place, name)
    return peak


def two_at_once(number: int, right: Reference, folder: Path) -> float:
    """Start one command twice in one place: both succeed, or one is refused by one line."""
    name = NAMES[number % len(NAMES)]
    place = right.copy(folder, name)
    first = place.start(name, "first.txt")
    time.sleep(random.Random(number).uniform(0, 1))  # noqa: S311 - moments
    second = place.start(name, "second.txt")
    both = [first.wait(), second.wait()]
    codes = sorted(ended.code for ended in both)
    if codes not in ([0, 0], [0, 2]):
        raise Fault("lost", f"two of {name} ended with {codes}: {both}"[:500])
    right.check(place, name)
    return max(ended.peak for ended in both)
