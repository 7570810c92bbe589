"""Reliability: killed processes, failing disks, damaged files, many visitors, two of everything.

Finished trials are stored in --folder, so the same command goes on where it was stopped. A trial is
*lost* if a file differs from that of an undisturbed run, if an unfinished file is left over, or if
a command ends without a line that says why.
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import NamedTuple

from chaos_app import switches, visitors
from chaos_disks import can_mount, on_disk
from chaos_kills import kill_command, kill_training, two_at_once
from chaos_runs import ROOT, Fault, Reference, Started
from mutations import TARGETS
from report import COMMIT, heading, table, write

from nerv_clip import InputError
from nerv_clip.cli import Terminal, main_guard

FILES = 800  # mutated ones of each kind
WARM_UP, SWITCHES, GROWTH = 200, 1000, 0.02  # page switches; how much memory may grow in them
SECONDS = 300.0  # of visits


class Kind(NamedTuple):
    """A row of the table."""

    title: str
    trials: int


class Trial(NamedTuple):
    """A finished trial: how many things it tried, and its fault, empty if there was none."""

    kind: str
    number: int
    tried: int = 1
    peak: float = 0.0  # MiB
    fault: str = ""
    note: str = ""
    commit: str = COMMIT


KINDS = {
    "training": Kind("trainings killed at one to three random moments, resumed", 100),
    "command": Kind("evaluations, verifications and searches killed, run again", 60),
    "pair": Kind("two of one command at once: train, evaluate, verify, search", 40),
    "disk": Kind("commands on a disk that is full, without inodes, read-only or forbidden", 84),
    "files": Kind("mutated files, each within 10 s and 2 GiB above idle", len(TARGETS)),
    "visitors": Kind("pages seen by 25 visitors while runs are deleted and replaced", 1),
    "switches": Kind("page switches of one visitor", 1),
}


def mutated_files(number: int, count: int, folder: Path) -> Trial:
    """Read ``count`` mutated files of one kind in a process of its own."""
    name, log = list(TARGETS)[number], folder / "log.txt"
    folder.mkdir(parents=True)
    script = [sys.executable, str(ROOT / "bench" / "mutations.py"), name]
    with (folder / "outcomes.txt").open("wb") as out, log.open("wb") as err:
        process = subprocess.Popen(
            [*script, "--count", str(count), "--seed", str(number)], stdout=out, stderr=err
        )
    ended = Started(process, log).wait(count * 10.0)
    lines = (folder / "outcomes.txt").read_text().splitlines()
    if ended.code == -signal.SIGALRM:
        raise Fault("hang", f"{name}: mutation {len(lines)} of seed {number}")
    if ended.code != 0:
        raise Fault("lost", f"{name}: ended with {ended.code} at mutation {len(lines)}")
    if others := [line for line in lines if not line.endswith((": read", ": refused"))]:
        raise Fault("traceback", f"{len(others)} of {len(lines)}, such as {others[0]}")
    return Trial("files", number, len(lines), ended.peak)


def many_visitors(part: float, folder: Path) -> Trial:
    """25 visitors for five minutes, or for a part of that."""
    pages, peak = visitors(max(SECONDS * part, 8), folder)
    return Trial("visitors", 0, pages, peak)


def page_switches(part: float, folder: Path) -> Trial:
    """Memory over many page switches, which must stay flat."""
    warm_up, count = round(WARM_UP * part), round(SWITCHES * part)
    before, after = switches(warm_up, count, folder)
    note = f"server: {before:.0f} MiB after {warm_up} switches, {after:.0f} after {count} more"
    if after > before * (1 + GROWTH):
        raise Fault("lost", note)
    return Trial("switches", 0, count, after, note=note)


def trial_of(kind: str, number: int, part: float, right: Reference, folder: Path) -> Trial:
    """Run one trial; raises `Fault`."""
    shutil.rmtree(folder, ignore_errors=True)
    of_commands: dict[str, Callable[[int, Reference, Path], float]] = {
        "training": kill_training,
        "command": kill_command,
        "pair": two_at_once,
        "disk": on_disk,
    }
    if kind in of_commands:
        return Trial(kind, number, 1, of_commands[kind](number, right, folder))
    if kind == "files":
        return mutated_files(number, max(round(FILES * part), 10), folder)
    return {"visitors": many_visitors, "switches": page_switches}[kind](part, folder)


def stored_trials(path: Path) -> list[Trial]:
    """The trials of an earlier, interrupted call; a line that was cut off is ignored."""
    found = []
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            found.append(Trial(*json.loads(line)))
        except ValueError:
            continue
    return found


def rows(trials: list[Trial]) -> list[dict[str, str]]:
    """The table: a row for each kind that was tried."""
    found = []
    for name, kind in KINDS.items():
        of_kind = [trial for trial in trials if trial.kind == name]
        if not of_kind:
            continue
        faults = [trial.fault.partition(":")[0] for trial in of_kind]
        found.append(
            {
                "what": kind.title,
                "tried": str(sum(trial.tried for trial in of_kind)),
                "survived": str(sum(trial.tried for trial in of_kind if not trial.fault)),
                "lost": str(faults.count("lost")),
                "tracebacks": str(faults.count("traceback")),
                "hangs": str(faults.count("hang")),
                "peak MiB": f"{max(trial.peak for trial in of_kind):.0f}",
                "commit": ", ".join(sorted({trial.commit for trial in of_kind})),
            }
        )
    return found


def run_trials(args: argparse.Namespace) -> list[Trial]:
    """Run all trials that are not stored yet, several at once; those with the app run alone."""
    folder: Path = args.folder
    folder.mkdir(parents=True, exist_ok=True)
    path, terminal, writing = folder / "trials.jsonl", Terminal(), threading.Lock()
    trials = stored_trials(path)
    seen = {(trial.kind, trial.number) for trial in trials}
    # at least one trial of each kind; each kind of file is tried, with fewer files
    counts = {
        name: kind.trials if name == "files" else max(round(kind.trials * args.part), 1)
        for name, kind in KINDS.items()
    }
    left = [(k, n) for k in args.kinds for n in range(counts[k]) if (k, n) not in seen]
    shutil.rmtree(folder / "reference", ignore_errors=True)
    right = Reference(folder / "reference")

    def attempt(kind: str, number: int) -> Trial:
        place = folder / f"{kind}-{number}"
        try:
            trial = trial_of(kind, number, args.part, right, place)
            shutil.rmtree(place)
        except Exception as error:  # the folder stays, to be looked at; the other trials go on
            fault = str(error) if isinstance(error, Fault) else f"lost: not tried, {error!r}"
            trial = Trial(kind, number, fault=fault)
            terminal.message(f"{kind} {number}: {trial.fault}")
        with writing, path.open("a") as file:
            file.write(json.dumps(trial) + "\n")
        return trial

    with terminal.task("trials", len(left), "trial") as task:
        for workers, apps in ((args.workers, False), (1, True)):
            chosen = [t for t in left if (t[0] in ("visitors", "switches")) == apps]
            with ThreadPoolExecutor(workers) as pool:
                for done in as_completed(pool.submit(attempt, *one) for one in chosen):
                    trials.append(done.result())
                    task.advance()
    return trials


def main(argv: list[str]) -> None:
    """Run the trials and print the table; exits with 1 if a trial found a fault."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("data/chaos"), help="for all it writes")
    parser.add_argument("--kinds", nargs="*", default=list(KINDS), choices=list(KINDS))
    parser.add_argument("--part", type=float, default=1.0, help="part of the trials, 0.01 to 1")
    parser.add_argument("--workers", type=int, default=2, help="trials at a time")
    parser.add_argument("--out", type=Path, help="a Markdown file under bench/results")
    args = parser.parse_args(argv)
    if "disk" in args.kinds and not can_mount():
        raise InputError("mounting is not allowed here: name the other kinds with --kinds")
    trials = run_trials(args)
    notes = [f"{t.kind} {t.number}: {t.fault or t.note}" for t in trials if t.fault or t.note]
    write(args.out, heading(__doc__) + table(rows(trials)) + "\n" + "\n\n".join(notes) + "\n")
    if any(trial.fault for trial in trials):
        sys.exit(1)


if __name__ == "__main__":
    main_guard(main)
