"""Mutated files of every kind are read or refused, in bounded memory and time."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

from mutations import TARGETS, outcome, write_samples

EACH = 40  # mutations of each kind of file
SCRIPT = Path(__file__).parents[1] / "bench" / "mutations.py"


def test_intact_files_are_read(tmp_path: Path) -> None:
    write_samples(tmp_path / "samples")
    for name, target in TARGETS.items():
        content = (tmp_path / "samples" / target.path).read_bytes()
        assert outcome(target, content, tmp_path / "samples") == "read", name


def test_mutated_files_are_read_or_refused() -> None:
    """In a process of its own: neither a crash nor a full memory ends the tests."""
    command = [sys.executable, str(SCRIPT), "--count", str(EACH), "--seed", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = done.stdout.splitlines()
    assert done.returncode == 0, f"ended by {done.returncode} after {lines[-1:]}"
    assert Counter(line.partition(":")[0] for line in lines) == dict.fromkeys(TARGETS, EACH)
    assert {line for line in lines if not line.endswith((": read", ": refused"))} == set()
