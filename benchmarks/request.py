"""A web request: checkouts of the example shop, called through ASGI in this process, without a socket."""

from __future__ import annotations

import asyncio
import json
from functools import cache
from typing import Any

COUNT = 8
"""Checkouts at the same time; each waits 100 ms for its bank."""

_BODY = json.dumps({"items": {"tea": 2, "mug": 1}, "card_number": "4111111111111111", "coupon": "TEATIME"})


def run() -> None:
    asyncio.run(requests())


async def requests() -> None:
    statuses = await asyncio.gather(*(request() for _ in range(COUNT)))
    assert statuses == [200] * COUNT, statuses


async def request() -> int:
    """Do what a server does for a request; return its status."""
    token = _token()
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/checkout",
        "raw_path": b"/checkout",
        "root_path": "",
        "query_string": b"",
        "headers": [
            (b"host", b"shop"),
            (b"content-type", b"application/json"),
            (b"content-length", str(len(_BODY)).encode()),
            (b"authorization", f"Bearer {token}".encode()),
            (b"cookie", b"session_id=abc"),
        ],
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 80),
    }
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": _BODY.encode(), "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await shop()(scope, receive, send)
    return int(sent[0]["status"])


@cache
def shop() -> Any:
    """Return the application, its own agent stopped."""
    from examples.shop.app import app

    import tracepatch

    tracepatch.stop()
    return app


@cache
def _token() -> str:
    from examples.shop.auth import get_token

    return str(get_token("ada"))
