"""The app in Chromium: cold start, page switches, scrubbing, heat maps, search, memory.

Then the pages of a synthetic run of many frames: the time from the click to the chart or the
player, when the run has been read before, and what the server sends for it.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from playwright.sync_api import Page, sync_playwright
from report import heading, table, write
from serving import CHROMIUM, ROOT, Served, memory, serving
from torch import Tensor

from nerv_clip import Run, split_frames
from nerv_clip.cli import main_guard
from nerv_clip.evaluation.results import Metrics, SplitMetrics
from nerv_clip.files import file_hash
from nerv_clip.models.checkpoint import export_model
from nerv_clip.models.solver import solve_video
from nerv_clip.runs.config import SplitRecord
from nerv_clip.runs.description import describe
from nerv_clip.runs.inputs import Inputs
from nerv_clip.training.builder import build_video_network
from nerv_clip.training.presets import preset
from nerv_clip.video.comparison import read_pairs
from nerv_clip.video.shots import Shots
from nerv_clip.video.split import Split, train_indices
from nerv_clip.video.video import still_video
from nerv_clip.video.writer import write_comparison

RUN = ROOT / "checkpoints" / "kitchen"
BITS = 10  # of a frame index, drawn as black and white blocks along the lower edge
SEEKS, INTERACTIONS, ROUNDS = 500, 200, 3
PLAYED = 4000  # ms of playback with a heat map
FIND = """() => [...document.querySelectorAll('*')].map(e => e.shadowRoot?.querySelector('.player'))
  .find(p => p)"""
SEEK = """async ([player, frame, bits]) => {
  const begin = performance.now();
  window.dispatchEvent(new CustomEvent('nerv:go', { detail: frame }));
  while (player.dataset.shown !== String(frame)) await new Promise(requestAnimationFrame);
  const took = performance.now() - begin;
  const canvas = player.querySelector('.picture');
  const pen = canvas.getContext('2d'), block = canvas.width / 2 / 20;
  let number = 0;
  for (let i = 0; i < bits; i++) {
    const [red] = pen.getImageData((i + .5) * block, canvas.height - block / 2, 1, 1).data;
    number += (red > 127) << i;
  }
  return [took, number];
}"""


def numbered(pixels: NDArray[np.uint8], frame: int) -> Tensor:
    """A picture (H, W, 3) as (3, H, W), with its frame index in blocks along its lower edge."""
    picture = torch.from_numpy(pixels).permute(2, 0, 1).float() / 255
    height, side = picture.shape[1], picture.shape[2] // 20
    for bit in range(BITS):
        on = float(frame >> bit & 1)
        picture[:, height - side :, bit * side : (bit + 1) * side] = on
    return picture


def copy_numbered(run: Path, runs: Path) -> None:
    """Copy a run into ``runs``, with numbered frames in its stream."""
    shutil.copytree(run, runs / run.name)
    stream = run / "comparison.mp4"
    write_comparison(
        runs / run.name / "comparison.mp4",
        lambda chosen: (
            (numbered(pair.true, pair.frame), numbered(pair.drawn, pair.frame))
            for pair in read_pairs(stream, chosen, 180, 320)
        ),
        300,
        25,
        file_hash(run / "model_best.pth"),
    )


def go(page: Page, title: str) -> float:
    """Seconds from the click on a page's link to its heading."""
    begin = time.perf_counter()
    page.get_by_test_id("stSidebarNav").get_by_text(title, exact=True).click()
    heading_text = RUN.name if title == "Overview" else title  # Overview shows the run's name
    wait_for_heading(page, "h1", heading_text)
    return time.perf_counter() - begin


def wait_for_heading(page: Page, level: str, text: str) -> None:
    """Wait for a heading, in the page itself: a Playwright locator takes longer."""
    page.evaluate(
        """([level, text]) => new Promise((done) => {
          const look = () => [...document.querySelectorAll(level)].some((h) => h.innerText === text)
            ? done() : setTimeout(look, 5);
          look();
        })""",
        [level, text],
    )


def first_page(page: Page, app: Served) -> list[dict[str, str]]:
    """Seconds from the start of the server to what the first page shows."""
    rows = []
    page.goto(f"{app.address}/?run={RUN.name}")
    for what, selector in (("metrics and pictures", ".strip"), ("chart", ".js-plotly-plot")):
        page.locator(selector).first.wait_for()
        cold = time.perf_counter() - app.since
        rows.append({"what": f"first page: {what}, s after server start", "value": f"{cold:.1f}"})
    return rows


