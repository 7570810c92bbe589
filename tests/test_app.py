"""The app, driven by Streamlit's own test runner."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

MAIN = Path(__file__).parents[1] / "app" / "main.py"


def test_it_names_the_runs_it_finds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("b", "a"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text('{"flags": {}, "identity": {}}')
    monkeypatch.setattr(sys, "argv", [str(MAIN), "--runs", str(tmp_path)])
    app = AppTest.from_file(str(MAIN)).run()
    assert not app.exception
    assert [s.value for s in app.subheader] == [str(tmp_path / "a"), str(tmp_path / "b")]


def test_without_runs_it_says_how_to_make_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", [str(MAIN), "--runs", str(tmp_path)])
    app = AppTest.from_file(str(MAIN)).run()
    assert not app.exception
    assert "train/train_nerv_clip.py" in app.info[0].value
