"""Damaged copies of small real files, and a table of the readers that have to refuse them.

Each mutated file is read, or refused by `InputError`, within bounds of memory and time.
"""

from __future__ import annotations

import gzip
import io
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple
from zipfile import ZipFile

from PIL import Image

from nerv_clip import InputError, Run
from nerv_clip.models.checkpoint import load_checkpoint, load_model
from nerv_clip.runs.arrays import read_array, read_arrays
from nerv_clip.teacher.loading import known_dim, load_tokenizer
from nerv_clip.video.reader import read_image

ROOT = Path(__file__).parents[1]
ARRAYS = ("blend", "reconstruction", "perturbed")
GZIP = b"\x1f\x8b"
NUMBERS = (0, -1, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**64 - 1, 10**7, 10**9, 10**12)


class Target(NamedTuple):
    """A kind of file: its path in a copy of the samples, and the function that reads it."""

    path: str
    read: Callable[[Path], object]


def _run(path: Path) -> Run:
    return Run(path.parent)


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
    "image": Target("image.png", read_image),
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
    Image.effect_mandelbrot((40, 30), (-2, -1, 1, 1), 50).save(folder / "image.png")


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
    number = chance.choice(NUMBERS) % 256**size
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
