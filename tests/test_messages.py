"""Messages of the core name arguments; the command line replaces them by flags."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from nerv_clip.cli import with_flags
from nerv_clip.cli.messages import TRAINING_FLAGS
from nerv_clip.cli.parser import build_parser

CORE = Path(__file__).parents[1] / "nerv_clip"
FLAG = re.compile(r"(?<![\w-])--[a-z]\w+")


def messages() -> list[tuple[Path, int, str]]:
    """Every literal text inside an ``InputError(…)`` outside of the command line."""
    found = []
    for path in CORE.rglob("*.py"):
        if path.parent.name == "cli":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "InputError":
                for part in ast.walk(node):
                    if isinstance(part, ast.Constant) and isinstance(part.value, str):
                        found.append((path.relative_to(CORE), node.lineno, part.value))
    return found


def test_messages_of_the_core_contain_no_flags() -> None:
    assert len(messages()) > 100
    assert [found for found in messages() if FLAG.search(found[2])] == []


def test_arguments_named_in_training_messages_have_flags() -> None:
    flags = {option for action in build_parser()._actions for option in action.option_strings}
    packages = ("video", "models", "training", "runs", "teacher")
    named = {
        name
        for path, _, text in messages()
        if path.parts[0] in packages
        for name in re.findall(r"`(\w+)`", text)
    }
    assert {"crop", "modelsize", "clip_model", "out"} <= named
    for name in named:
        flag = with_flags(f"`{name}`")
        assert flag in flags or name in TRAINING_FLAGS, name


def test_flags_replace_arguments_in_backticks_only() -> None:
    message = "`crop` 60_60 is larger than a crop of `config.json`"
    assert with_flags(message) == "--crop_list 60_60 is larger than a crop of `config.json`"
    assert with_flags("`grid` 0", {}) == "--grid 0"
