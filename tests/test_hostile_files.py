"""Files that claim too much, or are no files: refused with one line, in little memory."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from nerv_clip import InputError, Run, find_runs
from nerv_clip.runs.finding import scan_folders
from nerv_clip.search.library import Library

ROOT = Path(__file__).parents[1]
KITCHEN = ROOT / "checkpoints" / "kitchen"
BIG = 10**9


@pytest.fixture
def kitchen(tmp_path: Path) -> Run:
    """A copy of the shipped run, without its video."""
    ignored = shutil.ignore_patterns("comparison.mp4")
    return Run(shutil.copytree(KITCHEN, tmp_path / "runs" / "kitchen", ignore=ignored))


def changed_config(**changes: dict[str, Any]) -> str:
    """The shipped ``config.json`` with other values in its sections."""
    content = json.loads((KITCHEN / "config.json").read_text())
    for section, values in changes.items():
        content[section] |= values
    return json.dumps(content)


def test_directories_that_are_no_runs_are_skipped_and_named(kitchen: Run) -> None:
    folder = kitchen.path.parent
    for name in (b"deep", b"pipe", b"named \xff\xfe", b"text", b"large"):
        bad = Path(os.fsdecode(os.fsencode(folder) + b"/" + name))
        bad.mkdir()
        (bad / "model_best.pth").touch()
        shutil.copy(kitchen.config, bad)
    (folder / "deep/config.json").write_text(100_000 * "[")
    (folder / "text/config.json").write_text('{"format": 1, "video": "\\ud800", "train": 1}')
    os.truncate(folder / "large/config.json", 10**12)  # sparse
    (folder / "pipe/config.json").unlink()
    os.mkfifo(folder / "pipe/config.json")
    found = scan_folders([folder])
    assert [run.path.name for run in found.runs] == ["kitchen"]
    assert len(found.skipped) == 5
    for part in ("deep", "pipe/config.json is not a regular", "\\udcff", "text", "large/config"):
        assert sum(part in line for line in found.skipped) == 1, part
    assert "\n".join(found.skipped).encode().count(b"\n") == 4
    assert Library([folder]).skipped == found.skipped


def test_run_with_impossible_numbers_is_refused_by_search(kitchen: Run) -> None:
    bad = kitchen.path.parent / "many"
    shutil.copytree(kitchen.path, bad)
    numbers = {"frames": BIG}
    (bad / "config.json").write_text(changed_config(video=numbers, architecture=numbers))
    (line,) = Library([kitchen.path.parent]).skipped
    assert "frames 1000000000 is out of range" in line


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"architecture": {"clip_dim": 10**7}}, "clip_dim"),
        ({"architecture": {"blocks": 20_000}}, "blocks"),
        ({"architecture": {"strides": [8192] * 2}}, "pixels"),
        ({"architecture": {"widths": [1] * 1000}}, "widths"),
        ({"architecture": {"act": 1000 * "x"}}, "act"),
        ({"video": {"frames": 301}}, "frames"),
        ({"video": {"timestamps": []}}, "timestamps"),
        ({"video": {"fps": float("nan")}}, "finite"),
        ({"split": {"rule": "0_0_0"}}, "data_split"),
    ],
)
def test_config_out_of_range_is_refused(
    kitchen: Run, changes: dict[str, dict[str, Any]], named: str
) -> None:
    kitchen.config.write_text(changed_config(**changes))
    with pytest.raises(InputError, match=named):
        kitchen.read_config()


def test_links_out_of_a_run_are_not_followed(kitchen: Run, tmp_path: Path) -> None:
    outside = tmp_path / "secret.json"
    kitchen.config.rename(outside)
    kitchen.config.symlink_to(outside)
    with pytest.raises(InputError, match="link to another folder"):
        kitchen.read_config()
    assert find_runs([kitchen.path.parent]) == []
    outside.rename(kitchen.path / "first.json")
    kitchen.config.unlink()
    kitchen.config.symlink_to("first.json")  # within the run
    assert kitchen.read_config().video.frames == 300


def test_pipes_in_a_run_do_not_block(kitchen: Run) -> None:
    for path in (kitchen.metrics, kitchen.path / ".lock", kitchen.status):
        path.unlink(missing_ok=True)
        os.mkfifo(path)
    assert not kitchen.in_training
    assert kitchen.read_status() is None
    with pytest.raises(InputError, match="not a regular file"):
        kitchen.read_metrics()
