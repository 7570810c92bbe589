"""Mutated files of every kind are read or refused, in bounded memory and time."""

from __future__ import annotations

import os
import resource
import signal
from itertools import islice
from pathlib import Path

import pytest

from tests.mutations import TARGETS, mutations, outcome, write_samples

EACH = 40  # mutations of each kind of file
SECONDS = 10  # for each
MEMORY = 2 << 30  # bytes above those that the process has before


@pytest.fixture
def samples(tmp_path: Path) -> Path:
    """Intact files, each of which its reader accepts."""
    write_samples(tmp_path / "samples")
    return tmp_path / "samples"


def test_intact_files_are_read(samples: Path) -> None:
    for name, target in TARGETS.items():
        assert outcome(target, (samples / target.path).read_bytes(), samples) == "read", name


@pytest.mark.parametrize("name", TARGETS)
def test_mutated_files_are_read_or_refused(samples: Path, name: str) -> None:
    """In a child process: neither a crash nor a full memory ends the tests."""
    data = (samples / TARGETS[name].path).read_bytes()
    reader, writer = os.pipe()
    if not (child := os.fork()):
        try:
            _try_all(name, data, samples, writer)
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        lines = pipe.read().splitlines()
    _, status = os.waitpid(child, 0)
    assert status == 0, f"ended by {status} at mutation {len(lines)}"
    assert len(lines) == EACH
    assert {line for line in lines if line not in ("read", "refused")} == set()


def _try_all(name: str, data: bytes, samples: Path, writer: int) -> None:
    """Write the outcome of each mutation as one line."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)  # kills this process
    for content in islice(mutations(data, seed=len(data)), EACH):
        signal.alarm(SECONDS)
        line = " ".join(outcome(TARGETS[name], content, samples).split())
        os.write(writer, f"{line}\n".encode(errors="replace"))
