"""The run directory: what training writes and everything else reads."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import IO, Any
from zipfile import BadZipFile

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nerv_clip.errors import InputError
from nerv_clip.files import atomic_write, cannot_write, make_folder
from nerv_clip.models.config import Architecture

PACKAGES = ("torch", "open_clip_torch", "numpy", "av", "nerv_clip")


def run_path(outf: str) -> Path:
    """``NAME`` means ``output/NAME``; a value with a path separator is used as it stands."""
    return Path(outf) if os.sep in outf else Path("output") / outf


class Run:
    """Paths of one run, and the files that are small enough to read whole."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.best = path / "model_best.pth"
        self.latest = path / "model_latest.pth"
        self.config = path / "config.json"
        self.history = path / "history.csv"
        self.per_frame = path / "clip_similarity_per_frame.csv"
        self.metrics = path / "metrics.json"
        self.true = path / "true.npy"
        self.predicted = path / "predicted.npy"
        self.baselines = path / "baselines.npz"
        self.comparison = path / "comparison.mp4"
        self.frames = path / "frames"
        self.reconstruction = path / "reconstruction.mp4"
        self.verification = path / "verification.json"
        self.map = path / "map.npz"
        self.progress = path / ".progress.json"
        self.candidate = path / ".candidate.pth"
        self.tensorboard = path / "logs" / "tensorboard"

    def create(self) -> None:
        """Make the directory; raises `InputError` where it holds files but no run."""
        make_folder(self.path)
        strangers = any(not item.name.startswith(".") for item in self.path.iterdir())
        if strangers and not self.is_run:
            raise InputError(f"{self.path} holds files but no run: choose another --outf")

    @property
    def is_run(self) -> bool:
        """Whether training wrote this directory."""
        try:
            self.read_config()
        except InputError:
            return False
        return True

    def clear(self, everything: bool) -> None:
        """Remove an earlier run's files, or, of `everything`, all but the lock.

        What a resume reads goes first and ``config.json`` last, so that a directory whose
        clearing was cut off is still known as a run, and not taken for a whole one.
        """
        own = {p for p in vars(self).values() if isinstance(p, Path)} - {self.path}
        own = {self.path / p.relative_to(self.path).parts[0] for p in own}
        items = [i for i in self.path.iterdir() if i.name != ".lock" and (everything or i in own)]
        try:
            for item in sorted(items, key=lambda i: (i == self.config, i != self.latest)):
                shutil.rmtree(item) if item.is_dir() else item.unlink()
        except OSError as error:
            raise cannot_write(self.path, error) from None

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the directory; a second training is refused. The lock dies with its process."""
        try:
            file: IO[str] = (self.path / ".lock").open("w")
        except OSError as error:
            raise cannot_write(self.path, error) from None
        with file:
            try:
                _lock(file)
            except OSError:
                raise InputError(
                    f"another training is writing {self.path}: wait for it or choose another --outf"
                ) from None
            for leftover in (*self.path.glob(".[0-9]*.*"), self.candidate, self.progress):
                leftover.unlink(missing_ok=True)  # half-written by a killed process
            try:
                yield
            finally:
                self.progress.unlink(missing_ok=True)

    def training(self) -> dict[str, Any] | None:
        """How far the training is that writes this directory now, or None where none does.

        ``pid``, and once it has taken steps ``epoch``, ``epochs``, ``step`` and ``steps`` of all
        epochs, ``psnr`` in dB and ``seconds`` since the start of this process.
        """
        try:
            with (self.path / ".lock").open("r") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            try:
                found: dict[str, Any] = json.loads(self.progress.read_text())
            except (OSError, ValueError):
                return {}
            return found
        except OSError:
            return None
        return None

    def write_json(self, path: Path, content: Mapping[str, Any]) -> None:
        """One readable JSON file, atomically."""
        with atomic_write(path) as temporary:
            temporary.write_text(json.dumps(content, indent=2, default=str) + "\n")

    def read_config(self) -> dict[str, Any]:
        """The content of ``config.json``; raises `InputError` where there is none to read."""
        try:
            content = json.loads(self.config.read_text())
        except FileNotFoundError:
            raise InputError(f"{self.path} is no run: it has no config.json") from None
        except (OSError, ValueError):
            raise InputError(f"{self.config} cannot be read, or is damaged") from None
        if not isinstance(content, dict) or not {"flags", "identity"} <= content.keys():
            raise InputError(f"{self.config} was not written by this program")
        return content

    def read_architecture(self) -> Architecture:
        """The network's, as ``config.json`` has it; raises `InputError` for another version's."""
        try:
            return Architecture.from_plain(self.read_config()["architecture"])
        except InputError as error:
            raise InputError(f"{self.path}: {error}") from None

    def read_teacher(self) -> dict[str, Any]:
        """Name, id and width of its teacher; raises `InputError` where it names none."""
        about: dict[str, Any] | None = self.read_config().get("teacher")
        if not about:
            raise InputError(
                f"{self.path} names no teacher: evaluate it with --eval_only and the --clip_model "
                "of its training"
            )
        return about

    def append_history(self, row: Mapping[str, Any]) -> None:
        """Add an evaluation; rows of the same or a later epoch (of a lost future) are dropped."""
        rows = pd.DataFrame([row])
        if self.history.exists():
            old = pd.read_csv(self.history)
            rows = pd.concat([old[old["epoch"] < row["epoch"]], rows], ignore_index=True)
        with atomic_write(self.history) as temporary:
            rows.to_csv(temporary, index=False)


def _lock(file: IO[str]) -> None:
    """Hold a lock file alone; a reader that only looks lets go of it at once."""
    for attempt in range(4):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            if attempt == 3:
                raise
            time.sleep(0.02)
        else:
            return


def read_array(path: Path, *, mapped: bool = False) -> NDArray[Any]:
    """An array that an evaluation left, memory-mapped if asked; `InputError` if it is damaged."""
    try:
        values: NDArray[Any] = np.load(path, "r" if mapped else None, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        raise _damaged(path) from None
    return values


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """All arrays of an ``.npz`` file, by name; raises `InputError` where it is damaged."""
    try:
        with np.load(path, allow_pickle=False) as content:
            return dict(content)
    except (OSError, ValueError, EOFError, BadZipFile, zlib.error):
        raise _damaged(path) from None


def _damaged(path: Path) -> InputError:
    return InputError(f"{path} is damaged: evaluate the run with --eval_only")


def find_runs(folders: Iterable[Path]) -> list[Run]:
    """The runs below some folders, in the order of their paths."""
    found = {config.parent for folder in folders for config in folder.rglob("config.json")}
    return [run for run in map(Run, sorted(found)) if run.is_run]


def versions() -> dict[str, str]:
    """Versions of the packages that figures depend on."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "absent"
    return found


def git_commit() -> str:
    """The commit of this program's checkout, with ``+`` where files differ; empty outside one."""
    folder = Path(__file__).parent
    try:
        commit = subprocess.run(
            ["git", "describe", "--always", "--abbrev=12", "--dirty=+", "--exclude=*"],  # noqa: S607
            cwd=folder,
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return commit.stdout.strip()