def scrub(page: Page) -> list[dict[str, str]]:
    """Steps and random seeks; each is checked against the pixels of the canvas."""
    go(page, "Frames")
    page.wait_for_function(f"() => ({FIND})()?.dataset.shown !== undefined")
    player = page.evaluate_handle(FIND)
    rng = random.Random(0)  # noqa: S311 - an order of frames
    steps = [page.evaluate(SEEK, [player, i, BITS]) for i in range(1, 200)]
    wanted = [rng.randrange(300) for _ in range(SEEKS)]
    seeks = [page.evaluate(SEEK, [player, i, BITS]) for i in wanted]
    wrong = sum(shown != i for (_, shown), i in zip(seeks, wanted, strict=True))
    wrong += sum(shown != i for (_, shown), i in zip(steps, range(1, 200), strict=True))
    times = np.array([took for took, _ in seeks])
    stepping = 1000 / float(np.median([took for took, _ in steps]))
    return [
        {"what": "stepping through frames, median frames/s", "value": f"{stepping:.0f}"},
        {"what": f"{SEEKS} random seeks, median ms", "value": f"{np.median(times):.0f}"},
        {"what": f"{SEEKS} random seeks, p95 ms", "value": f"{np.quantile(times, 0.95):.0f}"},
        {"what": "wrong frames in steps and seeks", "value": str(wrong)},
    ]


PLAY = """async ([player, ms]) => {
  const seen = [];
  player.querySelector('[data-do=play]').click();
  const end = performance.now() + ms;
  while (performance.now() < end) {
    await new Promise(requestAnimationFrame);
    seen.push([Number(player.dataset.shown), Number(player.dataset.heat)]);
  }
  player.querySelector('[data-do=play]').click();
  return seen;
}"""


def heat(page: Page) -> list[dict[str, str]]:
    """Seconds from a text to its heat map, and whether the map follows the player."""
    go(page, "Frames")
    box = page.get_by_role("textbox", name="Highlight in the frames")
    took = []
    for text in ("a red apple", "a purple kettle", "a hand holds a white pan", "a blue bowl"):
        box.fill(text)
        begin = time.perf_counter()
        box.press("Enter")
        page.locator(".heat-name").get_by_text(text, exact=True).wait_for()
        took.append(time.perf_counter() - begin)
        page.wait_for_timeout(500)
    page.evaluate("window.dispatchEvent(new CustomEvent('nerv:go', { detail: 0 }))")
    page.wait_for_timeout(1000)
    seen = page.evaluate(PLAY, [page.evaluate_handle(FIND), PLAYED])
    frames = sorted({shown for shown, _ in seen})
    skipped = frames[-1] - frames[0] + 1 - len(frames)
    rate = (frames[-1] - frames[0]) / (PLAYED / 1000)
    return [
        {"what": "first heat map of a text, s", "value": f"{took[0]:.1f}"},
        {"what": "later heat maps, slowest, s", "value": f"{max(took[1:]):.2f}"},
        {"what": "playing with a heat map, frames/s of 25", "value": f"{rate:.1f}"},
        {"what": "frames left out while playing", "value": str(skipped)},
        {
            "what": "pictures with the heat map of another frame",
            "value": str(sum(shown != lit for shown, lit in seen)),
        },
    ]


def search(page: Page) -> list[dict[str, str]]:
    """Seconds from Ctrl-Enter to the answer of a text query; the first one loads the teacher."""
    go(page, "Search")
    box = page.get_by_role("textbox", name="What are you looking for?")
    took = []
    for query in ("a red apple", "a white pan", "the fridge is open", "a hand", "at night"):
        box.fill(query)
        begin = time.perf_counter()
        box.press("Control+Enter")
        wait_for_heading(page, "h3", query)
        took.append(time.perf_counter() - begin)
        page.wait_for_timeout(500)
    warm = f"{1000 * float(np.median(took[1:])):.0f}"
    return [
        {"what": "first text query, s", "value": f"{took[0]:.1f}"},
        {"what": "later text queries, median ms", "value": warm},
    ]


def interactions(page: Page, pid: int) -> list[dict[str, str]]:
    """Memory before and after many page switches and queries."""
    titles = ("Overview", "Frames", "Semantics", "Search", "Verify", "Compare")
    for title in titles:
        go(page, title)
    used, switches = [memory(pid)], []
    for _ in range(ROUNDS):
        switches += [go(page, titles[i % len(titles)]) for i in range(INTERACTIONS)]
        used.append(memory(pid))
    return [
        {"what": "switching pages, median ms", "value": f"{1000 * float(np.median(switches)):.0f}"},
        {
            "what": f"server memory at first, and after each {INTERACTIONS} page switches, MiB",
            "value": ", ".join(f"{amount:.0f}" for amount in used),
        },
    ]


