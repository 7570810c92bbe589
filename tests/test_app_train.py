"""The Train page: a time, the form, the estimate, and runs that are continued."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from nerv_clip import Run
from nerv_clip.cli import Estimate, PlanPreview
from nerv_clip.models.checkpoint import load_checkpoint
from nerv_clip.runs.budget import Budget
from tests.app_server import ROOT, opened
from tests.runs import own
from tests.samples import write_test_video

BY_HAND = "Set epochs myself"
PLAN = PlanPreview(200, 720, 1280, 100, 180, 320, 75, 25, 123_000_000)
COST = Estimate(100, 180, 320, 75, 25, 400_000, 80_000, 1_000_000, 99_000_000, 7500, 9000.0)


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measurements that take no time."""
    monkeypatch.setattr("nerv_clip.cli.preview_plan", lambda *_: PLAN)
    monkeypatch.setattr("nerv_clip.cli.estimate", lambda _: COST)


def with_video(monkeypatch: pytest.MonkeyPatch, runs: Path = Path("output")) -> AppTest:
    """The Train page with a selected video."""
    Path("data").mkdir()
    write_test_video(Path("data/moving.mp4"))
    app = opened(monkeypatch, runs, "train")
    (videos,) = [box for box in app.selectbox if box.label == "Video, or folder of images"]
    videos.select("data/moving.mp4").run()
    assert not app.exception
    return app


def fill(app: AppTest, values: Mapping[str, object]) -> AppTest:
    """Enter values into fields, by their labels."""
    wanted = dict(values)
    for kind in ("text_input", "number_input", "selectbox"):
        for field in app.get(kind):
            if field.label in wanted:
                field.set_value(wanted.pop(field.label))
    assert not wanted
    return app.run()


def tiles(app: AppTest) -> dict[str, str]:
    return {tile.label: tile.value for tile in app.metric}


def start_buttons(app: AppTest) -> list[str]:
    return [b.label for b in app.button if b.label in ("Start training", "Resume training")]


def test_a_new_user_is_asked_for_a_time_first(monkeypatch: pytest.MonkeyPatch) -> None:
    app = with_video(monkeypatch)
    command = app.code[0].value
    assert app.segmented_control[0].value == 10
    assert "--minutes 10" in command
    assert "--predict_clip --clip_model demo" in command
    assert "-e " not in command
    assert "--preset" not in command
    shown = tiles(app)  # of the plan that was measured
    assert shown["Time"] == "10 min"
    assert (shown["Frames"], shown["Frame size"], shown["Train frames"]) == ("12", "80×48", "9")
    assert start_buttons(app) == ["Start training"]
    assert not app.warning
    assert not app.error


@pytest.mark.usefixtures("measured")
def test_a_plan_says_what_is_left_out_of_the_source(monkeypatch: pytest.MonkeyPatch) -> None:
    app = with_video(monkeypatch)
    notes = {tile.label: tile.delta for tile in app.metric}
    assert notes["Frames"] == "every 2nd of 200"
    assert notes["Frame size"] == "source 1280×720"
    assert notes["Train frames"] == "25 held out"


@pytest.mark.usefixtures("measured")
def test_more_than_an_hour_is_a_warning_in_hours(monkeypatch: pytest.MonkeyPatch) -> None:
    app = with_video(monkeypatch)
    app.segmented_control[0].set_value(60).run()
    assert not app.warning
    app.segmented_control[0].set_value("Custom").run()
    fill(app, {"Minutes": 150.0})
    assert "--minutes 150" in app.code[0].value
    assert "2.5 hours" in app.warning[0].value
    app.segmented_control[0].set_value(BY_HAND).run()
    assert tiles(app)["Estimated time"] == "2.5 h"
    assert "about 2.5 hours" in app.warning[0].value
    assert "Give a time instead" in app.warning[0].value


