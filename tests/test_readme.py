"""Every command and every Python block of the README and the documents is run."""

from __future__ import annotations

import io
import json
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
import torch

from nerv_clip.demo import write_kitchen
from tests.documents import DOCS, DOCUMENTS, README, ROOT, blocks, commands, names, table
from tests.samples import write_test_video

Done = subprocess.CompletedProcess[str]
TINY_KITCHEN = ["--frames", "60", "--height", "36", "--samples", "1"]
FEW_EPOCHS = ["-e", "4"]  # of a training on larger frames
LITTLE_TIME = ["--minutes", "0.1"]


@pytest.fixture(autouse=True)
def _workspace(_own_place: None) -> None:
    """A folder with the project's scripts, a shipped run, a video, and texts to search for."""
    Path("train").symlink_to(ROOT / "train")
    shutil.copytree(ROOT / "checkpoints" / "kitchen", "checkpoints/kitchen")
    write_test_video(Path("video.mp4"), 4)
    Path("queries.txt").write_text("a red mug\na kettle on the counter\n")


def keep_five_frames() -> None:
    """Delete all but the first five frames of the rendered kitchen, to train on it quickly."""
    for picture in sorted(Path("data/Kitchen").glob("*.png"))[5:]:
        picture.unlink()


def run(command: str, *more: str) -> Done:
    """Run a command. A script of ours runs in this process, since importing torch is slow."""
    words = [*shlex.split(command), *more]
    if words[0] == "python":
        return script(words[1:])
    tools = Path(sys.executable).parent
    path = f"{tools}:{os.environ['PATH']}"
    return subprocess.run(
        words,
        env={**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )


def script(words: list[str]) -> Done:
    """The exit code and the output of ``python SCRIPT FLAG …``."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr(sys, "argv", words)
        try:
            runpy.run_path(words[0], run_name="__main__")
            code = 0
        except SystemExit as left:
            code = int(left.code or 0)
    return subprocess.CompletedProcess(words, code, out.getvalue(), err.getvalue())


def run_all(document: Path) -> dict[str, Done]:
    """Run the commands of a document in order, with fewer epochs or frames; each succeeds."""
    results = {}
    for command in commands(document):
        more = ["--inspect"] if command.startswith("tensorboard") else []
        more = TINY_KITCHEN if "render_kitchen.py" in command else more
        more = FEW_EPOCHS if "-e 40" in command and "--predict_clip" not in command else more
        more = LITTLE_TIME if "--minutes" in command else more
        done = run(command, *more)
        if "--predict_clip" in command and "--clip_model" not in command:
            # the default teacher is downloaded, which no test may do
            assert done.returncode == 2, command
            assert "--clip_model demo" in done.stderr
        else:
            assert done.returncode == 0, f"{command}\n{done.stderr[-1500:]}"
        if "render_kitchen.py" in command:
            keep_five_frames()
        results[command] = done
    return results


def run_python(document: Path) -> dict[str, object]:
    """Run the Python blocks of a document in one namespace, and return it."""
    namespace: dict[str, object] = {"__name__": "__main__"}
    for block in blocks(document):
        if block.language == "python":
            assert not block.reason, "Python blocks are always run"
            with redirect_stdout(io.StringIO()):
                exec(compile(block.code, document.name, "exec"), namespace)  # noqa: S102
    return namespace


def test_commands_of_the_readme_run() -> None:
    done = run_all(README)
    assert sum("train_nerv_clip.py" in command for command in done) == 2
    (search,) = [done[command] for command in done if "search.py" in command]
    assert "a kettle on the counter:" in search.stdout
    assert Path("output/first/model_best.pth").exists()
    assert run_python(README)["moment"]


def test_commands_of_the_page_on_long_videos_run() -> None:
    (command,) = run_all(DOCS / "long_videos.md")
    assert "--minutes 10" in command
    config = json.loads(Path("output/ten_minutes/config.json").read_text())
    assert config["budget"]["minutes"] == 0.1


def test_commands_of_the_training_page_run() -> None:
    write_kitchen(Path("data/Kitchen"), 0, 60, (36, 64), 1)
    keep_five_frames()
    done = run_all(DOCS / "training.md")
    kitchen = [c for c in done if "train_nerv_clip.py" in c and "data/Kitchen" in c]
    assert ["--predict_clip" in command for command in kitchen] == [True, False]
    metrics = json.loads(Path("output/kitchen/metrics.json").read_text())
    assert metrics["train"]["clip_similarity"] > 0.1  # random vectors: 0 ± .04
    assert json.loads(Path("output/kitchen_pixels/metrics.json").read_text())
    (verified,) = [done[c] for c in done if "test_clip_learning.py" in c]
    assert verified.stdout.startswith("verdict: ")
    assert Path("output/clip_verification/report.html").exists()
    (parallel,) = [done[c] for c in done if c.startswith("torchrun")]
    assert parallel.stderr.count("written to output/parallel") == 1  # by the first process only
    assert json.loads(Path("output/parallel/config.json").read_text())["processes"] == 2
    assert Path("output/first/reconstruction.mp4").exists()
    (board,) = [done[c] for c in done if c.startswith("tensorboard")]
    assert "train/pixel_loss" in board.stdout
    for name in ("first", "kitchen", "kitchen_pixels", "parallel"):
        check_run_is_as_documented(Path("output") / name)


def check_run_is_as_documented(path: Path) -> None:
    """Every file of a run, and every key of its checkpoints, is in the documents."""
    page = DOCS / "run_directory.md"
    documented = {Path(name).parts[0] for name in names(page, "Files")}
    assert {item.name for item in path.iterdir()} <= documented
    for checkpoint in ("model_best.pth", "model_latest.pth"):
        keys = torch.load(path / checkpoint, weights_only=True).keys()
        assert sorted(keys) == sorted(names(page, checkpoint))


def test_commands_of_the_verification_page_run() -> None:
    (done,) = run_all(DOCS / "verification.md").values()
    assert done.stdout.startswith("verdict: equivalent to interpolation")
    rows = json.loads(Path("output/clip_verification/verification.json").read_text())["rows"]
    compared = {row["name"].split(" (")[0] for row in rows} - {"prediction"}
    assert compared == {row[0] for row in table(DOCS / "verification.md", "Baselines")}
    written = {path.name for path in Path("output/clip_verification").iterdir()}
    assert written == {"report.html", "verification.json", "per_frame.csv"}


def test_commands_of_the_search_page_run() -> None:
    done = run_all(DOCS / "search.md")
    texts, like, edl, fidelity = done.values()
    assert "a kettle on the counter:" in texts.stdout
    documented = names(DOCS / "search.md", "Lists for programs")
    assert all(list(moment) == documented for moment in json.loads(like.stdout))
    assert json.loads(like.stdout)
    assert edl.stdout.startswith("TITLE: ")
    assert "checkpoints/kitchen: 2 queries" in fidelity.stdout


def test_commands_of_the_page_on_places_run() -> None:
    _, search = run_all(DOCS / "where.md").values()
    assert all("x" in moment for moment in json.loads(search.stdout))
    namespace = run_python(DOCS / "where.md")
    assert tuple(namespace["place"].shape) == (1, 512)  # type: ignore[attr-defined]


def test_commands_of_the_demo_page_run() -> None:
    done = run_all(DOCS / "demo.md")
    assert Path("data/Kitchen/labels.json").exists()
    (search,) = [done[command] for command in done if "search.py" in command]
    assert "a kettle on the counter:" in search.stdout


def test_examples_of_the_python_page_run() -> None:
    write_test_video(Path("video.mp4"), 12)
    namespace = run_python(DOCS / "python.md")
    assert tuple(namespace["pictures"].shape) == (3, 3, 48, 80)  # type: ignore[attr-defined]
    assert Path("output/first/metrics.json").exists()
    assert Path("output/clip_verification/report.html").exists()


def test_every_document_with_code_has_a_test() -> None:
    tested = {"README.md", "training.md", "verification.md", "search.md", "demo.md"}
    tested |= {"long_videos.md", "where.md"}
    assert {document.name for document in DOCUMENTS if commands(document)} == tested
    scripts = {d.name for d in DOCUMENTS if any(b.language == "python" for b in blocks(d))}
    assert scripts == {"README.md", "python.md", "where.md"}


def test_commands_that_are_not_run_are_make_or_start_a_server() -> None:
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for document in DOCUMENTS:
        for command in commands(document, run=False):
            words = command.split()
            if words[0] == "make":
                assert words[1] in targets, command
            else:
                assert words[0] in (".", "streamlit"), command


def test_every_bench_has_a_help_page() -> None:
    scripts = [s for s in (ROOT / "bench").glob("*.py") if "__main__" in s.read_text()]
    assert len(scripts) > 10
    for path in scripts:
        done = script([str(path), "--help"])
        assert done.returncode == 0
        assert f"usage: {path.name}" in done.stdout
