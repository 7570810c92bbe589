"""The app in a real browser: one server, one browser, every page.

Skipped where there is no Chromium.
"""

from __future__ import annotations

import base64
import io
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from nerv_clip.video.comparison import read_pairs
from nerv_clip.video.writer import write_comparison
from tests.app_server import CHROMIUM, CHROMIUM_ARGUMENTS, MARKUP, ROOT, serving
from tests.runs import CLIP_FLAGS, train
from tests.samples import write_test_video

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: apt-get install chromium")
SHIPPED = ROOT / "checkpoints"
HEIGHT, WIDTH = 180, 320
QUERY = "# a $red$ *mug* [and] `kettle` <a>"  # tries to be markup
PATIENCE = 120_000  # ms: two cores, other tests beside


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the app runs."""
    return tmp_path_factory.mktemp("server")


@pytest.fixture(scope="module")
def server(place: Path, teacher: str) -> Iterator[str]:
    """The app on copies of shipped runs, not yet verified; errors in its log fail the tests."""
    (place / "data").mkdir()
    write_test_video(place / "data" / "moving.mp4")
    for name in ("kitchen", "kitchen_baseline"):
        shutil.copytree(SHIPPED / name, place / "runs" / name)
    (place / "runs" / "kitchen" / "verification.json").unlink()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        dense = ["--predict_dense", "--dense_rank", "8", "--clip_model", teacher]
        train(place / "data" / "moving.mp4", *CLIP_FLAGS, *dense).rename("runs/places")
    with serving(place, "--runs", "runs", "--runs", "output") as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[playwright.Browser]:
    with playwright.sync_playwright() as p:
        found = p.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGUMENTS)
        yield found
        found.close()


@pytest.fixture
def page(server: str, browser: playwright.Browser) -> Iterator[playwright.Page]:
    """A fresh session that fails the test on console errors and on requests to other hosts.

    It also fails on pictures from Streamlit's files, which Streamlit deletes at the next rerun.
    """
    opened = browser.new_page(viewport={"width": 1440, "height": 900}, base_url=server)
    opened.set_default_timeout(PATIENCE)
    problems: list[str] = []
    opened.on("pageerror", lambda error: problems.append(str(error)))
    opened.on(
        "console",
        lambda line: problems.append(line.text) if line.type == "error" else None,
    )
    opened.on(
        "request",
        lambda request: (
            None
            if request.url.startswith((server, "data:", "blob:", server.replace("http", "ws")))
            and not (request.resource_type == "image" and "/media/" in request.url)
            else problems.append(f"fetches {request.url}")
        ),
    )
    yield opened
    opened.close()
    # Streamlit first looks for its service below the page's address, which the browser reports
    assert [c for c in problems if "404" not in c] == []


def go(page: playwright.Page, title: str) -> None:
    """Go to a page by its link."""
    page.get_by_test_id("stSidebarNav").get_by_text(title, exact=True).click(delay=50)  # ms down
    page.get_by_role("heading", name=title, level=1).wait_for()


def shown(page: playwright.Page) -> int:
    return int(page.locator(".player").get_attribute("data-shown") or -1)


def wait_for_frame(page: playwright.Page, frame: int) -> None:
    page.wait_for_function(
        "frame => [...document.querySelectorAll('*')].some(e => "
        "e.shadowRoot?.querySelector('.player')?.dataset.shown === String(frame))",
        arg=frame,
    )


def canvas(page: playwright.Page) -> NDArray[np.float64]:
    """The pixels of the player's canvas."""
    url = page.locator(".player .picture").evaluate("canvas => canvas.toDataURL()")
    content = base64.b64decode(url.split(",")[1])
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"), dtype=float)


def small(pixels: NDArray[np.float64] | NDArray[np.uint8]) -> NDArray[np.float64]:
    image = Image.fromarray(pixels.astype(np.uint8)).resize((80, 45), Image.Resampling.BOX)
    return np.asarray(image, dtype=float)


def test_a_key_before_the_split_is_loaded_is_not_lost(page: playwright.Page) -> None:
    held = list[playwright.Route]()
    page.route("**/media/*.bin", lambda route: held.append(route))
    page.goto("/frames?run=kitchen")
    page.locator(".player").wait_for()
    page.wait_for_timeout(1000)
    assert held
    page.locator(".player").press("h")
    for route in held:
        route.continue_()
    page.unroute("**/media/*.bin")
    wait_for_frame(page, 3)


