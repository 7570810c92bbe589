"""A run of format 0, written before run directories had a version, still does all it could.

`tests/data/format_0/run` was trained at commit c612a31 by

    train_nerv_clip.py --predict_clip --clip_dim 16 --clip_model local-dir:format_0/teacher
      --pixel_loss_warmup_epochs 10 --data_path format_0/moving.mp4 --data_split 3_3_4
      --modelsize 0.009 --lower_width 4 --stem_width 16 -e 40 -b 2 --eval_freq 20 --bits 16

Its `model_latest.pth` is of an interruption in epoch 22, after step 4; all else is of the end.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from nerv_clip import load_run
from train.search import main as search
from train.test_clip_learning import main as verify
from train.train_nerv_clip import main as train

DATA = Path(__file__).parent / "data" / "format_0"
RUN = Path("format_0/run")
VIDEO = ["--data_path", "format_0/moving.mp4", "--outf", "format_0/run"]
FLAGS = [
    "--predict_clip",
    "--clip_dim",
    "16",
    "--clip_model",
    "local-dir:format_0/teacher",
    "--pixel_loss_warmup_epochs",
    "10",
    "--data_split",
    "3_3_4",
    "--modelsize",
    "0.009",
    "--lower_width",
    "4",
    "--stem_width",
    "16",
    "-e",
    "40",
    "-b",
    "2",
    "--eval_freq",
    "20",
    "--bits",
    "16",
    "--arc_weight",
    "1.0",
]


@pytest.fixture(autouse=True)
def _copied(_own_place: None) -> None:
    shutil.copytree(DATA, "format_0")


def read_json(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((RUN / name).read_text())
    return content


def test_format_0_evaluates_to_the_same_metrics() -> None:
    before = read_json("metrics.json")
    (RUN / "metrics.json").unlink()
    train([*VIDEO, "--eval_only"])
    after = read_json("metrics.json")
    for split in ("train", "val"):
        assert after[split]["psnr"] == pytest.approx(before[split]["psnr"], abs=0.01)
        for name in ("ms_ssim", "clip_similarity", "teacher_similarity"):
            assert after[split][name] == pytest.approx(before[split][name], abs=1e-3)
    assert after["frames"] == {"all": 24, "train": 18, "val": 6}
    assert (RUN / "comparison.mp4").exists()


def test_format_0_resumes_in_mid_epoch_and_ends_the_same(
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = read_json("metrics.json")
    history = pd.read_csv(RUN / "history.csv")
    history[history["epoch"] < 22].to_csv(RUN / "history.csv", index=False)
    train([*VIDEO, *FLAGS])
    assert "resuming at epoch 22, step 5" in capsys.readouterr().err
    after = read_json("metrics.json")
    for split in ("train", "val"):
        assert after[split]["psnr"] == pytest.approx(before[split]["psnr"], abs=0.05)
        assert after[split]["clip_similarity"] == pytest.approx(
            before[split]["clip_similarity"], abs=1e-3
        )
    again = pd.read_csv(RUN / "history.csv")
    assert again["epoch"].tolist() == [20, 40]
    for column in ("pixel_loss", "clip_loss", "total_loss", "psnr"):
        assert again[column][1] == pytest.approx(history[column][1], rel=5e-3)


def test_format_0_repeats_an_evaluation_that_was_interrupted() -> None:
    """Its pending epoch is a list, without the losses that format 0 did not record."""
    state = torch.load(RUN / "model_latest.pth", weights_only=True)
    row = pd.read_csv(RUN / "history.csv").iloc[0]
    values = [float(row[name]) for name in ("total_loss", "psnr", "lr", "seconds")]
    state["pending"] = [20, float(row["pixel_loss"]), float(row["clip_loss"]), *values]
    torch.save(state, RUN / "model_latest.pth")
    (RUN / "history.csv").unlink()
    train([*VIDEO, *FLAGS])
    history = pd.read_csv(RUN / "history.csv")
    assert history["epoch"].tolist() == [20, 40]
    assert history["pixel_loss"][0] == row["pixel_loss"]
    assert history["motion_loss"].isna().tolist() == [True, False]


def test_format_0_is_searched(capsys: pytest.CaptureFixture[str]) -> None:
    search(["a blue mug", "--run", "format_0/run", "--json"])
    hits = json.loads(capsys.readouterr().out)
    assert hits
    assert all(0 <= hit["start"] <= hit["peak"] <= hit["end"] <= 1 for hit in hits)
    assert all(hit["run"] == "format_0/run" for hit in hits)
    assert load_run(RUN).search("a blue mug").true_relevancy is not None


def test_format_0_is_verified_to_the_same_figures(capsys: pytest.CaptureFixture[str]) -> None:
    before = read_json("verification.json")
    verify(["--checkpoint", "format_0/run/model_best.pth", "--data_path", "format_0/moving.mp4"])
    assert "no evidence" in capsys.readouterr().out
    after = read_json("verification.json")
    assert (after["rule"], before.get("rule")) == (2, None)  # the labels are others since
    rows = [row for row in after["rows"] if row["kind"] != "table"]
    assert [row["name"] for row in rows] == [row["name"] for row in before["rows"]]
    for row, old in zip(rows, before["rows"], strict=True):
        for split in ("all", "train", "val"):
            for measure in ("cosine", "centred"):
                expected = old["figures"][split][measure]["mean"]
                assert row["figures"][split][measure]["mean"] == pytest.approx(expected, abs=2e-3)
