"""Trials of `chaos.py` on file systems that are full, without inodes, read-only or forbidden.

As a script, this is one trial, in a name space of its own where it may mount file systems. It
prints the peak memory in MiB, or what it found.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path

from chaos_runs import COMMANDS, SECONDS, Fault, Place, Reference, Undisturbed, check_readable

from nerv_clip.cli import main_guard

DISKS = (
    "full",
    "no inodes",
    "read-only",
    "cache full",
    "cache no inodes",
    "cache read-only",
    "cache forbidden",
)
ROOMY = "rw,size=1g,nr_inodes=10000"
WITHOUT_RIGHTS = ("setpriv", "--inh-caps=-all", "--bounding-set=-all")


def can_mount() -> bool:
    """Whether this machine allows a process to mount file systems for itself."""
    try:
        probe = ["unshare", "-rm", *WITHOUT_RIGHTS, "true"]
        with tempfile.TemporaryDirectory() as folder:
            mount = ["unshare", "-rm", "mount", "-t", "tmpfs", "none", folder]
            done = [subprocess.run(c, capture_output=True, check=False) for c in (probe, mount)]
    except FileNotFoundError:
        return False
    return all(one.returncode == 0 for one in done)


def on_disk(number: int, right: Reference, folder: Path) -> float:
    """One trial in a process of its own; returns the peak memory of its commands in MiB."""
    folder.mkdir(parents=True)
    disk = DISKS[number % len(DISKS)]
    name = list(COMMANDS)[number // len(DISKS) % len(COMMANDS)]
    stored = folder / "undisturbed.json"
    stored.write_text(json.dumps(right.of(name)))
    script = ["unshare", "-rm", sys.executable, __file__]
    done = subprocess.run(
        [*script, disk, name, str(number), str(right.folder), str(folder)],
        capture_output=True,
        text=True,
        timeout=3 * SECONDS,
    )
    if done.returncode != 0:
        raise RuntimeError(done.stderr[-1000:])
    kind, _, text = done.stdout.splitlines()[-1].partition(": ")
    if kind != "survived":
        raise Fault(kind, text)
    return float(text)


def _mount(folder: Path, options: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", str(folder)], check=True)


def _remount(folder: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(folder)], check=True)


def _break(disk: str, folder: Path, chance: random.Random) -> None:
    """Make a mounted folder fail at once or soon."""
    paths = list(folder.rglob("*"))
    if disk.endswith("read-only"):
        _remount(folder, "ro")
    elif disk.endswith("forbidden"):
        folder.chmod(0o500)
    elif disk.endswith("full"):
        used = sum(path.stat().st_blocks * 512 for path in paths)
        room = chance.choice((2**12, 2**16, 2**19, 2**20, 2**21, 2**22))
        _remount(folder, f"size={used + chance.randrange(4096, room + 4097)}")
    else:
        _remount(folder, f"nr_inodes={len(paths) + 1 + chance.randrange(1, 24)}")


def on_mounted_disk(disk: str, name: str, number: int, right: Reference, folder: Path) -> float:
    """Run a command on a file system that fails, then again on one that does not."""
    for part in ("work", "cache"):
        _mount(folder / part, ROOMY)
    place = right.copy(folder, name)
    broken = place.cache if disk.startswith("cache") else place.work
    _break(disk, broken, random.Random(number))  # noqa: S311 - sizes
    ended = Place(folder, WITHOUT_RIGHTS).start(name).wait()
    if ended.code not in (0, 2):
        raise Fault("lost", f"{disk}: {name} ended with {ended.code}: {ended.err[-500:]}")
    if ended.code == 2 and not ended.err.strip():
        raise Fault("lost", f"{disk}: {name} ended without a word")
    check_readable(place.run)
    _remount(broken, ROOMY)
    broken.chmod(0o700)
    peak = place.complete(name)
    right.check(place, name)
    return max(peak, ended.peak)


def main(argv: list[str]) -> None:
    """One trial, in a name space that allows mounts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("disk", choices=DISKS)
    parser.add_argument("command", choices=list(COMMANDS))
    parser.add_argument("number", type=int, help="seed of the sizes")
    parser.add_argument("reference", type=Path, help="folder of undisturbed runs")
    parser.add_argument("folder", type=Path, help="what it writes, and undisturbed.json")
    args = parser.parse_args(argv)
    known = Undisturbed(*json.loads((args.folder / "undisturbed.json").read_text()))
    right = Reference(args.reference, {args.command: known})
    try:
        print(
            f"survived: {on_mounted_disk(args.disk, args.command, args.number, right, args.folder)}"
        )
    except Fault as fault:
        print(" ".join(str(fault).split()))


if __name__ == "__main__":
    main_guard(main)
