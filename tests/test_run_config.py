"""``config.json``: a versioned contract, read by one typed reader."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from nerv_clip import InputError, ModelConfig, Run, RunConfig, TrainConfig, find_runs
from nerv_clip.runs.config import FORMAT
from train.train_nerv_clip import main

ROOT = Path(__file__).parents[1]
FORMAT_0 = ROOT / "tests" / "data" / "format_0" / "run"
FORMAT_1 = ROOT / "tests" / "data" / "format_1" / "run"
SHIPPED = sorted(p.parent for p in (ROOT / "checkpoints").glob("*/config.json"))

NO_DENSE_HEAD = {"dense_dim": 0, "dense_rank": 0, "dense_tap": 0}
LATER = {  # fields of settings, and what they are for runs from before: one network drew the video
    "segment_frames": 0,
    "predict_dense": False,
    "dense_rank": ModelConfig().dense_rank,
    "dense_tap": None,
    "dense_loss_weight": TrainConfig().dense_loss_weight,
    "clip_every": 1,
}


def content(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((path / "config.json").read_text())
    return found


@pytest.mark.parametrize(
    "path", [*SHIPPED, FORMAT_1], ids=lambda path: f"{path.parent.name}-{path.name}"
)
def test_config_is_read_with_all_its_values_and_round_trips(path: Path) -> None:
    stored, config = content(path), Run(path).read_config()
    written = config.to_json()
    assert written["format"] == FORMAT
    assert RunConfig.from_json(written) == config
    (segment,) = written["architecture"]["segments"]
    if stored["format"] == FORMAT:
        assert stored["architecture"] == written["architecture"]
    else:
        assert segment["network"] == stored["architecture"] | NO_DENSE_HEAD | {"cuts": []}
    for name in stored.keys() - {"format", "architecture"}:
        assert not isinstance(stored[name], dict) or stored[name].items() <= written[name].items()
        assert isinstance(stored[name], dict) or stored[name] == written[name]


def test_format_0_is_upgraded_to_the_same_settings() -> None:
    old, config = content(FORMAT_0), Run(FORMAT_0).read_config()
    assert "format" not in old
    flags, identity = old["flags"], old["identity"]
    assert config.video.hash == old["clip"]["hash"]
    assert list(config.video.timestamps) == old["clip"]["timestamps"]
    assert (config.split.rule, config.split.shuffled) == (flags["data_split"], False)
    assert config.teacher is not None
    assert config.teacher.model == flags["clip_model"]
    assert config.teacher.id == old["teacher"]["id"]
    assert config.train.slerp_loss_weight == identity["arc_weight"]
    for part in (config.model, config.train):
        for name, value in json.loads(json.dumps(dataclasses.asdict(part))).items():
            if name in LATER:
                assert value == LATER[name]
                continue
            assert value == identity[{"slerp_loss_weight": "arc_weight"}.get(name, name)], name
    assert config.parameters.decoder == old["parameters"]["decoder"]
    assert RunConfig.from_json(config.to_json()) == config


def test_size_and_range_of_format_0_are_upgraded() -> None:
    old = content(FORMAT_0)
    old["flags"] |= {"crop_list": "30_40", "resize_list": "15_20", "vid_start": 2, "vid_end": 9}
    old["flags"] |= {"vid_step": 3, "shuffle_data": True}
    config = RunConfig.from_json(old)
    spec = config.video.spec
    assert (spec.crop, spec.resize) == ((30, 40), (15, 20))
    assert (spec.start, spec.end, spec.step) == (2, 9, 3)
    assert config.video.source_fps == 3 * config.video.fps
    assert config.split.shuffled
    assert config.split_frames().count("val") == 6


def test_newer_format_is_named_with_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], video_file: Path
) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({**content(SHIPPED[0]), "format": FORMAT + 1}))
    run = Run(folder)
    with pytest.raises(InputError, match=f"format {FORMAT + 1}.*up to {FORMAT}.*update") as caught:
        run.read_config()
    assert "\n" not in str(caught.value)
    assert run.is_run  # never taken for a folder without a run
    (folder / "model_best.pth").write_bytes(b"of a later version")
    with pytest.raises(InputError, match="update NeRV-CLIP"):
        main(
            ["--data_path", str(video_file), "--outf", str(folder), "-e", "1", "--modelsize", ".05"]
        )
    assert (folder / "model_best.pth").read_bytes() == b"of a later version"
    assert [found.path for found in find_runs([tmp_path])] == [folder]


def broken_configs() -> list[dict[str, Any]]:
    """Configs with one section or field missing, of another type, or unknown."""
    good = Run(SHIPPED[0]).read_config().to_json()
    found = []
    for name in good.keys() - {"format"}:
        wrong = "x" if isinstance(good[name], int) else 7
        found.append({**good, name: wrong})
        if name != "budget":  # most runs have none
            found.append({k: v for k, v in good.items() if k != name})
        if isinstance(good[name], dict) and name != "versions":
            found.append({**good, name: {**good[name], "unknown": 1}})
    return found


def test_damaged_config_is_one_line(tmp_path: Path) -> None:
    run = Run(tmp_path)
    for broken in broken_configs():
        run.write_json(run.config, broken)
        with pytest.raises(InputError) as caught:
            run.read_config()
        assert "\n" not in str(caught.value)
        assert str(tmp_path) in str(caught.value)
    for text in ("", "[]", "{", '{"format": "one"}', '{"format": -1}', "null"):
        run.config.write_text(text)
        with pytest.raises(InputError, match=r"config\.json|format"):
            run.read_config()


def test_identity_covers_every_setting() -> None:
    """A setting that is missing here could differ between a run and its resume unnoticed."""
    identity = Run(SHIPPED[0]).read_config().identity
    for config in (ModelConfig, TrainConfig):
        assert {field.name for field in dataclasses.fields(config)} <= identity.keys()


def test_folder_with_another_programs_config_is_not_a_run(tmp_path: Path) -> None:
    for foreign in ({"format": "yaml"}, {"format": 1}, {"identity": {}}, {"hf": 1}, []):
        (tmp_path / "config.json").write_text(json.dumps(foreign))
        (tmp_path / "history.csv").write_text("mine")
        assert not Run(tmp_path).is_run
        with pytest.raises(InputError, match="contains files but no run"):
            Run(tmp_path).create()


def test_evaluating_with_a_teacher_does_not_change_the_identity() -> None:
    config = Run(ROOT / "checkpoints" / "kitchen_baseline").read_config()
    assert config.teacher is not None  # it was evaluated with one
    without = dataclasses.replace(config, teacher=None)
    assert without.identity == config.identity
    trained_with = Run(ROOT / "checkpoints" / "kitchen").read_config()
    assert trained_with.teacher is not None
    assert trained_with.identity["teacher"] == trained_with.teacher.id


def test_format_0_baseline_that_was_evaluated_with_a_teacher_names_it() -> None:
    old = content(FORMAT_0)
    old["flags"] |= {"predict_clip": False, "clip_model": None}
    old["identity"] |= {"predict_clip": False, "teacher": None}
    old["teacher"] = {"name": "demo", "id": "demo@0", "dim": 512}
    teacher = RunConfig.from_json(old).teacher
    assert teacher is not None
    assert (teacher.model, teacher.pretrained) == ("demo", None)


def test_oldest_format_0_has_the_settings_of_its_time() -> None:
    old = content(FORMAT_0)
    for name in ("motion", "motion_weight", "arc_weight", "bits"):
        del old["identity"][name]
    old["architecture"]["motion_tap"] = 0
    config = RunConfig.from_json(old)
    assert not config.model.motion
    assert (config.train.motion_weight, config.train.slerp_loss_weight) == (0, 0)
    assert config.train.bits == 32


def test_times_of_a_config_without_an_origin_count_from_the_first_frame() -> None:
    stored = content(SHIPPED[0])
    for name in ("origin", "stream"):  # which older files lack
        del stored["video"][name]
    assert RunConfig.from_json(stored).video.origin == 0
    assert RunConfig.from_json(stored).video.stream is None
    right = stored["video"]["timestamps"]
    stored["video"]["timestamps"] = [10 + time for time in right]
    found = RunConfig.from_json(stored)
    assert found.video.timestamps == pytest.approx(right)
    assert found.video.origin == 10
    assert RunConfig.from_json(found.to_json()) == found
    stored["video"]["start"] = 5  # how far the first frame is from the source's is unknown
    assert RunConfig.from_json(stored).video.timestamps[0] == 10
