"""The run directory: training writes it, everything else reads it. See docs/run_directory.md."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
import pandas as pd

from nerv_clip.errors import InputError
from nerv_clip.evaluation.results import ADDED, COLUMNS, Metrics
from nerv_clip.files import atomic_write, cannot_write, make_folder, sweep
from nerv_clip.locks import UNSUPPORTED
from nerv_clip.models.config import MAX_FRAMES
from nerv_clip.progress import SILENT, Progress
from nerv_clip.reading import open_file, read_json
from nerv_clip.runs.config import RunConfig, TeacherRecord
from nerv_clip.runs.history import read_history
from nerv_clip.runs.tables import read_table


def run_path(outf: str) -> Path:
    """``NAME`` means ``output/NAME``; a value with a path separator is used as it stands."""
    return Path(outf) if os.sep in outf else Path("output") / outf


@dataclass(frozen=True)
class TrainingStatus:
    """How far a running training is; ``pid`` is its process, which SIGINT stops after saving.

    ``epoch`` counts from 1; ``step`` and ``steps`` count over all epochs; ``psnr`` in dB of the
    last step; ``seconds`` since the process began to train.
    """

    pid: int
    epoch: int
    epochs: int
    step: int
    steps: int
    psnr: float
    seconds: float


class Run:
    """Paths of one run, and its small files: one reader and one writer for each."""

    def __init__(self, path: Path | str) -> None:
        self.path = path = Path(path)
        self.best = path / "model_best.pth"
        self.latest = path / "model_latest.pth"
        self.config = path / "config.json"
        self.history = path / "history.csv"
        self.damaged_history = path / "history.damaged.csv"
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
        self.status = path / ".progress.json"
        self.candidate = path / ".candidate.pth"
        self.tensorboard = path / "logs" / "tensorboard"

    @property
    def is_run(self) -> bool:
        """Whether training wrote this directory; true for a run of a newer format, too."""
        try:
            content = read_json(self.config)
        except InputError:
            return False
        if isinstance(content.get("format"), int):
            return {"video", "train"} <= content.keys()
        return {"flags", "identity"} <= content.keys()  # format 0

    def create(self) -> None:
        """Make the directory; raises `InputError` where it contains files but no run."""
        make_folder(self.path)
        foreign = any(not item.name.startswith(".") for item in self.path.iterdir())
        if foreign and not self.is_run:
            raise InputError(
                f"{self.path} contains files but no run: choose another folder (`out`)"
            )

    def clear(self, everything: bool) -> None:
        """Remove an earlier run's files; with ``everything``, all files but the lock.

        ``model_latest.pth`` goes first and ``config.json`` last, so that a directory whose
        clearing was interrupted is still recognised as a run, and not resumed.
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
    def locked(self, progress: Progress = SILENT) -> Iterator[None]:
        """Lock the directory against a second training; the lock ends with its process.

        Raises `InputError` where another process has the lock. A file system without locks is
        named in a message. Files that a killed process left half-written are removed.
        """
        try:  # a link is not followed, and a pipe does not block
            handle = os.open(self.path / ".lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
        except OSError as error:
            raise cannot_write(self.path, error) from None
        file = os.fdopen(handle, "wb")
        with file:
            try:
                _lock(file)
            except BlockingIOError:
                raise InputError(
                    f"another training is writing {self.path}: wait for it, or choose another "
                    "folder (`out`)"
                ) from None
            except OSError as error:
                if error.errno not in UNSUPPORTED:
                    raise cannot_write(self.path, error) from None
                progress.message(
                    f"the file system of {self.path} has no locks ({error.strerror}): start no "
                    "second training in this folder"
                )
            sweep(self.path)
            try:
                for leftover in (self.candidate, self.status):
                    leftover.unlink(missing_ok=True)
            except OSError as error:
                raise cannot_write(self.path, error) from None
            try:
                yield
            finally:
                with suppress(OSError):  # such as a file system that became read-only
                    self.status.unlink(missing_ok=True)

    @property
    def in_training(self) -> bool:
        """Whether a training has locked this directory now."""
        try:
            with open_file(self.path / ".lock", 0) as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except (InputError, OSError):
            return False
        return False

    def write_status(self, status: TrainingStatus) -> None:
        """Write how far the training is, for `read_status` in another process."""
        self.write_json(self.status, asdict(status))

    def read_status(self) -> TrainingStatus | None:
        """How far the training is; None before its first steps, and where none is running."""
        if not self.in_training:
            return None
        try:
            return msgspec.convert(read_json(self.status), TrainingStatus)
        except (InputError, ValueError):
            return None

    def write_json(self, path: Path, content: Mapping[str, Any]) -> None:
        """Write a readable JSON file, atomically."""
        with atomic_write(path) as temporary:
            temporary.write_text(json.dumps(content, indent=2, default=str) + "\n")

    def write_config(self, config: RunConfig) -> None:
        """Write ``config.json``."""
        self.write_json(self.config, config.to_json())

    def read_config(self) -> RunConfig:
        """The content of ``config.json``, of this format or an older one.

        Raises `InputError` where there is none, or where it cannot be read.
        """
        missing = f"{self.path} is not a run: it has no config.json"
        content = read_json(self.config, missing=missing)
        try:
            return RunConfig.from_json(content)
        except InputError as error:
            raise InputError(f"{self.path}: {error}") from None

    def read_teacher(self) -> TeacherRecord:
        """The teacher; raises `InputError` where the run has none."""
        teacher = self.read_config().teacher
        if teacher is None:
            raise InputError(
                f"{self.path} has no teacher: evaluate it again (`evaluate`) with a `clip_model`"
            )
        return teacher

    def read_metrics(self) -> Metrics:
        """The content of ``metrics.json``; raises `InputError` if it is missing or damaged."""
        try:
            return Metrics.from_json(read_json(self.metrics))
        except (InputError, ValueError) as error:
            raise InputError(
                f"{self.path} has no {self.metrics.name} that can be read "
                f"({str(error).replace('`', chr(39))}): evaluate it again (`evaluate`)"
            ) from None

    def read_verification(self) -> dict[str, Any]:
        """The content of ``verification.json``; raises `InputError` if missing or damaged."""
        return read_json(self.verification)

    def read_per_frame(self) -> pd.DataFrame:
        """A row for each frame, as `Evaluation.per_frame`; raises `InputError` if damaged."""
        table = read_table(self.per_frame, MAX_FRAMES)
        for name in set(ADDED) - set(table):
            table[name] = float("nan")
        if not set(COLUMNS) <= set(table) or not set(table["split"]) <= {"train", "val", "unused"}:
            raise InputError(f"{self.per_frame} is damaged: evaluate the run again (`evaluate`)")
        return table

    def read_history(self) -> pd.DataFrame:
        """A row for each evaluation during training; empty where the run has none.

        Rows that cannot be read are left out. Raises `InputError` where none can be read.
        """
        found = read_history(self.history)
        if found.damaged and found.rows.empty:
            raise InputError(f"{self.history} is damaged: move it out of the run directory")
        return found.rows

    def append_history(self, row: Mapping[str, Any]) -> Path | None:
        """Add an evaluation; returns where a damaged file is kept, of which valid rows are copied.

        Rows of the same or a later epoch are dropped: an interrupted training wrote them after the
        state that this one resumed from.
        """
        rows = pd.DataFrame([row])
        found, kept = read_history(self.history), None
        if found.damaged:
            kept = self.damaged_history
            with atomic_write(kept) as temporary:
                shutil.copyfile(self.history, temporary)
        if len(found.rows):
            earlier = found.rows[found.rows["epoch"] < row["epoch"]]
            rows = pd.concat([earlier, rows], ignore_index=True)
        with atomic_write(self.history) as temporary:
            rows.to_csv(temporary, index=False)
        return kept


def _lock(file: BinaryIO) -> None:
    """Take the exclusive lock; tries again, because `Run.in_training` takes it for an instant."""
    for attempt in range(4):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if attempt == 3:
                raise
            time.sleep(0.02)
        else:
            return
