"""Bad input: one line, exit code 2, and no file changed."""

from __future__ import annotations

import json
import os
import resource
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from PIL import Image

from nerv_clip.cli import main_guard
from tests.runs import flags
from tests.samples import write_tiny_clip
from train.train_nerv_clip import main


@pytest.fixture
def refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Refused:
    return Refused(monkeypatch, capsys, tmp_path)


class Refused:
    """Run the script as its ``__main__`` does; returns the one line it leaves with."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: Path
    ) -> None:
        self.monkeypatch, self.capsys, self.folder = monkeypatch, capsys, folder

    def __call__(self, *argv: str, touched: bool = False) -> str:
        self.capsys.readouterr()
        before = self.files()
        self.monkeypatch.setattr(sys, "argv", ["train/train_nerv_clip.py", *argv])
        with pytest.raises(SystemExit) as left:
            main_guard(main)
        assert left.value.code == 2
        lines = [x for x in self.capsys.readouterr().err.splitlines() if "train_nerv_clip.py:" in x]
        assert len(lines) == 1
        assert touched or self.files() == before
        return lines[0]

    def files(self) -> dict[Path, int]:
        """What lies in the folder and its sub-folders, caches apart."""
        found = [p for p in self.folder.rglob("*") if "cache" not in p.parts]
        return {p: p.stat().st_mtime_ns for p in found if p.is_file()}


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        (["-e", "0"], "--epochs"),
        (["-b", "0"], "--batchSize"),
        (["--lr", "-1"], "--lr"),
        (["--lr", "nan"], "--lr"),
        (["--ema", "1"], "--ema"),
        (["--eval_freq", "0"], "--eval_freq"),
        (["--save_freq", "-1"], "--save_freq"),
        (["--cache_gb", "nan"], "--cache_gb"),
        (["--manualSeed", "-1"], "--manualSeed"),
        (["--loss", "L3"], "--loss"),
        (["--optim", "lion"], "--optim"),
        (["--lr_type", "sawtooth"], "--lr_type"),
        (["--data_split", "0_1_2"], "1 <= a"),
        (["--data_split", "3_2_4"], "--data_split"),
        (["--crop_list", "640"], "--crop_list"),
        (["--crop_list", "640_1280"], "larger than the frames"),
        (["--resize_list", "0_4"], "--resize_list"),
        (["--vid_start", "12"], "--vid_start"),
        (["--vid_step", "0"], "--vid_step"),
        (["--modelsize", "0.0001"], "too small for any width"),
        (["--modelsize", "-1"], "--modelsize"),
        (["--modelsize", "1e9"], "too large"),
        (["--stem_width", "0"], "--stem_width"),
        (["--reduce", "1e-200"], "--reduce"),
        (["--enc_strds", "4", "2", "2", "--enc_dim", "8_nan"], "--enc_dim"),
        (["--enc_strds", "4", "2", "2", "--enc_dim", "0_4"], "--enc_dim"),
        (["--enc_strds", "4", "2", "2", "--enc_dim", "8_inf"], "--enc_dim"),
        (["--enc_strds", "4", "2", "2", "--head_strd", "2"], "--dec_strds"),
        (["--lr_type", "cosine_0.1_-1_0.1"], "--lr_type"),
        (["--lr_type", "step_0.5_nan"], "--lr_type"),
        (["--suffix", "/b"], "--suffix"),
        (["--conv_type", "convnext", "convnext"], "--conv_type"),
        (["--t_grids", "1_10000000000"], "too small"),
        (["--dec_strds", "0"], "--dec_strds"),
        (["--vid_end", "-3"], "--vid_end"),
        (["--embed", "xyz"], "--embed"),
        (["--embed", ""], "--enc_strds"),
        (["--ks", "1_2"], "--ks"),
        (["--t_grids", "x"], "--t_grids"),
        (["--conv_type", "conv"], "--conv_type"),
        (["--fc_hw", "1_1", "--dec_strds", "2"], "less than the frame"),
        (["--clip_tap", "1"], "--predict_clip"),
        (["--predict_dense"], "--predict_clip"),
        (["--clip_every", "0", "--clip_model", "demo"], "--clip_every 0"),
        (["--clip_every", "2"], "needs a teacher"),
        (["--clip_every", "2", "--clip_input"], "--clip_input"),
        (["--predict_clip"], "--pixel_loss_warmup_epochs"),
        (["--best_metric", "clip_similarity_train"], "--predict_clip"),
        (["--best_metric", "psnr_val", "--data_split", "1_1_1"], "has no held-out frames"),
        (["--loss", "Fusion6", "--resize_list", "8_8"], "11x11"),
        (["--clip_model", "demo", "--clip_pretrained", "random:9" + 30 * "0"], "random:SEED"),
        (["--nonsense"], "--nonsense"),
        (["--predict_clip", "-e", "4", "--pixel_loss_warmup_epochs", "4"], "never be trained"),
        (["--eval_only"], "no checkpoint"),
        (["--weight", "absent.pth"], "no checkpoint"),
    ],
)
def test_flag_out_of_range_is_refused(
    refused: Refused, video_file: Path, wrong: list[str], named: str
) -> None:
    assert named in refused(*flags(video_file, *wrong))


def test_missing_data_is_refused(refused: Refused, tmp_path: Path) -> None:
    assert "does not exist" in refused("--data_path", str(tmp_path / "no.mp4"))
    assert "--data_path" in refused()
    (tmp_path / "empty").mkdir()
    assert "no image" in refused("--data_path", str(tmp_path / "empty"))


def test_data_that_is_not_a_video_is_refused(
    refused: Refused, tmp_path: Path, video_file: Path
) -> None:
    (tmp_path / "text.mp4").write_text("hello")
    assert "not a video" in refused("--data_path", str(tmp_path / "text.mp4"))
    (tmp_path / "cut.mp4").write_bytes(video_file.read_bytes()[:3000])
    assert "damaged" in refused("--data_path", str(tmp_path / "cut.mp4"))
    (tmp_path / "zero.y4m").write_bytes(b"YUV4MPEG2 W16 H16 F25:1 C420\n")
    assert "zero.y4m" in refused("--data_path", str(tmp_path / "zero.y4m"))
    folder = tmp_path / "mixed"
    folder.mkdir()
    for i, size in enumerate([(20, 20), (30, 20)]):
        Image.new("RGB", size).save(folder / f"{i}.png")
    assert "one size" in refused("--data_path", str(folder))


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
def test_cuda_without_a_device_is_refused(refused: Refused, video_file: Path) -> None:
    assert "no CUDA device" in refused(*flags(video_file, "--device", "cuda"))


def test_clip_dim_of_another_teacher_is_refused(
    refused: Refused, video_file: Path, teacher: str
) -> None:
    wrong = ["--predict_clip", "--pixel_loss_warmup_epochs", "1", "--clip_model", teacher]
    assert "embeddings of width 16" in refused(*flags(video_file, *wrong, "--clip_dim", "512"))


def test_teacher_that_cannot_be_downloaded_is_refused(refused: Refused, video_file: Path) -> None:
    line = refused(*flags(video_file, "--predict_clip", "--pixel_loss_warmup_epochs", "1"))
    assert "--clip_model demo" in line


def test_directory_that_is_not_a_run_is_left_alone(refused: Refused, video_file: Path) -> None:
    Path("output/run").mkdir(parents=True)
    Path("output/run/thesis.txt").write_text("mine")
    assert "contains files but no run" in refused(*flags(video_file))
    assert Path("output/run/thesis.txt").read_text() == "mine"


def test_folder_that_cannot_be_written_is_refused(refused: Refused, video_file: Path) -> None:
    Path("file").write_text("in the way")
    assert "cannot write" in refused(*flags(video_file, "--outf", "file/run"))
    for name in ("n" * 256, "é" * 128, "a/" * 3000 + "b", "nul\0"):
        assert "--outf" in refused(*flags(video_file, "--outf", name))
    if os.geteuid():
        Path("closed").mkdir(mode=0o500)
        assert "Permission" in refused(*flags(video_file, "--outf", "closed/run"))


@contextmanager
def disk_of(size: int) -> Iterator[None]:
    """No file may grow over ``size`` bytes: the system refuses, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_full_disk_keeps_the_saved_checkpoint(
    refused: Refused, video_file: Path, run: Path
) -> None:
    saved = run / "model_latest.pth"
    before = saved.read_bytes()
    with disk_of(50_000):
        line = refused(*flags(video_file, "--not_resume", "--outf", "other"), touched=True)
        assert "cannot write" in line
        assert "output/other" in line
    with disk_of(200):
        assert "cannot write" in refused(*flags(video_file, "--outf", "run"), touched=True)
    assert saved.read_bytes() == before
    assert not list(Path("output").rglob(".*.pth"))