def write_long_run(path: Path, frames: int) -> None:
    """Write a run of ``frames`` small frames and shots of about 125, with an untrained network.

    Its figures are those of the kitchen, with noise.
    """
    run, kitchen, rng = Run(path), Run(RUN), np.random.default_rng(0)
    path.mkdir(parents=True)
    split_rule = SplitRecord(rule="3_3_4", shuffled=False)
    cuts = np.unique(rng.integers(2, frames // 10 - 2, frames // 125)) * 10
    shots = Shots(frames, (0, *map(int, cuts)))
    split = split_frames(frames, split_rule.rule, shots=shots)
    video = still_video(torch.zeros(3, 48, 80, dtype=torch.uint8), frames)
    video.shots = shots
    model, train = preset("fast")
    model = replace(model, modelsize=3.0, lower_width=4, predict_clip=True, clip_dim=512)
    arch = solve_video(model, shots, train_indices(split), video.height, video.width)
    export_model(build_video_network(arch, split), run.best, {"epoch": 1}, 16)
    config = describe(
        Inputs(video, split), arch, split=split_rule, preset="fast", model=model, train=train,
        debug=False, weight=None, processes=1,
    )  # fmt: skip
    run.write_config(replace(config, teacher=kitchen.read_teacher()))
    places = np.arange(frames) % 300
    _write_tables(run, kitchen.read_per_frame().iloc[places], split, rng)
    for name in ("true.npy", "predicted.npy"):
        embeddings = np.load(RUN / name)[places]
        np.save(path / name, (embeddings + rng.normal(0, 0.01, embeddings.shape)).astype("f2"))
    verified = json.loads(kitchen.verification.read_text())
    verified |= {"checkpoint_hash": file_hash(run.best), "shifts": rng.random(frames).tolist()}
    run.write_json(run.verification, verified)
    pictures = [torch.full((3, 48, 80), i / 99) for i in range(100)]

    def pairs(chosen: Sequence[int]) -> Iterator[tuple[Tensor, Tensor]]:
        return ((pictures[i % 100], pictures[i % 100]) for i in chosen)

    write_comparison(run.comparison, pairs, frames, 25, file_hash(run.best))


def _write_tables(
    run: Run, table: pd.DataFrame, split: list[Split], rng: np.random.Generator
) -> None:
    """Write the tables of a run; ``table`` has the rows of another one."""
    measured = table.columns.difference(["frame", "t", "split"])
    table = table.reset_index(drop=True).assign(
        frame=np.arange(len(table)), t=np.linspace(0, 1, len(table)), split=split
    )
    noise = rng.normal(1, 0.02, (len(table), len(measured)))
    table[measured] *= noise
    table.to_csv(run.per_frame, index=False)
    shutil.copy(RUN / "history.csv", run.history)
    same = SplitMetrics(30.0, 0.97, 0.95, 0.93, 28.0)
    counts = {"all": len(split), "train": split.count("train"), "val": split.count("val")}
    metrics = Metrics(same, same, same, counts, 1, run.best.stat().st_size, 0.1, 100.0)
    run.write_json(run.metrics, metrics.to_json())


def long_pages(page: Page, address: str, name: str, frames: int) -> list[dict[str, str]]:
    """Seconds and megabytes of each page of a long run, at its second visit."""
    chart, player = ".js-plotly-plot .main-svg", ".player[data-exact=true]"
    received: list[int] = []
    page.on(
        "websocket",
        lambda socket: socket.on("framereceived", lambda message: received.append(len(message))),
    )
    page.goto(f"{address}/?run={name}")
    page.locator(chart).first.wait_for()
    rows = []
    for title, ready in (
        ("Overview", chart), ("Frames", player), ("Semantics", chart), ("Verify", chart),
    ):  # fmt: skip
        for _ in range(2):
            page.get_by_test_id("stSidebarNav").get_by_text("Train", exact=True).click()
            wait_for_heading(page, "h1", "Train")
            page.wait_for_timeout(1000)
            received.clear()
            begin = time.perf_counter()
            page.get_by_test_id("stSidebarNav").get_by_text(title, exact=True).click()
            page.locator(ready).first.wait_for()
            took = time.perf_counter() - begin
            page.wait_for_timeout(1000)
        what = f"{title} of {frames:,} frames, s; MB sent, and of the largest message"
        value = f"{took:.1f}; {sum(received) / 1e6:.2f}, {max(received) / 1e6:.2f}"
        rows.append({"what": what, "value": value})
    return rows


def main(argv: list[str]) -> None:
    """Measure, and print the results as a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chromium", default=shutil.which("chromium"))
    parser.add_argument("--out", type=Path)
    parser.add_argument("--frames", type=int, default=50_000, help="of the long run")
    parser.add_argument("--only_long", action="store_true", help="measure the long run only")
    args = parser.parse_args(argv)
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as p:
        browser = p.chromium.launch(executable_path=args.chromium, args=CHROMIUM)
        if not args.only_long:
            copy_numbered(RUN, Path(folder) / "runs")
            with serving(Path(folder), "--runs", "runs") as app:
                page = browser.new_page(viewport={"width": 1440, "height": 900})
                page.set_default_timeout(120_000)
                rows += first_page(page, app)
                rows += scrub(page)
                if Run(RUN).read_config().architecture.first.dense_dim:
                    rows += heat(page)
                rows += search(page) + interactions(page, app.pid)
        write_long_run(Path(folder) / "long" / "long", args.frames)
        with serving(Path(folder), "--runs", "long") as app:
            page = browser.new_page(viewport={"width": 1440, "height": 900})
            page.set_default_timeout(120_000)
            rows += long_pages(page, app.address, "long", args.frames)
        browser.close()
    write(args.out, "# The app\n\n" + heading(__doc__) + table(rows))


if __name__ == "__main__":
    main_guard(main)
