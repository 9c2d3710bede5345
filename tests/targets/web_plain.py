"""The applications of `web.py` on no framework at all, wrapped."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from web import async_pieces, async_together, caught, inner, pieces, together

import tracepatch

STATUS = {200: "200 OK", 302: "302 Found", 404: "404 Not Found", 405: "405 Method Not Allowed", 500: "500 Oh"}


class Body:
    """An iterator with `close`, as servers and middleware hand them on."""

    def __init__(self, items: Iterable[bytes], closed: Callable[[], None]) -> None:
        self.items = iter(items)
        self.closed = closed

    def __iter__(self) -> Body:
        return self

    def __next__(self) -> bytes:
        return next(self.items)

    def close(self) -> None:
        self.closed()


class Application:
    """What both have in common."""

    answered = 0

    def view_item(self, number: str) -> str:
        return inner(number)

    def counts(self) -> None:
        self.answered += 1


class Asgi(Application):
    lifespan = ""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self.live(receive, send)
        elif scope["type"] == "websocket":
            await self.view_socket(receive, send)
        else:
            path = scope["path"].removeprefix("/sub")
            _, kind, *rest = path.split("/")
            status, headers, body = 404, [], b"nothing"
            if kind == "items" and rest[0]:
                await async_together(rest[0])
                status, body = 200, self.view_item(rest[0]).encode()
            elif kind == "moved":
                status, headers = 302, [(b"location", b"/items/" + rest[0].encode())]
            elif (
                kind == "caught"
            ):  # tests begin when this is answered well: the server has told that it starts
                status, body = 200 if self.lifespan == "lifespan.startup" else 503, caught().encode()
            elif kind == "refused":
                status = 500
            elif kind == "broken":
                raise ValueError("broken")
            await send(
                {
                    "type": "http.response.start",
                    "status": 200 if kind == "stream" else status,
                    "headers": headers,
                }
            )
            if kind == "stream":
                async for piece in async_pieces():
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
                body = b""
            await send({"type": "http.response.body", "body": body})
            self.counts()

    async def live(self, receive: Any, send: Any) -> None:
        while (message := await receive())["type"] != "lifespan.shutdown":
            self.lifespan = message["type"]
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})

    async def view_socket(self, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive()).get("text", "bye") != "bye":
            await send({"type": "websocket.send", "text": self.view_item(message["text"])})
        if message["type"] != "websocket.disconnect":
            await send({"type": "websocket.close"})


class Wsgi(Application):
    def __call__(self, environ: Any, start_response: Any) -> Iterable[bytes]:
        path = environ["PATH_INFO"].removeprefix("/sub")
        _, kind, *rest = path.split("/")
        status, headers, body = 404, [], b"nothing"
        if kind == "items" and rest[0]:
            together(rest[0])
            status, body = 200, self.view_item(rest[0]).encode()
        elif kind == "moved":
            status, headers = 302, [("Location", "/items/" + rest[0])]
        elif kind == "caught":
            status, body = 200, caught().encode()
        elif kind == "refused":
            status = 500
        elif kind == "broken":
            raise ValueError("broken")
        start_response(STATUS[200 if kind == "stream" else status], headers)
        return Body(pieces() if kind == "stream" else [body], self.counts)


def asgi() -> Any:
    return tracepatch.asgi(Asgi())


def wsgi() -> Any:
    return tracepatch.wsgi(Wsgi())