def test_the_player_shows_the_requested_held_out_frame(page: playwright.Page) -> None:
    page.goto("/frames?run=kitchen")
    wait_for_frame(page, 0)
    player = page.locator(".player")
    player.focus()
    for held_out in (3, 7):
        page.keyboard.press("h")
        wait_for_frame(page, held_out)
    page.keyboard.press("ArrowLeft")
    wait_for_frame(page, 6)
    page.keyboard.press("ArrowRight")
    wait_for_frame(page, 7)
    picture = canvas(page)
    middle = picture.shape[1] // 2
    wanted = list(read_pairs(SHIPPED / "kitchen" / "comparison.mp4", [7, 31], HEIGHT, WIDTH))
    for half, name in ((picture[:, :middle], "true"), (picture[:, middle:], "drawn")):
        here, elsewhere = (
            np.abs(small(half) - small(getattr(pair, name))).mean() for pair in wanted
        )
        assert here < 8  # the labels on the picture are not in the stream
        assert elsewhere > here + 5
    assert "held out" in page.locator(".player .metrics").inner_text()
    page.wait_for_url("**frame=7**")


def test_the_player_has_wipe_and_difference_views(page: playwright.Page) -> None:
    page.goto("/frames?run=kitchen&frame=7")
    wait_for_frame(page, 7)
    player = page.locator(".player")
    player.get_by_role("button", name="wipe").click()
    box = player.locator(".picture").bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + 0.25 * box["width"], box["y"] + 0.5 * box["height"])
    picture = canvas(page)
    (pair,) = read_pairs(SHIPPED / "kitchen" / "comparison.mp4", [7], HEIGHT, WIDTH)
    left = slice(4, int(0.25 * 80) - 2)
    right = slice(int(0.25 * 80) + 2, 78)
    for part, source in ((left, pair.true), (right, pair.drawn)):
        assert np.abs(small(picture)[12:, part] - small(source)[12:, part]).mean() < 8
    player.get_by_role("button", name="difference").click()
    dark = canvas(page)
    assert dark.mean() < picture.mean() / 2
    player.get_by_role("button", name="Zoom in").click()
    player.get_by_role("button", name="Whole picture").click()


def test_a_step_just_before_a_change_of_the_page_is_kept(page: playwright.Page) -> None:
    page.goto("/frames?run=kitchen")
    wait_for_frame(page, 0)
    page.get_by_text("Keys: ←").wait_for()  # the end of the page
    page.wait_for_timeout(500)
    page.locator(".player").press("ArrowRight")
    go(page, "Semantics")  # at once: the player rests for a while before it reports its frame
    go(page, "Frames")
    wait_for_frame(page, 1)
    page.locator(".player").press("ArrowLeft")
    page.wait_for_url("**frame=0**")
    page.locator(".player").press("ArrowRight")  # back to a frame that it has reported before
    page.wait_for_url("**frame=1**")


def test_a_search_result_opens_its_frame(page: playwright.Page, tmp_path: Path) -> None:
    page.goto("/search?run=kitchen")
    page.get_by_test_id("stButtonGroup").get_by_text("a purple kettle").click()
    button = page.get_by_role("button", name="Go to frame").first
    button.wait_for()
    frame = int(button.inner_text().rsplit(" ", 1)[1])
    button.click()
    page.get_by_role("heading", name="Frames", level=1).wait_for()
    wait_for_frame(page, frame)
    go(page, "Search")
    button.wait_for()  # the query is kept
    page.get_by_role("textbox", name="What are you looking for?").fill(
        f"a zebra\na red mug\n{QUERY}"
    )
    page.get_by_role("textbox", name="What are you looking for?").press("Control+Enter")
    page.get_by_test_id("stAlert").get_by_text('"zebra"').wait_for()
    page.get_by_text("No clear match").first.wait_for()
    page.get_by_role("heading", name=QUERY).wait_for()
    assert QUERY in page.inner_text("body").replace("\u2060", "")
    assert page.locator(MARKUP).all_inner_texts() == []
    page.get_by_text("Search by image, or by a moment of this video").click()
    upload = page.locator("input[type=file]")
    upload.set_input_files(
        [playwright.FilePayload(name="me.png", mimeType="image/png", buffer=b"no picture")]
    )
    page.get_by_text("me.png cannot be read").wait_for()
    pair = next(read_pairs(SHIPPED / "kitchen" / "comparison.mp4", [200], HEIGHT, WIDTH))
    Image.fromarray(pair.true).save(tmp_path / "frame.png")
    page.get_by_role("textbox", name="What are you looking for?").fill("")
    page.get_by_role("textbox", name="What are you looking for?").press("Control+Enter")
    page.get_by_role("heading", name="a red mug").wait_for(state="detached")
    upload.set_input_files(tmp_path / "frame.png")
    page.get_by_role("heading", name="like frame.png").wait_for()
    found = int(button.inner_text().rsplit(" ", 1)[1])
    assert abs(found - 200) < 12
    page.get_by_text("Find similar moments").click()
    page.get_by_role("heading", name=re.compile(r"like \d")).wait_for()
    page.get_by_role("textbox", name="What are you looking for?").fill("a kettle\na kettle")
    page.get_by_test_id("stMain").get_by_text("all runs").click()
    page.get_by_text("Runs not searched").wait_for()