@pytest.mark.usefixtures("measured")
def test_a_time_goes_with_other_flags_and_epochs_go_without(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    app = with_video(monkeypatch)
    assert not [box for box in app.number_input if box.label == "Epochs"]
    fill(
        app,
        {"Seed": 5, "First frame": 2, "Split": "2_2_3", "Preset": "best", "CLIP loss weight": 0.3},
    )
    command = app.code[0].value
    flags = ("--minutes 10", "--manualSeed 5", "--vid_start 2", "--data_split 2_2_3")
    assert all(flag in command for flag in (*flags, "--preset best", "--clip_loss_weight 0.3"))
    assert "--modelsize" not in command
    app.segmented_control[0].set_value(BY_HAND).run()
    command = app.code[0].value
    assert "--minutes" not in command
    for flag in ("-e 100", "--preset fast", "--data_split 3_3_4", "--manualSeed 5"):
        assert flag in command


@pytest.mark.usefixtures("measured")
@pytest.mark.parametrize(
    ("label", "value", "message"),
    [
        ("Name", "a b", "the name 'a b' is not valid"),
        ("Split", "nonsense", "--data_split 'nonsense' is not a_b_c"),
        ("Resize (HEIGHT_WIDTH)", "x", "--resize_list 'x'"),
    ],
)
def test_a_bad_field_is_one_line_and_hides_no_other_field(
    label: str, value: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = with_video(monkeypatch)
    before = [field.label for field in [*app.text_input, *app.number_input, *app.selectbox]]
    fill(app, {label: value})
    (error,) = app.error
    assert message in error.value
    assert "`" not in error.value
    assert start_buttons(app) == []
    assert "--minutes 10" in app.code[0].value
    assert [f.label for f in [*app.text_input, *app.number_input, *app.selectbox]] == before


def test_a_video_that_cannot_be_measured_is_one_line_without_a_button(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    app = with_video(monkeypatch)
    fill(app, {"First frame": 99})
    (error,) = app.error
    assert "--vid_start 99: data/moving.mp4 has only 12 frames" in error.value
    assert start_buttons(app) == []


@pytest.mark.usefixtures("measured")
def test_training_settings_are_kept_when_the_page_changes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    app = with_video(monkeypatch, ROOT / "checkpoints")
    app.segmented_control[0].set_value(BY_HAND).run()
    fill(app, {"Warm-up epochs": 7, "CLIP loss weight": 0.3, "Seed": 5, "Batch size": 3})
    command = app.code[0].value
    changed = ("--pixel_loss_warmup_epochs 7", "--clip_loss_weight 0.3", "-b 3", "--manualSeed 5")
    assert all(flag in command for flag in changed)
    app.switch_page("screens/overview.py").run()
    app.switch_page("screens/train.py").run()
    assert not app.exception
    assert app.code[0].value == command


@pytest.mark.usefixtures("measured")
def test_the_train_page_shows_bad_values_with_their_flags(monkeypatch: pytest.MonkeyPatch) -> None:
    app = with_video(monkeypatch)
    app.segmented_control[0].set_value(BY_HAND).run()
    fill(app, {"Warm-up epochs": 200})
    (error,) = app.error
    assert "--epochs 100 does not exceed --pixel_loss_warmup_epochs 200" in error.value
    assert "`" not in error.value


def test_videos_of_phones_discs_and_animations_can_be_uploaded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (upload,) = opened(monkeypatch, Path("none"), "train").get("file_uploader")
    assert {".mov", ".3gp", ".vob", ".mts", ".wmv", ".gif", ".webp"} <= set(upload.proto.type)


@pytest.mark.usefixtures("measured")
def test_an_existing_run_is_resumed_with_its_own_plan(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = with_video(monkeypatch)
    app.toggle[0].set_value(False)
    fill(app, {"Name": "run"})
    assert "was trained without a time" in app.error[0].value
    config = Run(run).read_config()
    for planned, label in ((config.train.epochs, "is finished"), (9, "with the plan")):
        budget = Budget(minutes=5, train_seconds=9, revisions=((2, planned),))
        object.__setattr__(config, "budget", budget)
        Run(run).write_config(config)
        app.run()
        assert [error.value for error in app.error] == []
        (button,) = [b for b in app.button if b.label == "Resume training"]
        assert button.disabled == (label == "is finished")
        assert any(label in caption.value for caption in app.caption)


def test_a_finished_run_can_be_continued(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = own(load_checkpoint(run / "model_latest.pth"))["epoch"]
    app = opened(monkeypatch, Path("output"), "train")
    fill(app, {"More minutes": 0.1})
    assert "--outf output/run" in app.code[0].value
    assert "--more_minutes 0.1" in app.code[0].value
    (button,) = [b for b in app.button if b.label == "Continue for 0.1 more minutes"]
    button.click().run()
    assert not app.exception
    assert not [b for b in app.button if b.label.startswith("Continue")]  # it runs
    assert [b.label for b in app.button if b.label == "Stop"] == ["Stop"]
    while not any("run** finished" in text.value for text in app.markdown):
        assert not any("did not finish" in text.value for text in app.markdown)
        time.sleep(0.3)
        app.run()
    assert own(load_checkpoint(run / "model_latest.pth"))["epoch"] > before
    assert Run(run).read_config().budget is not None
    assert [b for b in app.button if b.label.startswith("Continue")]
    app.session_state["running trainings"] = {"output/run"}  # it ended after this was noted
    (button,) = [b for b in app.button if b.label == "Open run"]
    button.click().run()
    assert [title.value for title in app.title] == ["run"]


def test_a_run_without_a_training_state_or_its_video_cannot_be_continued(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = Run(run).read_config()
    object.__setattr__(config.video, "path", "gone.mp4")
    Run(run).write_config(config)
    app = opened(monkeypatch, Path("output"), "train")
    assert "gone.mp4, the video of output/run, is not there" in app.error[0].value
    assert not [b for b in app.button if b.label.startswith("Continue")]
    (run / "model_latest.pth").unlink()  # as in a shipped run
    app.run()
    assert not app.error
    assert not [box for box in app.selectbox if box.label == "Finished or stopped run"]
