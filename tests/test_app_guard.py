"""The app answers to this machine and to its own pages only."""

from __future__ import annotations

import runpy
import sys
import threading
import tomllib
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import streamlit as st
from streamlit import config

from tests.app_server import CHROMIUM, CHROMIUM_ARGUMENTS, ROOT, opened, serving

APP = ROOT / "app"
WEBSOCKET = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The app, started from a folder whose settings would open it to others."""
    place = tmp_path_factory.mktemp("elsewhere")
    settings = place / ".streamlit" / "config.toml"
    settings.parent.mkdir()
    settings.write_text('[server]\naddress = "0.0.0.0"\n[browser]\ngatherUsageStats = true\n')
    with serving(place, "--runs", str(ROOT / "checkpoints")) as address:
        yield address


def answer(server: str, path: str = "/", **headers: str) -> HTTPResponse:
    """The answer to a request with exactly these headers."""
    port = urlsplit(server).port
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    connection.putrequest("GET", path, skip_host=True)
    for name, value in ({"Host": f"localhost:{port}"} | headers).items():
        connection.putheader(name, value)
    connection.endheaders()
    return connection.getresponse()


def test_the_app_started_from_any_folder_listens_on_this_machine_only(server: str) -> None:
    assert answer(server).status == 200
    with pytest.raises(OSError):  # noqa: PT011 - refused, or no such address
        HTTPConnection("127.0.0.2", urlsplit(server).port, timeout=5).connect()


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8501", "localhost.evil.example", ""]
)
def test_another_host_name_is_refused(server: str, host: str) -> None:
    port = urlsplit(server).port
    for path in ("/", "/_stcore/host-config", "/media/any.mp4"):
        found = answer(server, path, Host=host)
        assert found.status == 403
        assert b"--server.allowedHosts NAME" in found.read()
    socket = answer(server, "/_stcore/stream", **WEBSOCKET, Host=host, Origin=f"http://{host}")
    assert socket.status == 403
    own = {"Host": f"127.0.0.1:{port}", "Origin": f"http://127.0.0.1:{port}"}
    assert answer(server, "/_stcore/stream", **WEBSOCKET, **own).status == 101


@pytest.mark.parametrize(
    "origin", ["http://localhost:9999", "https://evil.example", "null", "http://["]
)
def test_a_page_of_another_origin_is_refused(server: str, origin: str) -> None:
    assert answer(server, "/_stcore/stream", **WEBSOCKET, Origin=origin).status == 403
    assert answer(server, "/_stcore/host-config", Origin=origin).status == 403


def test_every_answer_forbids_frames_and_other_hosts(server: str) -> None:
    for path in ("/", "/_stcore/health", "/media/none"):
        found = answer(server, path)
        policy = str(found.headers["Content-Security-Policy"])
        assert "frame-ancestors 'none'" in policy
        assert "default-src 'self'" in policy
        assert found.headers["X-Frame-Options"] == "DENY"
        assert found.headers["Cross-Origin-Resource-Policy"] == "same-origin"


@pytest.mark.parametrize(
    ("address", "options", "script"),
    [
        ("localhost", [], "navigation.py"),
        ("127.0.0.1", [], "navigation.py"),
        ("::1", [], "navigation.py"),
        (None, [], "refusal.py"),
        ("0.0.0.0", [], "refusal.py"),  # noqa: S104
        ("::", [], "refusal.py"),
        ("192.0.2.1", [], "refusal.py"),
        ("no such name.invalid", [], "refusal.py"),
        ("0.0.0.0", ["--listen"], "navigation.py"),  # noqa: S104
    ],
)
def test_an_address_that_others_reach_needs_listen(
    address: str | None, options: list[str], script: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"server.address": address, "server.allowedHosts": ["kitchen.example"]}
    monkeypatch.setattr(st, "get_option", settings.get)
    monkeypatch.setattr(config, "_main_script_path", None)
    monkeypatch.setattr(sys, "argv", ["main.py", *options])
    monkeypatch.syspath_prepend(str(APP))
    app = runpy.run_path(str(APP / "main.py"))
    assert app["app"].script_path.name == script
    assert ("kitchen.example" in app["hosts"]) == bool(options)


def test_the_app_without_its_guard_shows_how_to_start_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    app = opened(monkeypatch, ROOT / "checkpoints", guarded=False)
    assert [error.value for error in app.error] == [
        "This script is a part of the app. To start the app: streamlit run app/main.py"
    ]
    assert not app.title
    assert not app.sidebar.selectbox


def test_settings_of_the_root_do_not_differ_from_those_of_the_app() -> None:
    root, app = (
        tomllib.loads((folder / ".streamlit" / "config.toml").read_text()) for folder in (ROOT, APP)
    )
    assert root["server"]["address"] == "localhost"
    assert app["browser"]["gatherUsageStats"] is False
    for section, values in root.items():
        assert values.items() <= app[section].items()


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The address of another server of this machine, and the folder that it serves."""
    folder = tmp_path_factory.mktemp("other")

    class Handler(SimpleHTTPRequestHandler):
        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments, directory=str(folder))  # type: ignore[arg-type]

        def log_message(self, *_: object) -> None:
            """Nothing is logged."""

    with HTTPServer(("localhost", 0), Handler) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        yield f"http://localhost:{other.server_port}", folder
        other.shutdown()


PAGE = """<iframe src="SERVER/"></iframe><script>
const socket = new WebSocket("SERVER/_stcore/stream".replace("http", "ws"), ["streamlit"]);
socket.onopen = () => document.title = "open"; socket.onerror = () => document.title = "refused";
</script>"""


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: apt-get install chromium")
def test_in_a_browser_no_other_name_and_no_other_page_reaches_the_app(
    server: str, elsewhere: tuple[str, Path]
) -> None:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    other, folder = elsewhere
    (folder / "index.html").write_text(PAGE.replace("SERVER", server))
    rule = "--host-resolver-rules=MAP evil.example 127.0.0.1"
    with playwright.sync_playwright() as p:
        browser = p.chromium.launch(executable_path=CHROMIUM, args=[*CHROMIUM_ARGUMENTS, rule])
        page = browser.new_page()
        page.goto(server.replace("localhost", "evil.example"))
        assert "answers to the names localhost" in page.inner_text("body")
        page.goto(other)
        page.wait_for_function("document.title === 'refused'")
        (frame,) = page.frames[1:]
        assert frame.url.startswith("chrome-error:")
        page.goto(server)
        page.get_by_role("heading", name="kitchen", level=1).wait_for()
        browser.close()
