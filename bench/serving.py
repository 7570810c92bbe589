"""The app in its own process, for scripts and tests that use it in a browser."""

from __future__ import annotations

import os
import shlex
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from nerv_clip import InputError

ROOT = Path(__file__).parents[1]
CHROMIUM = ["--no-sandbox", "--disable-gpu"]  # flags for use in a container


class Served(NamedTuple):
    """The app's address, its process id, and when it was ready (`time.perf_counter`)."""

    address: str
    pid: int
    since: float


def _answers(address: str) -> bool:
    try:
        urllib.request.urlopen(f"{address}/_stcore/health")  # noqa: S310
    except OSError:
        return False
    return True


@contextmanager
def serving(
    place: Path, *options: str, log: Path | None = None, **environment: str
) -> Iterator[Served]:
    """Serve the app with its ``options``, such as ``--runs FOLDER``.

    ``place`` is the working directory. ``log`` is a file for what the server prints.
    ``environment`` are variables of its environment.
    """
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", str(ROOT / "app" / "main.py")]
    command += ["--server.port", str(port), "--server.headless", "true", "--", *options]
    with Path(log or os.devnull).open("w") as out:
        env = {**os.environ, **environment}
        process = subprocess.Popen(command, cwd=place, env=env, stdout=out, stderr=out)
    address = f"http://localhost:{port}"
    try:
        while not _answers(address):
            if process.poll() is not None:
                raise InputError(f"the app exited: run {shlex.join(command)} to see the error")
            time.sleep(0.05)
        yield Served(address, process.pid, time.perf_counter())
    finally:
        process.terminate()
        process.wait()


def memory(pid: int, *, peak: bool = False) -> float:
    """Resident memory of a process in MiB, now or at its peak."""
    name = "VmHWM" if peak else "VmRSS"
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    for line in lines:
        if line.startswith(name):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"process {pid} has ended")  # a zombie has no memory
