"""A film with cuts is one run: trained, resumed, evaluated, verified and searched as one."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from nerv_clip import InputError, Run, evaluate, load_model, load_run, verify
from nerv_clip.models.checkpoint import load_checkpoint
from tests.runs import CLIP_FLAGS
from tests.test_training import same
from train.train_nerv_clip import main

SCRIPT = Path(__file__).parents[1] / "train" / "train_nerv_clip.py"


def flags(video_file: Path, *more: str) -> list[str]:
    """A film of two segments: the shot of one frame joins the one before it."""
    Path("shots.txt").write_text("# first frames\n0\n5\n6\n")
    tiny = ["--modelsize", "0.3", "--lower_width", "4", "-e", "4", "--eval_freq", "2"]
    film = ["--data_path", str(video_file), "--data_split", "2_2_3", "--shots", "shots.txt"]
    return [*film, "--outf", "film", *tiny, *more]


def test_a_film_is_one_run(video_file: Path, teacher: str) -> None:
    main(flags(video_file, *CLIP_FLAGS, "--clip_model", teacher))
    run = Run("output/film")
    config, metrics = run.read_config(), run.read_metrics()
    assert [(shot.first, shot.last) for shot in config.video.shots] == [(0, 4), (5, 5), (6, 11)]
    assert [shot.end for shot in config.video.shots] == pytest.approx([4 / 25, 5 / 25, 11 / 25])
    segments = config.architecture.segments
    assert [(segment.first, segment.frames) for segment in segments] == [(0, 6), (6, 6)]
    assert [shot.first for shot in metrics.shots] == [0, 5, 6]
    assert len(run.read_per_frame()) == 12
    assert run.read_per_frame()["split"][5] == "train"  # the only frame of its shot
    assert metrics.bytes == run.best.stat().st_size
    decoder = sum(
        p.numel() for network in load_model(run.best).networks for p in network.parameters()
    )
    assert config.parameters.decoder + config.parameters.clip_head == decoder

    again = evaluate(run.path).metrics
    assert again.all == metrics.all
    main(["--data_path", str(video_file), "--outf", "film", "--eval_only"])
    assert run.read_metrics().shots == metrics.shots
    assert run.read_config().video.shots == config.video.shots
    main(
        ["--data_path", str(video_file), "--outf", "copy", "--eval_only", "--weight", str(run.best)]
    )
    assert Run("output/copy").read_metrics().val == metrics.val
    found = verify(run.best)
    assert len(found.per_frame) == 12
    answer = load_run(run.path).search_like(0.0, 0.1)
    cuts = config.video.cuts
    for moment in answer.moments:
        assert cuts.of(round(11 * moment.start)) == cuts.of(round(11 * moment.end))


def test_a_film_resumes_and_refuses_other_shots(
    video_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(flags(video_file))
    whole = load_checkpoint("output/film/model_best.pth")
    latest = load_checkpoint("output/film/model_latest.pth")
    assert len(latest["segments"]) == 2
    shutil.copytree("output/film", "output/kept")
    main(flags(video_file))  # finished: evaluates again
    assert same(load_checkpoint("output/film/model_best.pth"), whole)
    with pytest.raises(InputError, match=r"other values of .*shots"):
        main([*flags(video_file), "--shots", "off"])
    main([*flags(video_file, "--outf", "started", "--weight", "output/kept/model_best.pth")])
    with pytest.raises(InputError, match="does not fit"):
        main(
            [
                *flags(video_file),
                "--shots",
                "off",
                "--outf",
                "x",
                "--weight",
                "output/kept/model_best.pth",
            ]
        )
    assert "MS-SSIM" in capsys.readouterr().err


@pytest.mark.parametrize("more", [["--enc_strds", "2", "2", "--enc_dim", "8_4"], ["--clip_input"]])
def test_encoder_and_clip_input_work_with_segments(
    video_file: Path, teacher: str, more: list[str]
) -> None:
    clip = ["--clip_model", teacher] if "--clip_input" in more else []
    main(flags(video_file, *more, *clip, "--cache_gb", "0"))  # streamed as well
    networks = load_model("output/film/model_best.pth").networks
    assert len(networks) == 2
    assert all(network.table is not None for network in networks)


def test_two_processes_train_segments_one_after_the_other(
    video_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = flags(video_file, "-e", "2", "--save_freq", "0")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    group = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    environment = {**os.environ, **group, "PYTHONPATH": str(SCRIPT.parents[1])}
    with subprocess.Popen(
        [sys.executable, SCRIPT, *command],
        env={**environment, "RANK": "1", "LOCAL_RANK": "1", "OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        text=True,
    ) as other:
        for name, value in (*group.items(), ("RANK", "0"), ("LOCAL_RANK", "0")):
            monkeypatch.setenv(name, value)
        try:
            main(command)
            _, printed = other.communicate(timeout=60)
        finally:
            other.kill()  # where it still runs, it waits for this process
    assert other.returncode == 0, printed[-2000:]
    assert json.loads(Path("output/film/config.json").read_text())["processes"] == 2
    with torch.no_grad():
        frames = load_model("output/film/model_best.pth")(
            torch.zeros(1, dtype=torch.float64)
        ).frames
    assert frames.isfinite().all()
    assert Run("output/film").read_history()["epoch"].tolist() == [2]


@pytest.mark.parametrize(
    ("more", "shots", "frames"),
    [(["--shots", "every.txt"], 12, 12), (["--vid_end", "1"], 1, 1), (["--vid_step", "11"], 1, 2)],
)
def test_a_cut_at_every_frame_and_one_frame_are_trained(
    video_file: Path, more: list[str], shots: int, frames: int
) -> None:
    Path("every.txt").write_text("\n".join(map(str, range(12))))
    tiny = ["--modelsize", "0.05", "--lower_width", "4", "-e", "2", "--data_split", "2_2_3"]
    main(["--data_path", str(video_file), "--outf", "film", *tiny, *more])
    run = Run("output/film")
    assert len(run.read_config().video.shots) == len(run.read_metrics().shots) == shots
    assert run.read_config().split_frames() == ["train"] * frames
    assert np.isfinite(run.read_per_frame()["psnr"]).all()


def test_a_black_video_is_planned_and_trained(tmp_path: Path) -> None:
    folder = tmp_path / "black"
    folder.mkdir()
    for index in range(9):
        Image.new("RGB", (80, 48)).save(folder / f"{index}.png")
    main(["--data_path", str(folder), "--outf", "black", "--minutes", "0.1"])
    run = Run("output/black")
    assert len(run.read_config().video.shots) == 1
    assert run.read_per_frame()["psnr"].min() > 20


@pytest.mark.parametrize(
    ("text", "line"),
    [("0\n7\n5\n", "frame 5 follows frame 7"), ("0\n700\n", "700, but .* has only 12 frames")],
)
def test_wrong_shots_are_one_line_and_nothing_is_lost(
    video_file: Path, run: Path, text: str, line: str
) -> None:
    before = {path.name: path.stat().st_mtime_ns for path in run.iterdir()}
    Path("wrong.txt").write_text(text)
    with pytest.raises(InputError, match=line):
        main(["--data_path", str(video_file), "--outf", "run", "--shots", "wrong.txt"])
    assert {path.name: path.stat().st_mtime_ns for path in run.iterdir()} == before
