"""Who may reach the app: the machine it runs on, and only pages of the app itself."""

from __future__ import annotations

import socket
from collections.abc import Collection
from ipaddress import ip_address
from typing import ClassVar
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

THIS_MACHINE = frozenset({"localhost", "127.0.0.1", "::1"})
HEADERS = {
    # a page loads nothing from other hosts, and no page of another origin frames the app
    "Content-Security-Policy": "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; "
    "object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}


def is_loopback(address: str | None) -> bool:
    """Whether only this machine reaches a server at an address; None is every interface."""
    if not address:
        return False
    try:
        found = socket.getaddrinfo(address, None)
    except OSError:
        return False
    return all(ip_address(str(entry[4][0])).is_loopback for entry in found)


def refusal(headers: Headers, hosts: Collection[str]) -> str:
    """Why a request is refused; empty if it is not.

    It must name one of ``hosts``, so that no other name leads here (DNS rebinding), and if a page
    sent it, that page must be one of the app's own.
    """
    host, origin = headers.get("host", ""), headers.get("origin")
    try:
        name, sender = urlsplit(f"//{host}").hostname, origin and urlsplit(origin).netloc
    except ValueError:
        return "The header Host or Origin is not valid."
    if name not in hosts:
        return (
            "This app answers to the names localhost, 127.0.0.1 and [::1] only. To add a name: "
            "streamlit run app/main.py --server.allowedHosts NAME -- --listen"
        )
    if origin is not None and sender != host:
        return "This app answers to its own pages only, not to those of other origins."
    return ""


class Guard:
    """ASGI middleware that answers `refusal` with status 403, and adds `HEADERS`."""

    in_use: ClassVar[bool] = False  # whether this process serves through a guard

    def __init__(self, app: ASGIApp, hosts: Collection[str]) -> None:
        self.app, self.hosts = app, hosts
        Guard.in_use = True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        reason = refusal(Headers(scope=scope), self.hosts)
        answer = PlainTextResponse(reason, 403) if reason else self.app
        await answer(scope, receive, send_with_headers)
