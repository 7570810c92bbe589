"""Scripts in terminals whose language is C, and file names that are not UTF-8."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from nerv_clip.cli import parse
from nerv_clip.cli.search import parse as parse_search
from nerv_clip.cli.terminal import show_any_text
from nerv_clip.runs.run import Run
from tests.runs import flags
from train.train_nerv_clip import main

ROOT = Path(__file__).parents[1]


def test_scripts_print_in_ascii_where_the_language_is_c() -> None:
    code = """if True:
        import runpy, sys
        for script, *flags in (
            ("search", "a red mug", "--run", "checkpoints/kitchen"),
            ("test_clip_learning", "--help"),
            ("train_nerv_clip", "--help"),
        ):
            sys.argv = [f"train/{script}.py", *flags]
            try:
                runpy.run_path(sys.argv[0], run_name="__main__")
            except SystemExit as left:
                print("left with", left.code)
    """
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0"},
        capture_output=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr.decode()
    shown = done.stdout.decode("ascii")
    assert shown.count("left with 0") == 3
    assert "..." in shown
    assert " s, best at " in shown


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [
        ("ascii", b"+/-1 - 2... caf\\xe9 nam\\udcff"),
        ("utf-8", "±1 – 2… café nam\\udcff".encode()),
    ],
)
def test_characters_that_a_terminal_lacks_are_replaced(
    monkeypatch: pytest.MonkeyPatch, encoding: str, expected: bytes
) -> None:
    shown = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(shown, encoding))
    show_any_text()
    print("±1 – 2…", "café", "nam\udcff", end="", flush=True)
    assert shown.getvalue() == expected


def test_a_query_that_is_not_utf8_is_read_all_the_same() -> None:
    assert parse_search(["--run", "r", os.fsdecode(b"caf\xe9"), "tea"]).queries == [
        "caf\ufffd",
        "tea",
    ]


def test_a_file_name_that_is_not_utf8_trains_a_run_with_a_printable_name(
    video_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / os.fsdecode(b"caf\xe9 \xff.mp4")
    shutil.copyfile(video_file, source)
    some = flags(source)
    without_outf = [f for f in some if f not in ("--outf", "run")]
    assert parse(without_outf).run == Path("output/caf_ _")
    main(without_outf)
    main([*without_outf, "--eval_only"])
    assert Run("output/caf_ _").read_config().video.path == str(source)


def test_a_run_below_a_folder_that_is_not_utf8_is_trained_and_resumed(
    video_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    show_any_text()
    folder = os.fsdecode(b"output/\xff\xfe")
    for _ in range(2):
        main([*flags(video_file), "-e", "2", "--outf", folder])
    assert len(Run(folder).read_history()) == 1
    assert "written to output/\\udcff\\udcfe" in capsys.readouterr().err
