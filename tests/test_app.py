"""The app, driven by Streamlit's own test runner."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import pytest
from streamlit.components.v2 import manifest_scanner

from nerv_clip.models.checkpoint import load_checkpoint, save_checkpoint
from nerv_clip.runs.config import FORMAT
from nerv_clip.search import Answer, TrainedRun
from tests.app_server import ROOT, opened

SHIPPED = ROOT / "checkpoints"


@pytest.fixture(scope="module", autouse=True)
def _one_scan() -> Iterator[None]:
    """Look for components in the installed packages once, not at the start of every app."""
    with pytest.MonkeyPatch.context() as patch:
        scan = cache(manifest_scanner.scan_component_manifests)
        patch.setattr(manifest_scanner, "scan_component_manifests", scan)
        yield


def test_an_app_without_runs_shows_how_to_train_one(
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
    assert "train the run again" in app.error[0].value


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
def test_pages_that_need_a_clip_head_show_a_message_without_one(
    page: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = opened(monkeypatch, SHIPPED)
    app.sidebar.selectbox[0].select("kitchen_baseline").run()
    app.switch_page(f"screens/{page}.py").run()
    assert not app.exception
    assert "**kitchen_baseline** has no CLIP head" in app.info[0].value
    assert "--predict_clip" in app.info[0].value


@pytest.mark.parametrize("page", OF_ONE_RUN)
def test_a_run_without_an_evaluation_shows_that_it_is_not_ready(
    page: str, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for file in ("model_best.pth", "metrics.json", "comparison.mp4"):
        (runs / "kitchen" / file).unlink()
    app = opened(monkeypatch, runs, page)
    assert not app.exception
    assert "wait for its first evaluation" in app.error[0].value


@pytest.mark.parametrize("page", [*OF_ONE_RUN, "compare"])
@pytest.mark.parametrize("file", ["metrics.json", "model_best.pth", "comparison.mp4", "true.npy"])
def test_a_damaged_file_is_one_line(
    file: str, page: str, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = runs / "kitchen" / file
    path.write_bytes(path.read_bytes()[: 40 if file == "metrics.json" else 2000])
    app = opened(monkeypatch, runs, page)
    assert not app.exception
    for error in app.error:
        assert "kitchen" in error.value
    if file == "metrics.json":
        assert "evaluate it again (`evaluate`)" in app.error[0].value


@pytest.mark.parametrize("page", ["frames", "semantics", "embedding_map", "search", "compare"])
def test_half_a_stream_raises_no_exception(
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


def test_a_search_with_damaged_true_embeddings_shows_one_line(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = runs / "kitchen" / "true.npy"
    path.write_bytes(path.read_bytes()[:2000])
    app = opened(monkeypatch, runs, "search")
    app.text_area[0].set_value("a red mug").run()
    assert not app.exception
    assert "true.npy is damaged" in app.error[0].value


def test_a_search_without_a_teacher_shows_one_line(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = runs / "kitchen" / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps(config | {"teacher": None}))
    app = opened(monkeypatch, runs, "search")
    assert not app.exception
    assert "has no teacher" in app.error[0].value


def test_two_selections_in_a_row_both_take_effect(
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


def test_a_search_for_the_whole_video_finds_no_similar_moment(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = opened(monkeypatch, runs, "search")
    app.slider[0].set_value((0.0, app.slider[0].max)).run()
    app.toggle[0].set_value(True).run()
    assert not app.exception
    assert "No other moment" in app.info[0].value
    app.segmented_control[0].set_value("all runs").run()
    assert not app.exception
    assert not app.subheader  # seconds refer to one video only


def test_each_query_has_its_own_column_in_the_table(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    search, tables = TrainedRun.search, []

    def search_named_frame(run: TrainedRun, query: str, **options: int) -> Answer:
        """A search of an encoder that knows this word; two images may have the same name."""
        return replace(search(run, query, **options), question="frame")

    app = opened(monkeypatch, runs, "search")
    monkeypatch.setattr(TrainedRun, "search", search_named_frame)
    monkeypatch.setattr("charts.show", lambda _, __, table: tables.append(table))
    app.text_area[0].set_value("light\na mug\na pan").run()
    assert not app.exception
    assert not app.error
    (table,) = tables
    columns = [f"relevancy: frame{number}" for number in ("", " (2)", " (3)")]
    assert list(table) == ["frame", *columns]
    assert table[columns].nunique().min() > 100
    assert table["frame"].iloc[-1] == 299


def test_a_network_of_another_version_is_one_line(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = runs / "kitchen" / "model_best.pth"
    content = load_checkpoint(path)
    content["architecture"]["segments"][0]["network"]["clip_tap"] = None
    save_checkpoint(content, path)
    shutil.copytree(runs / "kitchen", runs / "another")
    app = opened(monkeypatch, runs, "compare")  # which draws its pictures in a fragment
    assert not app.exception
    assert "of another version" in app.error[0].value


def test_a_run_of_another_version_does_not_stop_the_comparison_of_others(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(runs / "kitchen", runs / "another")
    path = runs / "another" / "config.json"
    path.write_text(path.read_text().replace('"clip_tap": 0', '"clip_tap": 0, "motion_order": 2'))
    app = opened(monkeypatch, runs, "compare")
    assert not app.exception
    assert [str(runs / "another") in error.value for error in app.error] == [True]
    assert list(app.table[0].value) == ["kitchen"]


NEWER = f'{{"format": {FORMAT + 1}, "video": {{}}, "train": {{}}}}'
BROKEN = '{"format": 1, "video'


@pytest.mark.parametrize("page", [*OF_ONE_RUN, "compare"])
def test_a_run_of_a_newer_format_is_one_line_on_every_page(
    page: str, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(runs / "kitchen", runs / "newer")
    (runs / "newer" / "config.json").write_text(NEWER)
    app = opened(monkeypatch, runs)
    app.sidebar.selectbox[0].select("newer").run()
    app.switch_page(f"screens/{page}.py").run()
    assert not app.exception
    (error,) = app.error
    assert str(runs / "newer") in error.value
    assert "update NeRV-CLIP" in error.value
    app.sidebar.selectbox[0].select("kitchen").run()
    assert not app.exception
    assert len(app.error) == (page == "compare")


@pytest.mark.parametrize("page", PAGES)
def test_a_damaged_config_is_one_line_and_leaves_the_other_runs(
    page: str, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(runs / "kitchen", runs / "broken")
    (runs / "broken" / "config.json").write_text(BROKEN)
    app = opened(monkeypatch, runs, page)
    assert not app.exception
    assert not app.error
    (warning,) = app.sidebar.warning
    assert str(runs / "broken" / "config.json") in warning.value
    assert app.title[0].value == PAGES[page]
    assert app.sidebar.selectbox[0].options == ["kitchen"]


@pytest.mark.parametrize("content", ["", "frame,t\n0,0\n", "\0\0"])
def test_a_damaged_table_of_frames_is_one_line(
    content: str, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (runs / "kitchen" / "clip_similarity_per_frame.csv").write_text(content)
    app = opened(monkeypatch, runs, "overview")
    assert not app.exception
    (error,) = app.error
    assert "clip_similarity_per_frame.csv" in error.value
    assert "`evaluate`" in error.value


def test_a_verification_that_cannot_be_saved_is_shown_with_a_warning(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = runs / "kitchen" / "verification.json"
    content = json.loads(path.read_text())
    path.unlink()
    path.mkdir()  # no file can take this place
    done = SimpleNamespace(evidence=SimpleNamespace(checkpoint=runs / "kitchen/model_best.pth"))
    monkeypatch.setattr("nerv_clip.verification.verify", lambda *_, **__: done)
    for module in ("nerv_clip.verification", "nerv_clip.verification.json_report"):
        monkeypatch.setattr(f"{module}.to_json", lambda _: content)
    app = opened(monkeypatch, runs, "verify")
    (button,) = (b for b in app.main.button if b.label == "Verify")
    button.click().run()
    label = content["verdict"]["label"]
    while not any(label in info.value.lower() for info in app.info):  # it runs in a thread
        assert not app.exception
        app.run()
    assert "not saved: cannot write" in app.warning[0].value


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


def test_a_verdict_by_an_earlier_rule_is_not_shown(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = runs / "kitchen" / "verification.json"
    content = json.loads(path.read_text())
    label = content["verdict"]["label"]
    app = opened(monkeypatch, runs)
    assert any(label in info.value.lower() for info in app.info)
    path.write_text(json.dumps({**content, "rule": content["rule"] - 1}))
    app = opened(monkeypatch, runs)
    assert any("Not verified yet" in info.value for info in app.info)
    del content["rule"]  # as the first version wrote it
    path.write_text(json.dumps(content))
    app = opened(monkeypatch, runs, "verify")
    assert "by an earlier rule" in app.info[0].value
