"""The app, driven by Streamlit's own test runner."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from nerv_clip.models.checkpoint import load_checkpoint, save_checkpoint
from tests.samples import write_test_video

MAIN = Path(__file__).parents[1] / "app" / "main.py"
SHIPPED = MAIN.parents[1] / "checkpoints"


def opened(monkeypatch: pytest.MonkeyPatch, folder: Path, page: str = "") -> AppTest:
    """A page of the app on the runs below a folder."""
    monkeypatch.setattr(sys, "argv", [str(MAIN), "--runs", str(folder)])
    monkeypatch.syspath_prepend(str(MAIN.parent))
    # the runner puts the app in its place, which processes that a later test spawns would import
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])
    app = AppTest.from_file(str(MAIN), default_timeout=120).run()
    return app.switch_page(f"screens/{page}.py").run() if page else app


def test_without_runs_it_says_how_to_make_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = opened(monkeypatch, tmp_path)
    assert not app.exception
    assert "train/train_nerv_clip.py" in app.info[0].value


def test_a_run_of_another_version_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "config.json").write_text('{"flags": {}, "identity": {}}')
    app = opened(monkeypatch, tmp_path)
    assert not app.exception
    assert "train it again" in app.error[0].value


PAGES = {
    "overview": "kitchen",
    "frames": "Frames",
    "semantics": "Semantics",
    "embedding_map": "Embedding map",
    "search": "Search",
    "verify": "Verify",
    "compare": "Compare",
    "train": "Train",
}
OF_ONE_RUN = [page for page in PAGES if page not in ("compare", "train")]


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a copy of the shipped run, to be broken."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    shutil.copytree(SHIPPED / "kitchen", tmp_path / "runs" / "kitchen")
    return tmp_path / "runs"


@pytest.mark.parametrize("page", PAGES)
def test_a_page_on_shipped_runs(page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    app = opened(monkeypatch, SHIPPED, page)
    assert not app.exception
    assert not app.error
    assert app.title[0].value == PAGES[page]


@pytest.mark.parametrize("page", ["semantics", "embedding_map", "search", "verify"])
def test_what_needs_a_clip_head_says_so(page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    app = opened(monkeypatch, SHIPPED)
    app.sidebar.selectbox[0].select("kitchen_baseline").run()
    app.switch_page(f"screens/{page}.py").run()
    assert not app.exception
    assert "**kitchen_baseline** has no CLIP head" in app.info[0].value
    assert "--predict_clip" in app.info[0].value


@pytest.mark.parametrize("page", OF_ONE_RUN)
def test_a_run_that_is_being_written_says_to_wait(
    page: str, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for file in ("model_best.pth", "metrics.json", "comparison.mp4"):
        (runs / "kitchen" / file).unlink()
    app = opened(monkeypatch, runs, page)
    assert not app.exception
    assert "wait for its first evaluation" in app.error[0].value


@pytest.mark.parametrize("page", [*OF_ONE_RUN, "compare"])
@pytest.mark.parametrize("file", ["metrics.json", "model_best.pth", "comparison.mp4", "true.npy"])
def test_a_damaged_file_never_ends_in_a_traceback(
    file: str, page: str, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = runs / "kitchen" / file
    path.write_bytes(path.read_bytes()[: 40 if file == "metrics.json" else 2000])
    app = opened(monkeypatch, runs, page)
    assert not app.exception
    for error in app.error:
        assert "kitchen" in error.value
    if file == "metrics.json":
        assert "evaluate it with --eval_only" in app.error[0].value


@pytest.mark.parametrize("page", ["frames", "semantics", "embedding_map", "search", "compare"])
def test_half_a_stream_never_ends_in_a_traceback(
    page: str, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = runs / "kitchen" / "comparison.mp4"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    shutil.copytree(runs / "kitchen", runs / "other")
    app = opened(monkeypatch, runs)
    app.session_state["frame"] = 299
    app.switch_page(f"screens/{page}.py").run()
    if page == "search":
        app.text_area[0].set_value("a red mug").run()
    assert not app.exception


def test_damaged_true_embeddings_end_a_search_in_a_line(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = runs / "kitchen" / "true.npy"
    path.write_bytes(path.read_bytes()[:2000])
    app = opened(monkeypatch, runs, "search")
    app.text_area[0].set_value("a red mug").run()
    assert not app.exception
    assert "true.npy is damaged" in app.error[0].value


def test_a_run_without_a_teacher_says_so(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = runs / "kitchen" / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps(config | {"teacher": None}))
    app = opened(monkeypatch, runs, "search")
    assert not app.exception
    assert "names no teacher" in app.error[0].value


def test_what_is_picked_twice_in_a_row_is_what_is_shown(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("second", "third"):
        shutil.copytree(runs / "kitchen", runs / name)
    app = opened(monkeypatch, runs)
    for name in ("second", "third"):
        app.sidebar.selectbox[0].select(name).run()
        assert app.title[0].value == name
    app.switch_page("screens/compare.py").run()
    for frame in (50, 80):
        app.slider[0].set_value(frame).run()
        assert app.session_state["frame"] == frame


def test_all_of_a_video_has_no_other_moment_like_it(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = opened(monkeypatch, runs, "search")
    app.slider[0].set_value((0.0, app.slider[0].max)).run()
    app.toggle[0].set_value(True).run()
    assert not app.exception
    assert "No other moment" in app.info[0].value
    app.segmented_control[0].set_value("all runs").run()
    assert not app.exception
    assert not app.subheader  # seconds of one video are asked of no other


def test_a_training_s_settings_outlive_a_look_at_another_page(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("data").mkdir()
    write_test_video(Path("data/moving.mp4"))
    app = opened(monkeypatch, runs, "train")
    (known,) = [box for box in app.selectbox if box.label == "Video, or folder of images"]
    known.select("data/moving.mp4").run()
    asked = {"Warm-up epochs": 7, "CLIP loss weight": 0.3, "Seed": 5, "Batch": 3}
    for box in app.number_input:
        if box.label in asked:
            box.set_value(asked[box.label])
    app.run()
    command = app.code[0].value
    changed = ("--pixel_loss_warmup_epochs 7", "--clip_loss_weight 0.3", "-b 3", "--manualSeed 5")
    assert all(flag in command for flag in changed)
    app.switch_page("screens/overview.py").run()
    app.switch_page("screens/train.py").run()
    assert not app.exception
    assert app.code[0].value == command


def test_a_network_of_another_version_never_ends_in_a_traceback(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = runs / "kitchen" / "model_best.pth"
    content = load_checkpoint(path)
    content["architecture"]["clip_tap"] = None
    save_checkpoint(content, path)
    shutil.copytree(runs / "kitchen", runs / "another")
    app = opened(monkeypatch, runs, "compare")  # which draws its pictures in a fragment
    assert not app.exception
    assert "of another version" in app.error[0].value


def test_a_run_of_another_version_leaves_the_others_compared(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(runs / "kitchen", runs / "another")
    path = runs / "another" / "config.json"
    path.write_text(path.read_text().replace('"clip_tap": 0', '"clip_tap": 0, "motion_order": 2'))
    app = opened(monkeypatch, runs, "compare")
    assert not app.exception
    assert [str(runs / "another") in error.value for error in app.error] == [True]
    assert list(app.table[0].value) == ["kitchen"]


def test_a_verification_of_another_checkpoint_is_not_shown(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = runs / "kitchen" / "verification.json"
    path.write_text(path.read_text().replace('"checkpoint_hash": "', '"checkpoint_hash": "0'))
    app = opened(monkeypatch, runs, "verify")
    assert "Not verified yet" in app.info[0].value
    path.write_text("{")
    app = opened(monkeypatch, runs)
    assert any("Not verified yet" in info.value for info in app.info)
