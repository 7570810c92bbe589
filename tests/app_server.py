"""The app for tests: in Streamlit's test runner, or in a process of its own."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

ROOT = Path(__file__).parents[1]
APP = ROOT / "app" / "navigation.py"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
CHROMIUM_ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


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
def serving(place: Path, *options: str, settings: tuple[str, ...] = ()) -> Iterator[str]:
    """Start the app in a folder and yield its address; errors in its log fail the test."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", str(ROOT / "app" / "main.py")]
    command += ["--server.port", str(port), "--server.headless", "true", *settings, "--", *options]
    env = {**os.environ, "XDG_CACHE_HOME": str(place / "cache"), "OMP_NUM_THREADS": "1"}
    log = place / "log.txt"
    with log.open("w") as out:
        process = subprocess.Popen(command, cwd=place, env=env, stdout=out, stderr=out)
    address = f"http://localhost:{port}"
    for _ in range(300):
        try:
            urllib.request.urlopen(f"{address}/_stcore/health")  # noqa: S310
            break
        except OSError:
            time.sleep(0.1)
    try:
        yield address
    finally:
        process.terminate()
        process.wait()
    output = log.read_text()
    assert "Traceback" not in output, output[-3000:]
    assert "Error" not in output, output[-3000:]
