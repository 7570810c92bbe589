"""Cut and bit-flipped copies of videos: which are refused, and which are read, and how.

A copy is cut at a random byte, or has one to three random bits changed. *Equal* copies give each
picture of the intact file, bit for bit, but for those at the start that are reported as skipped.
*Shorter* copies give the same pictures, but fewer. *Altered* copies give another picture.
"""

from __future__ import annotations

import argparse
import random
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
from memory import synthetic
from numpy.typing import NDArray
from report import heading, table, write
from zoo_writing import Track, encode, options

from nerv_clip import InputError
from nerv_clip.cli import Terminal, main_guard
from nerv_clip.video.decoder import decode_video

Pixels = NDArray[np.uint8]
FRAMES, HEIGHT, WIDTH = 30, 128, 192
QUIET = "keyint=12:min-keyint=12:log-level=none"
CLIPS = {
    "h264.mp4": Track("libx264", options=options(crf=18, g=12, bf=3)),
    "hevc.mkv": Track("libx265", options=(("crf", "18"), ("x265-params", QUIET))),
    "vp9.webm": Track("libvpx-vp9", options=options(crf=30, b=0)),
    "av1.mp4": Track("libsvtav1", options=options(crf=30, preset=10)),
    "mpeg2.ts": Track("mpeg2video", options=options(b="4000k", bf=2)),
    "mpeg4.avi": Track("mpeg4", options=options(b="2000k")),
    "vp8.webm": Track("libvpx", options=options(b="2000k")),
}
OUTCOMES = ("refused", "equal", "shorter", "altered")


def damaged(whole: bytes, cut: bool, seed: int) -> bytes:
    """A copy that is cut at a random byte, or has one to three random bits changed."""
    chance = random.Random(seed)  # noqa: S311 - places
    if cut:
        return whole[: chance.randrange(len(whole))]
    changed = bytearray(whole)
    for _ in range(chance.randint(1, 3)):
        changed[chance.randrange(len(whole))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def outcome(path: Path, clean: list[Pixels]) -> str:
    """One of `OUTCOMES` for a file, whose intact pictures are ``clean``."""
    try:
        read = list(decode_video(path))
    except InputError:
        return "refused"
    expected = clean[read[0].skipped :]
    same = all(np.array_equal(a.pixels, b) for a, b in zip(read, expected, strict=False))
    if not same or len(read) > len(expected):
        return "altered"
    return "equal" if len(read) == len(expected) else "shorter"


def main(argv: list[str]) -> None:
    """Damage each clip many times and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", nargs="*", default=list(CLIPS), choices=list(CLIPS))
    parser.add_argument("--copies", type=int, default=400, help="of each clip; half of them cut")
    parser.add_argument("--out", type=Path, help="a Markdown file under bench/results")
    args = parser.parse_args(argv)
    wide = synthetic(FRAMES, HEIGHT, WIDTH)
    true = np.stack([wide[:, 2 * i : 2 * i + WIDTH] for i in range(FRAMES)])
    rows = []
    with (
        tempfile.TemporaryDirectory() as folder,
        Terminal().task("copies", len(args.clips) * args.copies, "copy") as task,
    ):
        for name in args.clips:
            path = Path(folder) / name
            encode(path, true, CLIPS[name])
            whole, clean = path.read_bytes(), [p.pixels for p in decode_video(path)]
            for cut in (True, False):
                found = Counter[str]()
                for seed in range(args.copies // 2):
                    path.write_bytes(damaged(whole, cut, seed))
                    found[outcome(path, clean)] += 1
                    task.advance()
                kind = "cut" if cut else "bits changed"
                counts = {o: str(found[o]) for o in OUTCOMES}
                rows.append({"clip": name, "bytes": f"{len(whole):,}", "copies": kind, **counts})
    write(args.out, heading(__doc__) + table(rows))


if __name__ == "__main__":
    main_guard(main)
