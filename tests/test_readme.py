"""Every command block of the README, run word by word."""

from __future__ import annotations

import io
import json
import os
import re
import runpy
import shlex
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
import torch

from tests.samples import write_test_video

ROOT = Path(__file__).parents[1]


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)


def run(command: str) -> subprocess.CompletedProcess[str]:
    """A README command, typed in a folder that has the project's scripts and a video.

    A script of ours runs in this process, since each import of torch takes seconds.
    """
    words = shlex.split(command)
    if words[0] == "python":
        return script(words[1:])
    tools = Path(sys.executable).parent
    return subprocess.run(
        words,
        env={**os.environ, "PATH": f"{tools}:{os.environ['PATH']}", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )


def script(words: list[str]) -> subprocess.CompletedProcess[str]:
    """``python SCRIPT FLAG …``: how it ends, and what it says."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr(sys, "argv", words)
        try:
            runpy.run_path(words[0], run_name="__main__")
            code = 0
        except SystemExit as left:
            code = int(left.code or 0)
    return subprocess.CompletedProcess(words, code, out.getvalue(), err.getvalue())


def test_the_commands() -> None:
    write_test_video(Path("video.mp4"), 4)
    Path("train").symlink_to(ROOT / "train")
    commands = [line for block in blocks("bash") for line in block.strip().splitlines()]
    trained = [c for c in commands if "train_nerv_clip.py" in c and "data/Kitchen" not in c]
    assert len(trained) == 4
    for command in trained:
        done = run(command)
        if "--predict_clip" in command:  # the default teacher is downloaded, which no test may do
            assert done.returncode == 2
            assert "--clip_model demo" in done.stderr
        else:
            assert done.returncode == 0, done.stderr[-1500:]
    assert Path("output/first/reconstruction.mp4").exists()
    assert Path("output/parallel/model_best.pth").exists()
    (board,) = [c for c in commands if c.startswith("tensorboard")]
    inspected = run(board + " --inspect")
    assert "train/pixel_loss" in inspected.stdout
    (python,) = blocks("python")
    names: dict[str, object] = {}
    exec(python, names)  # noqa: S102 - our own README
    frames = names["frames"]
    assert isinstance(frames, torch.Tensor)
    assert frames.shape == (3, 3, 48, 80)


def test_the_kitchen_s_commands() -> None:
    """Rendered small, trained word by word on eight frames, with the CLIP head and without."""
    Path("train").symlink_to(ROOT / "train")
    commands = [line for block in blocks("bash") for line in block.strip().splitlines()]
    (rendered,) = [c for c in commands if "render_kitchen.py" in c]
    done = run(rendered + " --frames 60 --height 36 --samples 1")
    assert done.returncode == 0, done.stderr[-1500:]
    for picture in sorted(Path("data/Kitchen").glob("*.png"))[8:]:
        picture.unlink()
    trained = [c for c in commands if "train_nerv_clip.py" in c and "data/Kitchen" in c]
    assert ["--predict_clip" in c for c in trained] == [True, False]
    for command in trained:
        done = run(command)
        assert done.returncode == 0, done.stderr[-1500:]
    metrics = json.loads(Path("output/kitchen/metrics.json").read_text())
    assert metrics["train"]["clip_similarity"] > 0.1  # of random vectors: 0 ± .04
    (verified,) = [c for c in commands if "test_clip_learning.py" in c]
    done = run(verified)
    assert done.returncode == 0, done.stderr[-1500:]
    assert done.stdout.startswith("verdict: ")
    assert Path("output/clip_verification/report.html").exists()
    (searched,) = [c for c in commands if "search.py" in c]
    done = run(searched)
    assert done.returncode == 0, done.stderr[-1500:]
    assert "a kettle on the counter:" in done.stdout


def test_the_other_commands_are_make_s() -> None:
    commands = [line for block in blocks("bash") for line in block.strip().splitlines()]
    others = [c for c in commands if not c.startswith(("python", "torchrun", "tensorboard"))]
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for command in others:
        words = command.split()
        assert words[0] in ("make", "."), command
        assert words[0] == "." or words[1] in targets


def test_every_bench_has_a_help_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "bench")
    scripts = [s for s in (ROOT / "bench").glob("*.py") if "__main__" in s.read_text()]
    assert len(scripts) > 10
    for path in scripts:
        done = script([str(path), "--help"])
        assert done.returncode == 0
        assert f"usage: {path.name}" in done.stdout
