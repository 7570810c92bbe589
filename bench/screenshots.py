"""Screenshots of every page of the app on the shipped runs, in both sizes and both themes.

With --film, also of a run with cuts: its overview, frames and a search.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright
from serving import CHROMIUM, ROOT, serving

from nerv_clip.cli import main_guard

SIZES = {"wide": (1440, 900), "phone": (390, 844)}
QUERIES = ("a purple kettle", "the tap is running", "a mug -kettle")
FILM_QUERIES = ("a red kettle", "an orange kettle", "the fridge is open")


def search(page: Page, queries: Sequence[str] = QUERIES) -> None:
    """Three queries on the search page."""
    box = page.get_by_role("textbox", name="What are you looking for?")
    box.fill("\n".join(queries))
    box.press("Control+Enter")
    page.get_by_role("button", name="Go to frame").first.wait_for()


def wait_for_player(page: Page) -> None:
    """Wait for the player's picture."""
    page.locator(".player[data-exact=true]").wait_for()


def highlight(page: Page) -> None:
    """The first query, lit up in the frames."""
    wait_for_player(page)
    box = page.get_by_role("textbox", name="Highlight in the frames")
    box.fill(QUERIES[0])
    box.press("Enter")
    page.locator(".player[data-heat]").wait_for()


def wait_for_chart(page: Page) -> None:
    """Wait for a chart."""
    page.locator(".js-plotly-plot .main-svg").first.wait_for()


def pick_video(page: Page) -> None:
    """Select a video on the training page, and wait for what its training will take."""
    page.get_by_role("tab", name="From the data folder").click()
    page.get_by_label("Video, or folder of images").click()
    page.get_by_role("option").first.click()
    page.get_by_text("Memory", exact=True).wait_for()


Pages = dict[str, tuple[str, Callable[[Page], object]]]  # by file name: path, and what to do there
PAGES: Pages = {
    "overview": ("", wait_for_chart),
    "frames": ("frames", highlight),
    "semantics": ("semantics", wait_for_chart),
    "embedding_map": ("embedding_map", wait_for_chart),
    "search": ("search", search),
    "verify": ("verify", wait_for_chart),
    "compare": ("compare", wait_for_chart),
    "train": ("train", pick_video),
}
FILM_PAGES: Pages = {
    "film_overview": PAGES["overview"],
    "film_frames": ("frames", wait_for_player),
    "film_search": ("search", partial(search, queries=FILM_QUERIES)),
}


def take_screenshots(
    browser: Browser,
    address: str,
    pages: Pages,
    shown: str,
    out: Path,
    tall: int | None,
) -> None:
    """``pages`` in both sizes and both themes, of the run and frame ``shown``."""
    for theme in ("light", "dark"):
        for size, (width, height) in SIZES.items():
            page = browser.new_page(
                viewport={"width": width, "height": tall or height}, color_scheme=theme
            )
            page.set_default_timeout(120_000)
            for file, (path, prepare) in pages.items():
                page.goto(f"{address}/{path}?{shown}")
                prepare(page)
                page.wait_for_load_state("networkidle")
                page.locator("[data-testid=stSpinner]").wait_for(state="detached")
                page.wait_for_timeout(1500)
                name = out / f"{file}-{size}-{theme}"
                png = name.with_suffix(".png")
                page.screenshot(path=png)
                if not tall:
                    Image.open(png).convert("RGB").save(name.with_suffix(".webp"), quality=85)
                    png.unlink()
                print(name, flush=True)
            page.close()


def main(argv: list[str]) -> None:
    """Write the screenshots."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "screenshots")
    parser.add_argument(
        "--tall", type=int, help="height of the window in pixels, to show whole pages; writes PNG"
    )
    parser.add_argument("--video", type=Path, required=True, help="a video for the training page")
    parser.add_argument("--film", type=Path, help="a run of a film of three kitchens")
    parser.add_argument("--chromium", default=shutil.which("chromium"))
    args = parser.parse_args(argv)
    args.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as p:
        (Path(folder) / "data").mkdir()
        shutil.copy(args.video, Path(folder) / "data")
        browser = p.chromium.launch(executable_path=args.chromium, args=CHROMIUM)
        with serving(Path(folder), "--runs", str(ROOT / "checkpoints")) as app:
            run = "run=kitchen&frame=200"
            take_screenshots(browser, app.address, PAGES, run, args.out, args.tall)
        if args.film:
            film = args.film.resolve()
            with serving(Path(folder), "--runs", str(film.parent)) as app:
                run = f"run={film.name}&frame=310"
                take_screenshots(browser, app.address, FILM_PAGES, run, args.out, args.tall)
        browser.close()


if __name__ == "__main__":
    main_guard(main)