def test_a_spot_lights_up_and_finds_more_like_it(page: playwright.Page) -> None:
    page.goto("/frames?run=places&frame=4")
    player = page.locator(".player[data-exact=true]")
    player.wait_for()
    before, box = canvas(page), page.locator(".player .picture").bounding_box()
    assert box is not None
    height, width = before.shape[:2]
    at = {"x": 0.15 * box["width"], "y": 0.4 * box["height"]}  # in the true frame, at the left
    page.locator(".player .picture").click(position=at)
    page.get_by_role("heading", name="More like this spot").wait_for()
    page.locator(".player[data-heat='4']").wait_for()
    page.get_by_label("Opacity of the heat map").fill("1")
    changed = np.abs(canvas(page) - before).max(2) > 40
    row, column = int(0.4 * height), int(0.15 * width)
    for across in (column, column + width // 2):  # in both pictures
        assert changed[row - 20 : row + 20, across - 20 : across + 20].any()
    page.get_by_label("Opacity of the heat map").fill("0")
    plain = np.abs(canvas(page) - before).max(2) > 40
    assert plain.mean() < changed.mean()
    page.get_by_role("button", name="Play").click()
    page.wait_for_function(
        "() => [...document.querySelectorAll('*')].some(e => { const p = "
        "e.shadowRoot?.querySelector('.player'); return p?.dataset.shown === '11' && "
        "p.dataset.heat === '11'; })"
    )
    page.get_by_text("Teacher's map on the true frame").click()
    page.get_by_text("No other moment has a clear match.").wait_for()  # all frames are alike


def test_a_query_on_search_lights_up_in_the_player(page: playwright.Page) -> None:
    page.goto("/search?run=places")
    box = page.get_by_role("textbox", name="What are you looking for?")
    box.fill("a red mug\na blue pan")
    box.press("Control+Enter")
    page.locator(".player[data-heat]").wait_for()
    page.get_by_role("radio", name="a blue pan").click()
    page.locator(".heat-name").get_by_text("a blue pan").wait_for()
    page.get_by_role("button", name="Go to frame").last.click()
    page.get_by_role("heading", name="Frames", level=1).wait_for()
    light = page.get_by_role("textbox", name="Highlight in the frames")
    playwright.expect(light).to_have_value("a blue pan")


def test_a_click_in_the_map_changes_the_current_frame(page: playwright.Page) -> None:
    page.goto("/embedding_map?run=kitchen")
    points = page.locator(".scatterlayer .points path")
    points.nth(40).wait_for()
    page.wait_for_timeout(1000)
    points.nth(140).click(force=True)
    page.wait_for_url("**frame=**")
    page.wait_for_function("!location.search.includes('frame=0')")


def test_a_verification_shows_its_verdict(page: playwright.Page) -> None:
    page.goto("/verify?run=kitchen")
    page.get_by_role("button", name="Verify", exact=True).click()
    page.get_by_text("Equivalent to interpolation").wait_for()
    page.get_by_text("Effective sample size").wait_for()
    with page.expect_download() as download:
        page.get_by_role("button", name="Report with plots").click()
    assert "equivalent to interpolation" in download.value.path().read_text().lower()
    page.goto("/?run=kitchen")
    page.get_by_text("Equivalent to interpolation").wait_for()
    page.goto("/verify?run=kitchen_baseline")
    page.get_by_text("has no CLIP head").wait_for()


def test_a_training_can_be_started_watched_and_stopped(page: playwright.Page) -> None:
    page.goto("/")
    go(page, "Train")
    page.get_by_role("tab", name="From the data folder").click()
    page.get_by_label("Video, or folder of images").click()
    page.get_by_role("option", name="moving.mp4").click()
    page.get_by_text("--minutes 10").wait_for()  # the default
    page.get_by_text("Memory", exact=True).wait_for()  # the plan is shown above the button
    start = page.get_by_role("button", name="Start training")
    tile, button = (one.bounding_box() for one in (page.get_by_text("3 held out"), start))
    assert tile is not None
    assert button is not None
    assert tile["y"] < button["y"]
    start.click()
    stop = page.get_by_role("button", name="Stop")
    page.get_by_text("The plan for 10 minutes").wait_for()
    page.get_by_text("epoch 1").first.wait_for()
    stop.click()
    page.get_by_text("No training is running").wait_for()
    page.get_by_text("was stopped").wait_for()
    page.get_by_role("button", name="Continue for 10 more minutes").wait_for()


def test_an_uploaded_video_can_be_trained_and_opened(
    page: playwright.Page, place: Path, tmp_path: Path
) -> None:
    write_test_video(tmp_path / "mine.mp4")
    page.goto("/train")
    page.locator("input[type=file]").set_input_files(tmp_path / "mine.mp4")
    page.get_by_role("radio", name="Set epochs myself").click()

    def fill(label: str, value: str) -> None:
        # fields of the other form stay in the page for a while, not visible
        field = page.get_by_label(label, exact=True).filter(visible=True)
        field.fill(value)
        field.press("Enter")

    fill("Epochs", "4")
    fill("Split", "nonsense")
    page.get_by_text("is not a_b_c").last.wait_for()
    page.get_by_role("button", name="Start training").wait_for(state="detached")
    fill("Split", "2_2_3")
    fill("Model size (million parameters)", "0.05")
    page.get_by_text("4 held out").wait_for()
    page.get_by_role("button", name="Start training").click()
    page.get_by_text("mine finished").wait_for()
    page.get_by_role("button", name="Open mine").click()
    page.get_by_role("heading", name="mine", level=1).wait_for()
    # replace its stream by a black one of another checkpoint: the app draws it again
    black = torch.zeros(3, 48, 80)
    write_comparison(
        place / "output" / "mine" / "comparison.mp4",
        lambda chosen: ((black, black) for _ in chosen),
        12,
        25,
        "another",
    )
    go(page, "Frames")
    wait_for_frame(page, 0)
    page.get_by_role("button", name="Next frame").click()
    wait_for_frame(page, 1)
    assert canvas(page)[40:].mean() > 40


def test_hovering_over_a_point_shows_its_frame(page: playwright.Page) -> None:
    page.goto("/semantics?run=kitchen")
    points = page.locator(".js-plotly-plot").first.locator(".points path")
    points.nth(100).wait_for()
    page.wait_for_timeout(1000)
    points.nth(100).hover(force=True)
    page.wait_for_function(
        "() => [...document.querySelectorAll('*')].some(e => "
        "e.shadowRoot?.querySelector('.hover-card')?.dataset.frame)"
    )
    card = page.locator(".hover-card")
    frame = int(card.get_attribute("data-frame") or -1)
    url = card.locator("canvas").evaluate("canvas => canvas.toDataURL()")
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))).convert("RGB"))
    half = picture[:, : picture.shape[1] // 2]
    (pair,) = read_pairs(SHIPPED / "kitchen" / "comparison.mp4", [frame], HEIGHT, WIDTH)
    assert np.abs(small(half) - small(pair.true)).mean() < 5


def test_two_sessions_do_not_mix(
    page: playwright.Page, browser: playwright.Browser, server: str
) -> None:
    other = browser.new_page(base_url=server)
    page.goto("/frames?run=kitchen&frame=10")
    other.goto("/frames?run=kitchen_baseline&frame=20")
    wait_for_frame(page, 10)
    wait_for_frame(other, 20)
    page.reload()
    wait_for_frame(page, 10)
    other.wait_for_url("**run=kitchen_baseline**")
    other.close()


def test_pages_fit_the_screen_width(page: playwright.Page) -> None:
    page.goto("/?run=kitchen")
    page.get_by_role("heading", name="kitchen", level=1).wait_for()
    for title in (
        "Overview",
        "Frames",
        "Semantics",
        "Embedding map",
        "Search",
        "Verify",
        "Compare",
        "Train",
    ):
        if title != "Overview":
            go(page, title)
        for width, height in ((390, 844), (1440, 900)):
            page.set_viewport_size({"width": width, "height": height})
            page.wait_for_timeout(500)
            assert page.evaluate("document.documentElement.scrollWidth") <= width, title
        assert page.get_by_test_id("stException").count() == 0, title
