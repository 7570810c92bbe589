"""The app in Chromium: cold start, page switches, scrubbing, wrong frames, search, memory."""

from __future__ import annotations

import argparse
import random
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from playwright.sync_api import Page, sync_playwright
from report import heading, table, write
from serving import CHROMIUM, ROOT, memory, serving
from torch import Tensor

from nerv_clip.cli import main_guard
from nerv_clip.files import file_hash
from nerv_clip.video.comparison import read_pairs
from nerv_clip.video.writer import write_comparison

RUN = ROOT / "checkpoints" / "kitchen"
BITS = 10  # of a frame index, drawn as black and white blocks along the lower edge
SEEKS, INTERACTIONS, ROUNDS = 500, 200, 3
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


def main(argv: list[str]) -> None:
    """Measure, and print the results as a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chromium", default=shutil.which("chromium"))
    parser.add_argument("--out", type=Path)
    args = parser.parse_args(argv)
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as p:
        browser = p.chromium.launch(executable_path=args.chromium, args=CHROMIUM)
        copy_numbered(RUN, Path(folder) / "runs")
        with serving(Path(folder), "--runs", "runs") as app:
            page = browser.new_page(viewport={"width": 1440, "height": 900})
            page.set_default_timeout(120_000)
            page.goto(f"{app.address}/?run={RUN.name}")
            for what, selector in (
                ("metrics and pictures", ".strip"),
                ("chart", ".js-plotly-plot"),
            ):
                page.locator(selector).first.wait_for()
                cold = time.perf_counter() - app.since
                what = f"first page: {what}, s after server start"
                rows.append({"what": what, "value": f"{cold:.1f}"})
            rows += scrub(page) + search(page) + interactions(page, app.pid)
        browser.close()
    write(args.out, "# The app\n\n" + heading(__doc__) + table(rows))


if __name__ == "__main__":
    main_guard(main)
