"""The app, driven by Streamlit's own test runner."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

MAIN = Path(__file__).parents[1] / "app" / "main.py"
SHIPPED = MAIN.parents[1] / "checkpoints"


def opened(monkeypatch: pytest.MonkeyPatch, folder: Path, page: str = "") -> AppTest:
    """A page of the app on the runs below a folder."""
    monkeypatch.setattr(sys, "argv", [str(MAIN), "--runs", str(folder)])
    monkeypatch.syspath_prepend(str(MAIN.parent))
    # the runner puts the app in its place, which processes that a later test spawns would import
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])
    app = AppTest.from_file(str(MAIN), default_timeout=60).run()
    return app.switch_page(f"screens/{page}.py").run() if page else app


def test_without_runs_it_says_how_to_make_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = opened(monkeypatch, tmp_path)
    assert not app.exception
    assert "train/train_nerv_clip.py" in app.info[0].value


def test_a_run_of_another_version_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "config.json").write_text('{"flags": {}, "identity": {}}')
    app = opened(monkeypatch, tmp_path)
    assert not app.exception
    assert "train it again" in app.error[0].value
