"""A training that was killed and interrupted ends with the bits of an uninterrupted one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from nerv_clip.models.checkpoint import load_checkpoint
from tests.runs import flags, own
from tests.test_training import same
from train.train_nerv_clip import main

SCRIPT = Path(__file__).parents[1] / "train" / "train_nerv_clip.py"


def start(video_file: Path, *more: str) -> subprocess.Popen[str]:
    """The command as a process of its own, saving after every step."""
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), *flags(video_file, "-e", "16", "--save_freq", "0", *more)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def saved(run: Path) -> dict[str, Any] | None:
    return (
        load_checkpoint(run / "model_latest.pth") if (run / "model_latest.pth").exists() else None
    )


def wait_until(process: subprocess.Popen[str], run: Path, epoch: int) -> None:
    while process.poll() is None:
        state = saved(run)  # always readable: it is renamed into place
        if state is not None and (own(state)["epoch"], own(state)["step"]) >= (epoch, 1):
            return
        time.sleep(0.02)


def test_killed_and_interrupted_training_ends_with_the_same_bits(video_file: Path) -> None:
    run = Path("output/run")
    first = start(video_file)
    wait_until(first, run, 3)
    first.send_signal(signal.SIGKILL)
    assert first.wait() == -signal.SIGKILL
    killed = saved(run)
    assert killed is not None
    assert 3 <= own(killed)["epoch"] < 16

    second = start(video_file)
    wait_until(second, run, own(killed)["epoch"] + 3)
    second.send_signal(signal.SIGINT)
    _, err = second.communicate(timeout=120)
    assert second.returncode == 130
    assert f"resuming at epoch {own(killed)['epoch'] + 1}" in err
    assert "the same command resumes" in err
    stopped = saved(run)
    assert stopped is not None
    assert own(killed)["epoch"] + 3 <= own(stopped)["epoch"] < 16

    main(flags(video_file, "-e", "16", "--save_freq", "0"))
    main(flags(video_file, "-e", "16", "--outf", "alone"))
    runs = [Path("output/run"), Path("output/alone")]
    for name in ("model_latest.pth", "model_best.pth"):
        contents = [load_checkpoint(run / name) for run in runs]
        assert same(*({k: v for k, v in c.items() if k != "spent"} for c in contents))
    histories = [pd.read_csv(run / "history.csv") for run in runs]
    timed = ["seconds"]
    pd.testing.assert_frame_equal(*(history.drop(columns=timed) for history in histories))


def test_save_within_an_epoch_stores_step_and_order(video_file: Path) -> None:
    process = start(video_file)
    wait_until(process, Path("output/run"), 1)
    process.kill()
    process.wait()
    state = saved(Path("output/run"))
    assert state is not None
    assert own(state)["step"] >= 1
    assert sorted(own(state)["order"]) == [i for i in range(12) if i % 3 < 2]
    assert isinstance(own(state)["generator"], torch.Tensor)