def test_damaged_checkpoint_is_named_and_left_alone(
    refused: Refused, video_file: Path, run: Path
) -> None:
    latest = run / "model_latest.pth"
    latest.write_bytes(latest.read_bytes()[:5000])
    line = refused(*flags(video_file), touched=True)
    assert "model_latest.pth" in line
    assert "damaged" in line
    assert latest.stat().st_size == 5000


@pytest.mark.usefixtures("run")
def test_evaluation_on_another_video_is_refused(refused: Refused, video_file: Path) -> None:
    line = refused(
        "--data_path",
        str(video_file),
        "--outf",
        "run",
        "--eval_only",
        "--vid_end",
        "9",
        touched=True,
    )
    assert "draws 12 frames" in line


def test_cache_that_cannot_be_written_is_refused(
    refused: Refused, video_file: Path, teacher: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("in_the_way").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", "in_the_way")
    assert "cannot write" in refused(*flags(video_file, "--clip_model", teacher))
    assert "cannot keep the decoded frames" in refused(*flags(video_file, "--cache_gb", "0"))


def test_run_without_model_latest_is_not_overwritten(
    refused: Refused, video_file: Path, run: Path
) -> None:
    (run / "model_latest.pth").unlink()
    assert "--not_resume" in refused(*flags(video_file), touched=True)
    assert "--loss" in refused(*flags(video_file, "--loss", "L1"), touched=True)
    assert (run / "model_best.pth").exists()


def test_folder_of_another_program_is_left_alone(refused: Refused, video_file: Path) -> None:
    folder = Path("output/run")
    (folder / "logs").mkdir(parents=True)
    for name in ("config.json", "logs/a", ".gitlab-ci.yml"):
        (folder / name).write_text('{"hf": 1}')
    for more in ([], ["--overwrite"], ["--not_resume"]):
        assert "contains files but no run" in refused(*flags(video_file, *more))


def test_metrics_of_another_network_or_teacher_do_not_replace_a_runs(
    refused: Refused, video_file: Path, teacher: str, tmp_path: Path
) -> None:
    semantic = ["--predict_clip", "--clip_dim", "16", "--pixel_loss_warmup_epochs", "1"]
    main(flags(video_file, *semantic, "--clip_model", teacher))
    other = write_tiny_clip(tmp_path / "cache" / "other", seed=5)
    again = ["--data_path", str(video_file), "--outf", "run", "--eval_only"]
    assert "--clip_model" in refused(*again, "--clip_model", other, touched=True)
    main(flags(video_file, "--outf", "second"))
    weight = ["--weight", "output/second/model_best.pth"]
    assert "--weight" in refused(*again, *weight, touched=True)
    for _ in range(2):  # into a directory of its own, as often as one likes
        main([*again, "--outf", "third", *weight])
    third = json.loads(Path("output/third/metrics.json").read_text())
    assert third == json.loads(Path("output/second/metrics.json").read_text()) | {
        "decoded_fps": third["decoded_fps"]
    }  # split and all, from the run of the checkpoint
    best = [Path(f"output/{name}/model_best.pth").read_bytes() for name in ("second", "third")]
    main(flags(video_file, *weight, "--outf", "tuned"))
    assert "another network" in refused(*again, *weight, "--outf", "tuned", touched=True)
    assert best[0] == best[1]
    taught = ["--weight", "output/run/model_best.pth", "--outf", "fourth"]
    assert "--clip_model" in refused(*again, *taught, "--clip_model", other)
    Path("bare").mkdir()
    shutil.copy("output/run/model_best.pth", "bare/m.pth")  # no config says whose teacher it had
    wide = write_tiny_clip(tmp_path / "cache" / "wide", dim=24)
    taught[1] = "bare/m.pth"
    line = refused(*again, *taught, "--data_split", "2_2_3", "--clip_model", wide)
    assert "embeddings of width 24" in line
    assert "--weight" in refused(*flags(video_file, *weight, "--outf", "second"), touched=True)
