"""The options of the app, which follow ``--`` on the command line."""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Options:
    """Folders that contain runs, and whether other machines may reach the app."""

    runs: tuple[Path, ...]
    listen: bool


def read_options() -> Options:
    """The options of this process; an unknown one ends it with the usage."""
    parser = argparse.ArgumentParser(prog="streamlit run app/main.py --")
    parser.add_argument(
        "--runs", action="append", type=Path, metavar="FOLDER", help="a folder that contains runs"
    )
    parser.add_argument(
        "--listen", action="store_true", help="let other machines reach the app; see docs/app.md"
    )
    found = parser.parse_args(sys.argv[1:])
    return Options(tuple(found.runs or [Path("output")]), found.listen)
