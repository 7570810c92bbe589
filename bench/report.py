"""The common form of result files: the command, the commit, the machine, and a table."""

from __future__ import annotations

import platform
import shlex
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from nerv_clip import InputError, Run
from nerv_clip.runs.provenance import git_commit

COMMIT = git_commit()  # at import: the tree may change during a long measurement


def machine(device: str) -> str:
    """The name of the GPU, or the number of CPU threads."""
    if device == "cuda":
        return torch.cuda.get_device_name()
    return f"{torch.get_num_threads()} CPU threads, {platform.machine()}"


def check_all_embedded(run: Run) -> None:
    """Raise `InputError` for a run whose teacher did not embed all frames."""
    if (every := run.read_config().train.clip_every) > 1:
        raise InputError(
            f"{run.path} has one true embedding in {every} frames: measure another run"
        )


def short(commit: str) -> str:
    """The first nine digits of a commit, with the ``+`` of a checkout that had changes."""
    return commit[:9] + "+" * commit.endswith("+")


def heading(doc: str | None, device: str = "cpu") -> str:
    """The first line of a script's docstring, then command, commit, date and machine."""
    argv = [Path(sys.argv[0]).name, *sys.argv[1:]]
    if "--out" in argv:  # the output path does not affect the result
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


def number(value: float | None, digits: int) -> str:
    """A number with so many decimals; a dash for None."""
    return "–" if value is None else f"{value:.{digits}f}"


def both(seen: float | None, held_out: float | None, digits: int) -> str:
    """A metric of seen and of held-out frames, as ``seen / held out``."""
    return f"{number(seen, digits)} / {number(held_out, digits)}"


def write(path: Path | None, text: str) -> None:
    """Print the text, and write it to ``path`` unless that is None."""
    print(text)
    if path is not None:
        path.write_text(text)
