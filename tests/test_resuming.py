"""Training goes on where files of its run are damaged or foreign, or cannot be written."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from nerv_clip import InputError
from nerv_clip.models.checkpoint import load_checkpoint, save_checkpoint
from nerv_clip.runs.run import Run
from nerv_clip.runs.tensorboard import Curves, EventFile
from nerv_clip.training.results import EpochResult
from tests.runs import flags, own
from tests.test_training import same
from train.train_nerv_clip import main

ROW = {"epoch": 6, "psnr": 20.5, "best": True}


def test_rows_of_a_damaged_history_are_kept_and_the_rest_is_moved(tmp_path: Path) -> None:
    run = Run(tmp_path)
    lines = ["epoch,psnr,best", "2,18.5,True", "4,abc,False", "\x00\x00", "5,19.0", "6,1,True"]
    run.history.write_text("\n".join(lines) + "\n")
    assert run.read_history()["epoch"].tolist() == [2, 6]
    kept = run.append_history(ROW)
    assert kept == tmp_path / "history.damaged.csv"
    assert kept.read_text().splitlines() == lines
    expected = pd.DataFrame({"epoch": [2, 6], "psnr": [18.5, 20.5], "best": [True, True]})
    pd.testing.assert_frame_equal(run.read_history(), expected)
    assert run.append_history({**ROW, "epoch": 8}) is None


@pytest.mark.parametrize("content", [b"\xff\xfe", b"mine\n1,2,3\n", b"", b"epoch\n,\n"])
def test_a_history_without_a_valid_row_does_not_stop_a_training(
    tmp_path: Path, content: bytes
) -> None:
    run = Run(tmp_path)
    run.history.write_bytes(content)
    with pytest.raises(InputError, match=r"history\.csv is damaged"):
        run.read_history()
    assert run.append_history(ROW) is not None
    assert run.read_history()["epoch"].tolist() == [6]


def with_other_optimiser(state: dict[str, Any]) -> None:
    for group in own(state)["optimiser"]["param_groups"]:
        group["betas"] = (0.9, 0.99)


def with_other_moments(state: dict[str, Any]) -> None:
    for values in own(state)["optimiser"]["state"].values():
        for name in values:
            values[name] = torch.zeros(3, 3, 3)


def test_a_foreign_training_state_is_one_line(run: Path, video_file: Path) -> None:
    latest = run / "model_latest.pth"
    foreign = {
        "other optimiser": with_other_optimiser,
        "other moments": with_other_moments,
        "other frames": lambda state: own(state).update(order=[0, 5, 40], step=1),
        "step": lambda state: own(state).update(step=99),
        "epoch": lambda state: own(state).update(epoch="two"),
        "best": lambda state: state.update(best="good"),
        "pending": lambda state: state.update(pending={"epoch": 1}),
        "average": lambda state: own(state).update(average={"other": torch.zeros(3)}),
        "sums": lambda state: own(state).update(sums=3),
        "segments": lambda state: state.update(segments=[]),
        "results": lambda state: state.update(results=[{"epoch": 1}]),
        "two segments": lambda state: state.update(segments=2 * state["segments"]),
    }
    right = latest.read_bytes()
    for name, change in foreign.items():
        latest.write_bytes(right)
        state = load_checkpoint(latest)
        change(state)
        save_checkpoint(state, latest)
        with pytest.raises(InputError, match="is damaged or not a training state"):
            main(flags(video_file))
        assert same(load_checkpoint(latest), state), name


def test_training_goes_on_without_curves(
    run: Path, video_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = load_checkpoint(run / "model_latest.pth")
    own(state).update(epoch=2, step=0, order=[])
    save_checkpoint(state, run / "model_latest.pth")
    shutil.rmtree(run / "logs")
    (run / "logs").write_text("no folder")
    main(flags(video_file))
    assert capsys.readouterr().err.count("training goes on without them") == 1
    assert Run(run).read_history()["epoch"].tolist() == [2, 4]


def test_a_full_disk_ends_the_curves_with_one_line(tmp_path: Path) -> None:
    lines: list[str] = []
    result = EpochResult(epoch=1, losses={"pixel": 0.5}, psnr=20.0, lr=0.1, seconds=1.0)
    with Curves(tmp_path / "curves", 0, lines.append) as curves:
        curves.epoch(result)
        assert curves.events is not None
        curves.events.file.close()
        curves.events.file = Path("/dev/full").open("wb", buffering=0)  # noqa: SIM115
        curves.epoch(result)
        curves.pictures(1, torch.zeros(3, 8, 8), torch.zeros(3, 8, 8))
    assert lines == [
        "cannot write the curves of TensorBoard (No space left on device): training goes on "
        "without them"
    ]
    events = EventAccumulator(str(tmp_path / "curves")).Reload()
    assert events.Scalars("train/psnr")[0].value == 20


def test_curves_are_written_below_a_name_that_is_not_utf8(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"\xff\xfe")
    EventFile(folder, 1).close()
    (file,) = folder.iterdir()
    assert np.frombuffer(file.read_bytes(), np.uint8).size > 20
