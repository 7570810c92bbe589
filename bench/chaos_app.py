"""Trials of `chaos.py` with the app: many visitors while runs change, and many page switches."""

from __future__ import annotations

import random
import re
import shutil
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from statistics import fmean

from chaos_runs import ROOT, Fault
from serving import memory, serving
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import connect
from websockets.typing import Origin, Subprotocol

KITCHEN = ROOT / "checkpoints" / "kitchen"
VISITORS = 25
EVERY = 10.0  # seconds between two pages of a visitor
AVERAGED = 80  # page switches, ten rounds of all pages
SLOWEST = 60.0  # seconds after which a page counts as hanging
MEDIA = re.compile(rb"/media/[\w.]+")
PAGES = ("Overview", "Frames", "Semantics", "Embedding map", "Search", "Verify", "Compare", "Train")


class Visitor:
    """A browser's side of Streamlit's protocol: it asks for pages, and draws nothing."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.socket = connect(
            f"{address.replace('http', 'ws')}/_stcore/stream",
            origin=Origin(address),
            subprotocols=[Subprotocol("streamlit")],
            max_size=None,
        )
        self.pages: dict[str, str] = {}

    def visit(self, title: str = "", query: str = "") -> bool:
        """Ask for a page and its media; raises `Fault` where it fails or does not end.

        Returns whether the page has a box to select a run: not where there is no run.
        """
        ask = BackMsg()
        ask.rerun_script.query_string = query
        ask.rerun_script.page_script_hash = self.pages.get(title, "")
        self.socket.send(ask.SerializeToString())
        media: set[bytes] = set()
        has_runs, end = False, time.monotonic() + SLOWEST
        while True:
            try:
                data = self.socket.recv(timeout=end - time.monotonic(), decode=False)
            except TimeoutError:
                raise Fault("hang", f"{title}: over {SLOWEST:.0f} s") from None
            answer = ForwardMsg.FromString(data)
            if answer.HasField("navigation"):
                self.pages = {p.page_name: p.page_script_hash for p in answer.navigation.app_pages}
            shown = answer.delta.new_element
            has_runs |= bool(shown.HasField("selectbox") and shown.selectbox.label == "Run")
            if shown.HasField("exception"):
                raise Fault("traceback", f"{title}: {shown.exception.message[:300]}")
            media.update(MEDIA.findall(data))
            if answer.HasField("script_finished"):
                break
        for path in media:
            with suppress(OSError):  # a newer page of this visitor may have replaced it
                urllib.request.urlopen(self.address + path.decode()).read()  # noqa: S310
        return has_runs


def _in_folder(folder: Path) -> Path:
    """A new folder with three runs."""
    runs = (folder / "runs").resolve()  # the app runs in another working directory
    for name in ("one", "two", "three"):
        shutil.copytree(KITCHEN, runs / name)
    return runs


def _change(runs: Path, chance: random.Random) -> None:
    """Delete a run, or replace or damage one of its files, as trainings and people do."""
    run = runs / chance.choice(("one", "two", "three"))
    action = chance.randrange(5)
    if action == 0:
        shutil.rmtree(run, ignore_errors=True)
    elif action == 1:
        run.rename(runs / "moved")
        shutil.rmtree(runs / "moved")
    elif action == 2 and run.exists():
        name = chance.choice([path.name for path in KITCHEN.iterdir() if path.is_file()])
        (run / name).unlink(missing_ok=True)
    elif action == 3 and run.exists():
        name = chance.choice(("config.json", "metrics.json", "predicted.npy", "model_best.pth"))
        (run / name).write_bytes(b"damaged")
    else:
        shutil.copytree(KITCHEN, runs / "new", dirs_exist_ok=True)
        shutil.rmtree(run, ignore_errors=True)
        (runs / "new").rename(run)


def visitors(seconds: float, folder: Path) -> tuple[int, float]:
    """25 visitors look at pages while runs change; returns the number of pages and peak MiB."""
    runs, pages, peak = _in_folder(folder), [0] * VISITORS, 0.0
    end = time.monotonic() + seconds

    def look(number: int) -> None:
        chance = random.Random(number)  # noqa: S311 - pages
        time.sleep(number * min(EVERY, seconds / 2) / VISITORS)
        visitor = Visitor(server.address)
        while time.monotonic() < end:
            start = time.monotonic()
            run = chance.choice(("one", "two", "three", "four"))
            if visitor.visit(chance.choice(PAGES), f"run={run}&frame={chance.randrange(400)}"):
                pages[number] += 1  # at times, all runs are deleted
            time.sleep(max(0.0, min(start + EVERY, end) - time.monotonic()))

    def change() -> None:
        chance = random.Random(0)  # noqa: S311 - changes
        while time.monotonic() < end:
            with suppress(FileNotFoundError):
                _change(runs, chance)
            time.sleep(0.5)

    log = folder / "server.txt"
    with (
        serving(folder, "--runs", str(runs), log=log) as server,
        ThreadPoolExecutor(VISITORS + 1) as pool,
    ):
        tasks = [pool.submit(change), *(pool.submit(look, n) for n in range(VISITORS))]
        while not all(task.done() for task in tasks):
            peak = max(peak, memory(server.pid))
            time.sleep(0.5)
        for task in tasks:
            task.result()  # raises what ended it
    if "Traceback" in (text := log.read_text(errors="replace")):
        raise Fault("traceback", text[-1500:])
    return sum(pages), peak


def switches(warm_up: int, count: int, folder: Path) -> tuple[float, float]:
    """The server's memory in MiB after ``warm_up`` page switches, and after ``count`` more.

    Each is a mean over the last `AVERAGED` switches: single values vary by 2 %.
    """
    runs, used = _in_folder(folder), []
    with serving(folder, "--runs", str(runs)) as server:
        visitor = Visitor(server.address)
        visitor.visit()
        for number in range(warm_up + count):
            if not visitor.visit(PAGES[number % len(PAGES)], "run=one"):
                raise Fault("lost", "a page shows no run")
            used.append(memory(server.pid))
    return fmean(used[:warm_up][-AVERAGED:]), fmean(used[-AVERAGED:])
