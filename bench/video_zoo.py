"""Videos as people have them, read and compared with how they were made.

Each file is written here, so that its pictures, their times and their size are known. The exit
status is 1 if one of them is read wrongly.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from report import heading, table, write
from zoo_files import FILES
from zoo_pixels import PIXELS
from zoo_streams import STREAMS
from zoo_writing import Kind, Right

from nerv_clip.cli import main_guard
from nerv_clip.errors import InputError
from nerv_clip.progress import SilentProgress
from nerv_clip.video.video import Video, load_video

KINDS: dict[str, Kind] = {**PIXELS, **STREAMS, **FILES}
RESULTS = Path(__file__).parent / "results" / "video_zoo.md"
CLOCK = 1e-3  # seconds: some containers round times to milliseconds


class Messages(SilentProgress):
    """Keeps the lines that were shown."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def message(self, line: str) -> None:
        """Keep a line."""
        self.lines.append(line)

    def skipped(self) -> int:
        """How many frames were reported as left out."""
        found = re.search(r"the first (\d+) frames could not be decoded", " ".join(self.lines))
        return int(found[1]) if found else 0


class Outcome(NamedTuple):
    """What is right, what was read in words, and all differences."""

    right: Right
    read: str
    wrong: list[str]


def check(kind: Kind, folder: Path) -> Outcome:
    """Write a file into a folder, read it, and compare."""
    path = folder / kind.file
    right = kind.write(path)
    messages = Messages()
    try:
        video = load_video(path, progress=messages)
    except InputError as error:
        message = str(error).replace(f"{folder}/", "").replace("|", "/")
        good = right.refused and "\n" not in message and re.search(right.refused, message)
        return Outcome(right, f"refused: {message}", [] if good else ["refused"])
    read = in_words(len(video), video.height, video.width, video.timestamps[-1], messages.skipped())
    return Outcome(right, read, [*differences(right, video, messages.skipped())])


def in_words(frames: int, height: int, width: int, last: float, skipped: int) -> str:
    """Frames, their size, the time of the last one, and how many were left out before the first."""
    left_out = f", {skipped} left out" if skipped else ""
    return f"{frames} of {height}x{width}, the last at {last:.3f} s{left_out}"


def differences(right: Right, video: Video, skipped: int) -> Iterator[str]:
    """How a video that was read differs from what is right."""
    true = right.pictures.transpose(0, 3, 1, 2)
    read = video.read(range(len(video))).numpy()
    if right.refused or read.shape != true.shape:
        yield "read"
        return
    if skipped != right.skipped:
        yield f"{right.skipped} left out are right"
    late = np.abs(np.subtract(video.timestamps, right.times)).max()
    if late > CLOCK:
        yield f"times differ by {late:.3f} s"
    errors = np.abs(read.astype(int) - true).mean(axis=(1, 2, 3))
    if errors.max() > right.error:
        yield f"frame {errors.argmax()} differs by {errors.max():.1f} levels"


def row(name: str, kind: Kind) -> dict[str, Any]:
    """A row of the table."""
    with tempfile.TemporaryDirectory() as folder:
        right, read, wrong = check(kind, Path(folder))
    if right.refused:
        expected = f"refused: {right.refused}"
    else:
        frames, height, width = right.pictures.shape[:3]
        expected = in_words(frames, height, width, right.times[-1], right.skipped)
    return {
        "kind": name,
        "file": kind.file.encode(errors="replace").decode(),
        "right": expected.replace("|", "/"),
        "read": read,
        "ok": "yes" if not wrong else f"no: {wrong[0]}",
    }


def main(argv: list[str]) -> None:
    """Check every kind and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kinds", default="", help="only kinds whose name contains this")
    parser.add_argument("--out", type=Path, default=RESULTS)
    args = parser.parse_args(argv)
    rows = [row(name, kind) for name, kind in KINDS.items() if args.kinds in name]
    write(None if args.kinds else args.out, heading(__doc__) + table(rows))
    wrong = [row for row in rows if row["ok"] != "yes"]
    if wrong:
        sys.exit(f"{len(wrong)} of {len(rows)} kinds are read wrongly")


if __name__ == "__main__":
    main_guard(main)
