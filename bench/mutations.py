"""Damaged copies of small real files, and a table of the readers that have to refuse them.

Each mutated file is read, or refused by `InputError`, within bounds of memory and time.
"""

from __future__ import annotations

import argparse
import gzip
import io
import random
import resource
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple
from zipfile import ZipFile

import numpy as np
from PIL import Image
from zoo_writing import Track, encode, options

from nerv_clip import InputError, Run
from nerv_clip.cli import main_guard
from nerv_clip.models.checkpoint import load_checkpoint, load_model
from nerv_clip.runs.arrays import read_array, read_arrays
from nerv_clip.teacher.loading import known_dim, load_tokenizer
from nerv_clip.video.comparison import read_layout, read_pairs, read_samples
from nerv_clip.video.reader import pictures, read_image

ROOT = Path(__file__).parents[1]
ARRAYS = ("blend", "reconstruction", "perturbed")
GZIP = b"\x1f\x8b"
IMAGES = ("png", "jpg", "tif", "avif", "bmp")
VIDEOS = {
    "h264.mp4": Track(),
    "hevc.mkv": Track("libx265", options=options(x265_params="log-level=none")),
    "vp9.webm": Track("libvpx-vp9", options=()),
    "av1.mp4": Track("libsvtav1", options=()),
    "mpeg2.ts": Track("mpeg2video", options=()),
    "mpeg4.avi": Track("mpeg4", options=()),
    "animation.gif": Track("gif", "rgb8", ()),
}
SECONDS = 10  # for each file
MEMORY = 2 << 30  # bytes above those that the process has before
NUMBERS = (0, -1, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**64 - 1, 10**7, 10**9, 10**12)


class Target(NamedTuple):
    """A kind of file: its path in a copy of the samples, and the function that reads it."""

    path: str
    read: Callable[[Path], object]


def _run(path: Path) -> Run:
    return Run(path.parent)


def _stream(path: Path) -> None:
    read_layout(path, 24, 80)
    read_samples(path)
    list(read_pairs(path, range(6), 24, 80))


TARGETS = {
    "checkpoint": Target("run/model_best.pth", load_model),
    "training state": Target("run/model_latest.pth", load_checkpoint),
    "config": Target("run/config.json", lambda path: _run(path).read_config()),
    "metrics": Target("run/metrics.json", lambda path: _run(path).read_metrics()),
    "verification": Target("run/verification.json", lambda path: _run(path).read_verification()),
    "table": Target("run/clip_similarity_per_frame.csv", lambda path: _run(path).read_per_frame()),
    "history": Target("run/history.csv", lambda path: _run(path).read_history()),
    "array": Target("run/true.npy", read_array),
    "mapped array": Target("run/true.npy", lambda path: read_array(path, mapped=True).shape),
    "arrays": Target("run/baselines.npz", lambda path: read_arrays(path, ARRAYS)),
    "map": Target("run/map.npz", lambda path: read_arrays(path, ["key", "true", "predicted"])),
    "vocabulary": Target(
        "encoder/bpe.txt.gz", lambda path: load_tokenizer(f"local-dir:{path.parent}")(["a mug"])
    ),
    "encoder": Target(
        "encoder/open_clip_config.json", lambda path: known_dim(f"local-dir:{path.parent}")
    ),
    "stream": Target("run/comparison.mp4", _stream),
    **{f"{suffix} image": Target(f"image.{suffix}", read_image) for suffix in IMAGES},
    "animation": Target("animation.webp", lambda path: list(pictures(path))),
    **{name: Target(name, lambda path: list(pictures(path))) for name in VIDEOS},
}


def write_samples(folder: Path) -> None:
    """Write an intact file for each of `TARGETS` into a new folder."""
    small, shipped = ROOT / "tests" / "data" / "format_0", ROOT / "checkpoints" / "kitchen"
    shutil.copytree(small / "run", folder / "run")
    for name in ("config.json", "map.npz"):
        shutil.copy(shipped / name, folder / "run")
    encoder = folder / "encoder"
    encoder.mkdir()
    for name in ("bpe.txt.gz", "open_clip_config.json"):
        shutil.copy(small / "teacher" / name, encoder)
    drawn = [Image.effect_mandelbrot((80, 48), (-2, -1, 1, 1), 9 + i) for i in range(6)]
    for suffix in IMAGES:
        drawn[0].save(folder / f"image.{suffix}")
    drawn[0].save(folder / "animation.webp", save_all=True, append_images=drawn[1:])
    pictures = np.stack([np.asarray(image.convert("RGB")) for image in drawn])
    for name, track in VIDEOS.items():
        encode(folder / name, pictures, track)
    shutil.copy(folder / "h264.mp4", folder / "run" / "comparison.mp4")


