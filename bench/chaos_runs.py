"""Small runs for `chaos.py`: commands, what they leave behind, and whether it is right."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from memory import synthetic

from nerv_clip import InputError, Run
from nerv_clip.models.checkpoint import load_checkpoint
from nerv_clip.runs.arrays import read_array
from nerv_clip.video.writer import write_video

ROOT = Path(__file__).parents[1]
SECONDS = 300  # after which a command counts as hanging
VIDEO = "video.mp4"
TRAIN = (
    f"train_nerv_clip.py --data_path {VIDEO} --data_split 2_2_3 --modelsize 0.05 --lower_width 4 "
    "-e 6 -b 2 --eval_freq 2 --save_freq 0 --predict_clip --clip_model demo "
    "--pixel_loss_warmup_epochs 2 --outf run"
).split()
COMMANDS = {
    "train": TRAIN,
    "evaluate": [*TRAIN, "--eval_only", "--dump_videos", "--dump_images"],
    "verify": f"test_clip_learning.py --checkpoint output/run/model_best.pth --data_path {VIDEO} "
    "--outf verified".split(),
    "search": ["search.py", "--run", "output/run", "--csv", "a mug"],
}
TIMED = {"history.csv": "seconds", "metrics.json": "decoded_fps"}  # differ from run to run


class Fault(Exception):  # noqa: N818 - what is looked for
    """What a trial found; ``kind`` is ``lost``, ``traceback`` or ``hang``."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(f"{kind}: {text}")
        self.kind = kind


class Ended(NamedTuple):
    """How a command ended: exit code, standard error, peak resident memory in MiB."""

    code: int
    err: str
    peak: float


class Place(NamedTuple):
    """A folder for one trial: ``work`` with the video and the run, ``cache``, and logs.

    ``prefix`` begins each command, such as a program that drops rights.
    """

    folder: Path
    prefix: tuple[str, ...] = ()

    @property
    def work(self) -> Path:
        """The working directory of the commands."""
        return self.folder / "work"

    @property
    def cache(self) -> Path:
        """The cache folder of the commands."""
        return self.folder / "cache"

    @property
    def run(self) -> Path:
        """The run that the commands write and read."""
        return self.work / "output" / "run"

    def start(self, name: str, log: str = "log.txt") -> Started:
        """Start one of `COMMANDS`."""
        script, *flags = COMMANDS[name]
        path = self.folder / log
        with path.open("wb") as out:
            process = subprocess.Popen(
                [*self.prefix, sys.executable, str(ROOT / "train" / script), *flags],
                cwd=self.work,
                stdout=subprocess.DEVNULL,
                stderr=out,
                env={**os.environ, "XDG_CACHE_HOME": str(self.cache), "OMP_NUM_THREADS": "1"},
            )
        return Started(process, path)

    def complete(self, name: str) -> float:
        """Run one of `COMMANDS`, which must succeed; returns the peak memory in MiB."""
        ended = self.start(name).wait()
        if ended.code != 0:
            raise Fault("lost", f"{name} ended with {ended.code}: {ended.err[-500:]}")
        return ended.peak


class Started(NamedTuple):
    """A command that runs, and the file of its standard error."""

    process: subprocess.Popen[bytes]
    log: Path

    def wait(self, seconds: float = SECONDS) -> Ended:
        """Wait for its end; raises `Fault` for a hang, and for a traceback."""
        end = time.monotonic() + seconds
        while not (done := os.wait4(self.process.pid, os.WNOHANG))[0]:
            if time.monotonic() > end:
                self.process.kill()
                self.process.wait()
                raise Fault("hang", f"{self.process.args!r}: over {seconds:.0f} s")
            time.sleep(0.01)
        self.process.returncode = os.waitstatus_to_exitcode(done[1])
        err = self.log.read_text(errors="replace")
        if "Traceback" in err:
            raise Fault("traceback", err[-500:])
        return Ended(self.process.returncode, err, done[2].ru_maxrss / 1024)


class Undisturbed(NamedTuple):
    """What a command leaves behind when nothing happens to it, and the seconds that it takes."""

    files: dict[str, str]
    seconds: float


