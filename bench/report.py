"""What every result file states: the command, the commit, the machine; and a table."""

from __future__ import annotations

import platform
import shlex
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from nerv_clip.runs.provenance import git_commit

COMMIT = git_commit()  # of the code that runs, whatever the tree becomes meanwhile


def machine(device: str) -> str:
    """What runs the figures: the GPU by its name, or how much of a CPU."""
    if device == "cuda":
        return torch.cuda.get_device_name()
    return f"{torch.get_num_threads()} CPU threads, {platform.machine()}"


def heading(doc: str | None, device: str = "cpu") -> str:
    """The first line of a script's docstring, and where the figures come from."""
    argv = [Path(sys.argv[0]).name, *sys.argv[1:]]
    if "--out" in argv:  # where the text went is no part of how it came about
        at = argv.index("--out")
        del argv[at : at + 2]
    return (
        f"{(doc or '').strip().splitlines()[0]}\n\n"
        f"    python bench/{shlex.join(argv)}\n\n"
        f"Commit {COMMIT}, {datetime.now(UTC):%Y-%m-%d}, torch {torch.__version__}, "
        f"{machine(device)}.\n\n"
    )


def table(rows: list[dict[str, Any]]) -> str:
    """Rows as a Markdown table; the columns are those of the first."""
    columns = list(rows[0])
    lines = [columns, ["---"] * len(columns)]
    lines += [[str(row[column]) for column in columns] for row in rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def write(path: Path | None, text: str) -> None:
    """Print, and write where a file was asked for."""
    print(text)
    if path is not None:
        path.write_text(text)
