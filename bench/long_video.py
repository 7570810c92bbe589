"""A film of 30 minutes in 720p: planned, trained, opened in the app and searched; peak memory.

The film loops a clip and a kitchen, each time mirrored, brightened, darkened or zoomed into. It is
kept as FOLDER/film.mp4, and the run as FOLDER/run; what exists is used again. Embeddings are those
of the demo encoder, which knows kitchens only.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from kitchen_library import encode
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Page, sync_playwright
from report import COMMIT, heading, short, table, write
from serving import CHROMIUM, ROOT, memory, serving

from nerv_clip import InputError, Run
from nerv_clip.cli import Terminal, main_guard
from nerv_clip.progress import Task
from nerv_clip.video.reader import pictures

SIZE, RATE = (720, 1280), 24
QUERIES = ("a purple kettle", "the fridge is open", "a red mug")
CHARTS = """() => {
  const charts = [...document.querySelectorAll('[data-testid=stPlotlyChart]')];
  return charts.length > 0 && charts.every((chart) => chart.querySelector('.main-svg'));
}"""
Pixels = NDArray[np.uint8]


def changed(frames: list[Pixels], rng: np.random.Generator) -> Iterator[Pixels]:
    """The frames, all mirrored, zoomed into and brightened or darkened alike."""
    mirror, gamma, zoom = rng.random() < 0.5, rng.uniform(0.7, 1.4), rng.uniform(0.75, 1)
    light = np.round(255 * (np.arange(256) / 255) ** gamma).astype(np.uint8)
    height, width = (round(zoom * side) for side in frames[0].shape[:2])
    top = rng.integers(frames[0].shape[0] - height + 1)
    left = rng.integers(frames[0].shape[1] - width + 1)
    for frame in frames:
        part = light[frame[top : top + height, left : left + width]]
        picture = Image.fromarray(part[:, ::-1] if mirror else part)
        yield np.asarray(picture.resize(SIZE[::-1], Image.Resampling.BILINEAR))


def film(parts: list[Path], frames: int) -> Iterator[Pixels]:
    """``frames`` frames of the parts in turn."""
    clips = [[picture.pixels for picture in pictures(part)] for part in parts]
    rng, left = np.random.default_rng(0), frames
    for turn in count():
        for frame in changed(clips[turn % len(clips)], rng):
            if not left:
                return
            left -= 1
            yield frame


def write_film(path: Path, parts: list[Path], minutes: float) -> None:
    """Write the film as H.264."""
    frames = round(60 * minutes * RATE)

    def counted(task: Task) -> Iterator[Pixels]:
        for pixels in film(parts, frames):
            yield pixels
            task.advance()

    with Terminal().task("film", frames, "frame") as task:
        encode(counted(task), path, RATE, crf=21, speed="veryfast")


def train(path: Path, run: Path, minutes: float) -> dict[str, Any]:
    """Train with ``--minutes``; its minutes, its peak memory in GiB, and the commit."""
    command = [sys.executable, str(ROOT / "train" / "train_nerv_clip.py"), "--data_path", str(path)]
    command += ["--minutes", f"{minutes:g}", "--predict_clip", "--clip_model", "demo"]
    start = time.monotonic()
    done = subprocess.run([*command, "--outf", str(run), "--overwrite"], check=False)
    if done.returncode:
        raise InputError("the training failed")
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20  # KiB on Linux
    return {"minutes": (time.monotonic() - start) / 60, "peak": peak, "commit": COMMIT}


def in_the_app(page: Page, address: str, run: Run) -> Iterator[dict[str, str]]:
    """Seconds of the first visit of the pages, and of each query."""
    for path in ("", "frames", "semantics"):
        begin = time.perf_counter()
        page.goto(f"{address}/{path}?run={run.path.name}")
        if path == "frames":
            page.locator(".player[data-exact=true]").wait_for()
        else:
            page.wait_for_function(CHARTS)
        yield _row(f"{path or 'overview'} opened, s", f"{time.perf_counter() - begin:.1f}")
        page.screenshot(path=run.path.with_name(f"{path or 'overview'}.png"))
    page.goto(f"{address}/search?run={run.path.name}")
    box = page.get_by_role("textbox", name="What are you looking for?")
    for query in QUERIES:
        box.fill(query)
        begin = time.perf_counter()
        box.press("Control+Enter")
        page.locator("h3", has_text=query).wait_for()
        yield _row(f"query '{query}', s", f"{time.perf_counter() - begin:.1f}")
        page.screenshot(path=run.path.with_name("search.png"))


def _row(what: str, value: str) -> dict[str, str]:
    return {"what": what, "value": value}


def main(argv: list[str]) -> None:
    """Make the film and the run where they are missing, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="+", type=Path, help="videos of which the film is made")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=30, help="of the training")
    parser.add_argument("--film_minutes", type=float, default=30)
    parser.add_argument("--chromium", default=shutil.which("chromium"))
    parser.add_argument("--out", type=Path)
    args = parser.parse_args(argv)
    path, run = args.folder / "film.mp4", Run(args.folder / "run")
    stored = args.folder / "training.json"
    args.folder.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        write_film(path, args.parts, args.film_minutes)
    if not stored.exists():
        stored.write_text(json.dumps(train(path, run.path, args.minutes)))
    trained, config, metrics = json.loads(stored.read_text()), run.read_config(), run.read_metrics()
    size = f"{config.video.height}x{config.video.width}, every {config.video.step}"
    rows = [
        _row("frames, and cuts found", f"{config.video.frames:,}, {len(config.video.cuts) - 1}"),
        _row("trained at commit", short(trained["commit"])),
        _row("frames of the plan", size),
        _row("networks, M parameters", f"{len(config.architecture.segments)}, "
             f"{config.parameters.decoder / 1e6:.2f}"),
        _row("epochs", str(int(run.read_history()["epoch"].iloc[-1]))),
        _row("minutes of training, all included", f"{trained['minutes']:.1f} of {args.minutes:g}"),
        _row("peak memory of training, GiB", f"{trained['peak']:.2f}"),
        _row("PSNR seen; of the blend, held out", f"{metrics.train.psnr:.2f}; "
             f"{metrics.val.psnr:.2f} beside {metrics.val.blend_psnr:.2f}"),
        _row("bytes", f"{metrics.bytes:,}"),
    ]  # fmt: skip
    with (
        sync_playwright() as p,
        serving(args.folder, "--runs", str(args.folder.resolve())) as app,
    ):
        browser = p.chromium.launch(executable_path=args.chromium, args=CHROMIUM)
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.set_default_timeout(300_000)
        rows += in_the_app(page, app.address, run)
        rows.append(_row("peak memory of the app, GiB", f"{memory(app.pid, peak=True) / 1024:.2f}"))
        browser.close()
    write(args.out, "# A film of 30 minutes\n\n" + heading(__doc__) + table(rows))


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "2")
    main_guard(main)
