"""The app for tests: in Streamlit's test runner, or in a process of its own."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from serving import CHROMIUM as IN_A_CONTAINER
from serving import ROOT
from serving import serving as served
from streamlit.testing.v1 import AppTest

APP = ROOT / "app" / "navigation.py"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
CHROMIUM_ARGUMENTS = [*IN_A_CONTAINER, "--disable-background-networking"]
# What text of runs and users would become as Markdown or HTML; the search is in test_browser.py.
# The <b> of the player, which the search page shows as well, does not count.
MARKUP = "img[src*='127.0.0.1'], [data-testid=stMain] a[href*='.'], .katex, main b:not(.player *)"


def opened(
    monkeypatch: pytest.MonkeyPatch,
    folder: Path,
    page: str = "",
    *,
    guarded: bool = True,
    **query: str,
) -> AppTest:
    """A page of the app on the runs below a folder, with a ``query`` in the URL.

    There is no server. ``guarded`` says whether the app sees one with a guard.
    """
    monkeypatch.setattr(sys, "argv", [str(APP), "--runs", str(folder)])
    monkeypatch.syspath_prepend(str(APP.parent))
    monkeypatch.setattr("guard.Guard.in_use", guarded)
    # the runner puts the app in its place, which processes that a later test spawns would import
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])
    app = AppTest.from_file(str(APP), default_timeout=120)
    app.query_params.update(query)
    app.run()
    return app.switch_page(f"screens/{page}.py").run() if page else app


@contextmanager
def serving(place: Path, *options: str) -> Iterator[str]:
    """Start the app in a folder and yield its address; errors in its log fail the test."""
    log = place / "log.txt"
    environment = {"XDG_CACHE_HOME": str(place / "cache"), "OMP_NUM_THREADS": "1"}
    with served(place, *options, log=log, **environment) as app:
        yield app.address
    output = log.read_text()
    assert "Traceback" not in output, output[-3000:]
    assert "Error" not in output, output[-3000:]