class Reference:
    """A video, and `Undisturbed` of each command, which runs when it is first asked for."""

    def __init__(self, folder: Path, known: dict[str, Undisturbed] | None = None) -> None:
        self.folder = folder
        self.video, self.trained = folder / VIDEO, folder / "trained"
        self._known = known or {}
        self._lock = threading.RLock()
        if not self.video.exists():
            folder.mkdir(parents=True)
            wide = torch.from_numpy(synthetic(24, 48, 80)).permute(2, 0, 1)
            frames = (wide[:, :, 2 * i : 2 * i + 80] for i in range(24))
            write_video(self.video, frames, 25, crf=20)

    def of(self, name: str) -> Undisturbed:
        """What a command leaves behind when nothing happens to it."""
        with self._lock:
            if name not in self._known:
                place = self.copy(self.folder / name, name)
                start = time.monotonic()
                place.complete(name)
                took = time.monotonic() - start
                self._known[name] = Undisturbed(contents(place.run), took)
                if name == "train":
                    shutil.copytree(place.run, self.trained)
            return self._known[name]

    def copy(self, folder: Path, name: str) -> Place:
        """What a command needs, in a folder: the video, and the trained run but for ``train``."""
        place = Place(folder)
        place.work.mkdir(parents=True, exist_ok=True)
        shutil.copy(self.video, place.work)
        if name != "train":
            if not self.trained.exists():
                self.of("train")
            shutil.copytree(self.trained, place.run)
        return place

    def check(self, place: Place, name: str) -> None:
        """Raise `Fault` unless a place has what an undisturbed command leaves, and no more."""
        found, right = contents(place.run), self.of(name).files
        if found != right:
            names = [n for n in found.keys() | right.keys() if found.get(n) != right.get(n)]
            raise Fault("lost", f"not as undisturbed: {', '.join(sorted(names))}")
        left = [path for path in place.folder.rglob(".*") if path.name != ".lock"]
        if left:
            raise Fault("lost", f"left over: {', '.join(path.name for path in left)}")


def contents(run: Path) -> dict[str, str]:
    """A hash of what each file of a run holds, without logs and times that were measured."""
    found = {}
    for path in sorted(run.rglob("*")):
        if path.is_file() and "logs" not in path.parts and path.name != ".lock":
            found[str(path.relative_to(run))] = hashlib.sha256(_content(path)).hexdigest()
    return found


def _content(path: Path) -> bytes:
    timed = TIMED.get(path.name)
    if path.suffix == ".pth":  # equal states may be stored by different bytes
        return repr(_plain({**load_checkpoint(path), "spent": None})).encode()  # its seconds
    if path.name == "metrics.json":
        return json.dumps({**json.loads(path.read_text()), timed: None}).encode()
    if path.name == "history.csv":
        with path.open(newline="") as file:
            return repr([{**row, timed: None} for row in csv.DictReader(file)]).encode()
    return path.read_bytes()


def _plain(value: object) -> object:
    """A value whose ``repr`` shows every bit of its tensors."""
    if isinstance(value, torch.Tensor):
        data = value.detach().contiguous().view(-1).view(torch.uint8).numpy().tobytes()
        return str(value.dtype), tuple(value.shape), hashlib.sha256(data).hexdigest()
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def check_readable(path: Path) -> None:
    """Raise `Fault` where a file that a run has cannot be read."""
    run = Run(path)
    readers: dict[str, Callable[[], object]] = {
        "model_latest.pth": lambda: load_checkpoint(path / "model_latest.pth"),
        "model_best.pth": lambda: load_checkpoint(path / "model_best.pth"),
        "config.json": run.read_config,
        "metrics.json": run.read_metrics,
        "verification.json": run.read_verification,
        "clip_similarity_per_frame.csv": run.read_per_frame,
        "history.csv": run.read_history,
        "predicted.npy": lambda: read_array(path / "predicted.npy"),
        "true.npy": lambda: read_array(path / "true.npy"),
    }
    for name, read in readers.items():
        if (path / name).exists():
            try:
                read()
            except InputError as error:
                raise Fault("lost", str(error)) from None
