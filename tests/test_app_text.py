"""Text of runs and users is shown as it is, and never becomes markup, a request or a path."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.app_server import CHROMIUM, CHROMIUM_ARGUMENTS, MARKUP, ROOT, opened, serving
from tests.samples import write_test_video

KITCHEN = ROOT / "checkpoints" / "kitchen"
EVIL = (
    "![a](http://127.0.0.1:9/a.png) <img src=http://127.0.0.1:9/b.png> <b>c</b> [d](http://e.f/) "
    "https://g.h/ www.i.j k@l.mn :smile: :material/home: :red[o] $p^2$ **q** `r` -- s_t ~u~ #v"
)


def hostile_run(path: Path) -> Path:
    """A run whose texts try to be markup."""
    shutil.copytree(KITCHEN, path)
    config = json.loads((path / "config.json").read_text())
    config["teacher"]["name"] = f"demo {EVIL}"
    (path / "config.json").write_text(json.dumps(config | {"preset": EVIL}))
    found = json.loads((path / "verification.json").read_text())
    found["verdict"] = {"label": f"label {EVIL}", "sentence": f"sentence {EVIL}"}
    found["rows"][1] |= {"name": f"row {EVIL}"}
    (path / "verification.json").write_text(json.dumps(found))
    return path


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The app on two hostile runs, the name of one of which is Markdown too, and a damaged one."""
    place = tmp_path_factory.mktemp("hostile")
    runs = place / "runs"
    run = hostile_run(runs / "evil")
    shutil.copytree(run, runs / "![a](http:" / "e.f" / "<b>x**y** $z$")
    broken = shutil.copytree(run, runs / "![b](http:" / "w.png)")
    (broken / "config.json").write_text("{")
    with serving(place, "--runs", "runs") as address:
        yield address


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: apt-get install chromium")
def test_text_of_a_run_never_becomes_markup(server: str) -> None:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as p:
        browser = p.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGUMENTS)
        page = browser.new_page(base_url=server)
        page.set_default_timeout(20_000)
        requests: list[str] = []
        page.on("request", lambda request: requests.append(request.url))

        def shows(*texts: str) -> None:
            for text in texts:
                page.wait_for_function(
                    "text => document.body.innerText.replaceAll('\u2060', '').includes(text)",
                    arg=text,
                )
            assert page.locator(MARKUP).all_inner_texts() == []

        page.goto("/?run=evil", wait_until="commit")
        shows(
            f"teacher demo {EVIL}",
            f"preset {EVIL}",
            f"sentence {EVIL}",
            "![b](http:/w.png)",
            "Label ![a]",
        )
        page.get_by_role("link", name="Verify").click()
        shows(f"sentence {EVIL}", f"row {EVIL}")
        page.get_by_role("link", name="Compare").click()
        shows("<b>x**y** $z$: ")
        browser.close()
    assert [url for url in requests if not url.startswith((server, "data:", "blob:"))] == []


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """A folder with a copy of the shipped run, as someone else might have made it."""
    shutil.copytree(KITCHEN, tmp_path / "runs" / "kitchen")
    return tmp_path / "runs"


@pytest.mark.parametrize("model", ["hf-hub:someone/model", "ViT-B-32", "local-dir:clip"])
def test_a_teacher_that_is_not_on_this_machine_is_loaded_after_a_click_only(
    model: str, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("clip").mkdir()
    tower = {"text_cfg": {"hf_tokenizer_name": "someone/model"}}
    Path("clip/open_clip_config.json").write_text(json.dumps({"model_cfg": tower}))
    config = json.loads((runs / "kitchen" / "config.json").read_text())
    config["teacher"] |= {"model": model, "pretrained": "a_tag", "name": model}
    (runs / "kitchen" / "config.json").write_text(json.dumps(config))
    (runs / "kitchen" / "verification.json").unlink()
    app = opened(monkeypatch, runs, "verify")
    assert [button.label for button in app.main.button] == ["Load the teacher"]
    app.switch_page("screens/search.py").run()
    app.text_area[0].set_value("a red mug").run()
    assert not app.error
    app.segmented_control[0].set_value("all runs").run()
    assert "no run" in app.error[0].value
    app.segmented_control[0].set_value("this run").run()
    assert not app.error
    (button,) = (b for b in app.main.button if b.label == "Load the teacher")
    button.click().run()
    assert not app.exception
    assert "loaded" in app.error[0].value  # the tests are offline
    app.switch_page("screens/verify.py").run()
    assert [button.label for button in app.main.button] == ["Verify"]
    another = opened(monkeypatch, runs, "verify")
    assert [button.label for button in another.main.button] == ["Load the teacher"]


@pytest.mark.parametrize("frame", ["²", "9" * 5000, "-1", "1e3", "٣"])
def test_a_frame_that_is_no_number_is_the_first(
    frame: str, monkeypatch: pytest.MonkeyPatch, runs: Path
) -> None:
    app = opened(monkeypatch, runs, frame=frame)
    assert not app.exception
    assert app.session_state["frame"] == 0


def test_a_long_name_of_a_run_is_one_line(monkeypatch: pytest.MonkeyPatch, runs: Path) -> None:
    Path("data").mkdir()
    write_test_video(Path("data") / f"{'é' * 100} -- x.mp4")
    app = opened(monkeypatch, runs, "train")
    (videos,) = [box for box in app.selectbox if box.label == "Video, or folder of images"]
    videos.select(videos.options[0]).run()
    assert not app.exception
    assert not app.error
    words = shlex.split(app.code[0].value.replace("\\\n", ""))
    assert words[words.index("--data_path") + 1] == videos.options[0]
    (name,) = [box for box in app.text_input if box.label == "Name"]
    name.set_value("n" * 252).run()
    assert not app.exception
    assert "use at most 200" in app.error[0].value


def test_uploads_with_long_and_odd_names_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "app"))
    from video_picker import store_upload

    names = ["n" * 246 + ".mp4", "n" * 247 + ".mp4", "é" * 127 + ".mp4", "../../a\0b.mp4", ".mp4"]
    paths = [store_upload(name, name.encode()) for name in names]
    assert [path.read_bytes() for path in paths] == [name.encode() for name in names]
    assert {path.parent for path in paths} == {Path("data/uploads")}
    assert {path.suffix for path in paths[:-1]} == {".mp4"}


def test_the_app_reads_its_files_where_the_locale_is_ascii() -> None:
    code = "import sys; sys.path.insert(0, 'app'); import player, verification_job"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