def mutations(data: bytes, seed: int) -> Iterator[bytes]:
    """Endless damaged copies: flipped bits, cuts, doubled parts, foreign bytes, huge numbers."""
    chance = random.Random(seed)  # noqa: S311 - a test
    kinds = (_flipped, _cut, _doubled, _overwritten, _number_in_text, _number_in_binary)
    while True:
        changed = data
        if data.startswith(b"PK") and chance.random() < 0.5:  # checksums are right again
            yield _with_changed_member(data, chance.choice(kinds), chance)
            continue
        if data.startswith(GZIP) and chance.random() < 0.5:
            yield gzip.compress(chance.choice(kinds)(gzip.decompress(data), chance))
            continue
        for _ in range(chance.choice((1, 1, 2, 5))):
            changed = chance.choice(kinds)(changed, chance)
        yield changed


def _with_changed_member(
    data: bytes, change: Callable[[bytes, random.Random], bytes], chance: random.Random
) -> bytes:
    """A ZIP archive with one damaged member."""
    out = io.BytesIO()
    with ZipFile(io.BytesIO(data)) as before, ZipFile(out, "w") as after:
        members = before.infolist()
        chosen = chance.choice((members[0], chance.choice(members)))
        for info in members:
            content = before.read(info)
            after.writestr(info.filename, change(content, chance) if info is chosen else content)
    return out.getvalue()


def _place(data: bytes, chance: random.Random) -> int:
    """A position: mostly near the start or the end, where headers are."""
    near = min(len(data), 600)
    start = chance.choice((0, 0, max(len(data) - near, 0), chance.randrange(len(data) + 1)))
    return min(start + chance.randrange(near + 1), len(data))


def _flipped(data: bytes, chance: random.Random) -> bytes:
    out, at = bytearray(data), _place(data, chance)
    if at < len(out):
        out[at] ^= 1 << chance.randrange(8)
    return bytes(out)


def _cut(data: bytes, chance: random.Random) -> bytes:
    at = _place(data, chance)
    return data[:at] if chance.random() < 0.5 else data[:at] + data[at + chance.randrange(64) :]


def _doubled(data: bytes, chance: random.Random) -> bytes:
    at, length = _place(data, chance), chance.choice((1, 16, 400, 5000))
    return data[:at] + data[at : at + length] * chance.choice((2, 3, 50)) + data[at + length :]


def _overwritten(data: bytes, chance: random.Random) -> bytes:
    at, length = _place(data, chance), chance.choice((1, 4, 8, 40))
    return data[:at] + chance.randbytes(length) + data[at + length :]


def _number_in_text(data: bytes, chance: random.Random) -> bytes:
    """Replace a decimal number by a huge one."""
    at = _place(data, chance)
    while at < len(data) and not data[at : at + 1].isdigit():
        at += 1
    end = at
    while end < len(data) and data[end : end + 1].isdigit():
        end += 1
    return data[:at] + str(chance.choice(NUMBERS)).encode() + data[end:]


def _number_in_binary(data: bytes, chance: random.Random) -> bytes:
    at, size = _place(data, chance), chance.choice((2, 4, 8))
    number = chance.choice(NUMBERS) % int(256**size)
    return data[:at] + number.to_bytes(size, chance.choice(("little", "big"))) + data[at + size :]


def outcome(target: Target, content: bytes, folder: Path) -> str:
    """``"read"``, ``"refused"``, or the name and text of another exception.

    ``folder`` is a copy of the samples; the file of the target is replaced.
    """
    path = folder / target.path
    path.write_bytes(content)
    try:
        target.read(path)
    except InputError:
        return "refused"
    except Exception as error:  # what is looked for
        return f"{type(error).__name__}: {error}"[:300]
    return "read"


def try_all(kind: str, samples: Path, seed: int, count: int) -> None:
    """Print the outcome of each of ``count`` mutations of a kind of file.

    Ends this process where one takes over `SECONDS`.
    """
    data = (samples / TARGETS[kind].path).read_bytes()
    signal.signal(signal.SIGALRM, signal.SIG_DFL)  # kills this process
    for content in islice(mutations(data, seed), count):
        signal.alarm(SECONDS)
        found = outcome(TARGETS[kind], content, samples)
        print(f"{kind}: {' '.join(found.split())}".encode("ascii", "replace").decode(), flush=True)
    signal.alarm(0)
    (samples / TARGETS[kind].path).write_bytes(data)


def main(argv: list[str]) -> None:
    """Try mutated files of each kind, with bounded memory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kinds", nargs="*", metavar="KIND", help="default: all of them")
    parser.add_argument("--count", type=int, default=40, help="files of each kind")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    if unknown := set(args.kinds) - set(TARGETS):
        raise InputError(f"unknown kinds {', '.join(unknown)}: give some of {', '.join(TARGETS)}")
    with tempfile.TemporaryDirectory() as folder:
        samples = Path(folder) / "samples"
        write_samples(samples)
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = pages * resource.getpagesize() + MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        for kind in args.kinds or TARGETS:
            try_all(kind, samples, args.seed, args.count)


if __name__ == "__main__":
    main_guard(main)
