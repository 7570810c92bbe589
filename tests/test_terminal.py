"""Progress in the terminal: bars, and the lines between them."""

from __future__ import annotations

import pytest

from nerv_clip.cli.terminal import Terminal


def test_short_work_leaves_no_bar_before_the_next_line(capsys: pytest.CaptureFixture[str]) -> None:
    terminal = Terminal()
    with terminal.task("measuring", 3) as task:
        task.resize(6)
        task.advance(6)
    terminal.message("the plan")
    assert capsys.readouterr().err == "the plan\n"
