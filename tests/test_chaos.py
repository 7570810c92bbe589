"""A minute of `bench/chaos.py`: a killed training, a failing disk, visitors while runs change."""

from __future__ import annotations

from pathlib import Path

import pytest
from chaos import main, stored_trials
from chaos_disks import can_mount


def test_a_minute_of_chaos_loses_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    kinds = ["training", *(["disk"] if can_mount() else []), "visitors"]
    tables = []
    for _ in range(2):  # the second call finds nothing left to try
        main(["--kinds", *kinds, "--part", "0.01", "--folder", "chaos"])
        lines = capsys.readouterr().out.splitlines()
        tables.append([line for line in lines if line.startswith("| ")])
    trials = stored_trials(Path("chaos/trials.jsonl"))
    assert [trial.fault for trial in trials] == [""] * len(kinds)
    assert tables[0] == tables[1]
    assert len(tables[0]) == 2 + len(kinds)
