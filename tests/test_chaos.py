"""A minute of `bench/chaos.py`: a killed training, a failing disk, visitors while runs change."""

from __future__ import annotations

from pathlib import Path

import pytest
from chaos import main, stored_trials

KINDS = ["training", "disk", "visitors"]


def test_a_minute_of_chaos_loses_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--kinds", *KINDS, "--part", "0.01", "--folder", "chaos"])
    trials = stored_trials(Path("chaos/trials.jsonl"))
    assert sorted(trial.kind for trial in trials) == sorted(KINDS)
    assert [trial.fault for trial in trials] == [""] * 3
    main(["--kinds", *KINDS, "--part", "0.01", "--folder", "chaos"])  # nothing is left to try
    tables = capsys.readouterr().out.split("\n\n")
    assert len(stored_trials(Path("chaos/trials.jsonl"))) == 3
    assert tables
