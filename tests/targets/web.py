"""One small application on each web framework, behind a real server: `python web.py FRAMEWORK SERVER`, prints its port.

A number behind them says how many processes. Each has the same paths; `view_...` is the name of the function that answers. They run on each framework's oldest version
that the tests know, and on its newest one.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from importlib import import_module
from typing import Any

import tracepatch

PIECE_S = 0.05
PIECES = 4


class RefusedError(Exception):
    """Turned into a 500 by the application's own handler."""


def inner(number: str) -> str:
    time.sleep(0.002)
    return f"item {number}"


_pair = threading.Barrier(2)
_first: list[asyncio.Event] = []


def together(number: str) -> None:
    """Of two requests for a `pair` each is answered only while the other one is in flight."""
    if number.startswith("pair"):
        _pair.wait(10)


async def async_together(number: str) -> None:
    if not number.startswith("pair"):
        await asyncio.sleep(0.002)
    elif _first:
        _first.pop().set()
    else:
        _first.append(asyncio.Event())
        await asyncio.wait_for(_first[0].wait(), 10)


def caught() -> str:
    try:
        raise KeyError("nothing")
    except KeyError:
        return "caught"


def pieces() -> Iterator[bytes]:
    for _ in range(PIECES):
        time.sleep(PIECE_S)
        yield b"piece"


async def async_pieces() -> AsyncIterator[bytes]:
    for _ in range(PIECES):
        await asyncio.sleep(PIECE_S)
        yield b"piece"


async def endless() -> AsyncIterator[bytes]:
    while True:
        await asyncio.sleep(PIECE_S)
        yield b"piece"


def endless_pieces() -> Iterator[bytes]:
    while True:
        time.sleep(PIECE_S)
        yield b"piece"


def background() -> None:
    time.sleep(2 * PIECE_S)


def starlette() -> Any:
    from starlette.applications import Starlette
    from starlette.background import BackgroundTask
    from starlette.requests import Request
    from starlette.responses import PlainTextResponse, RedirectResponse, StreamingResponse
    from starlette.routing import Mount, Route, WebSocketRoute

    async def view_item(request: Request) -> Any:
        number = request.path_params["number"]
        await async_together(number)
        return PlainTextResponse(inner(number))

    async def view_moved(request: Request) -> Any:
        return RedirectResponse(f"/items/{request.path_params['number']}", 302)

    async def view_broken(request: Request) -> Any:
        raise ValueError("broken")

    async def view_refused(request: Request) -> Any:
        raise RefusedError

    async def view_caught(request: Request) -> Any:
        return PlainTextResponse(caught())

    async def view_stream(request: Request) -> Any:
        return StreamingResponse(async_pieces())

    async def view_endless(request: Request) -> Any:
        return StreamingResponse(endless())

    async def view_background(request: Request) -> Any:
        return PlainTextResponse("later", background=BackgroundTask(background))

    async def view_socket(socket: Any) -> None:
        await echo(socket)

    async def refused(request: Request, error: Exception) -> Any:
        return PlainTextResponse("refused", 500)

    sub = Starlette(routes=[Route("/items/{number}", view_item)])
    routes = [
        Route("/items/{number}", view_item), Route("/moved/{number}", view_moved), Route("/broken", view_broken),
        Route("/refused", view_refused), Route("/caught", view_caught), Route("/stream", view_stream),
        Route("/endless", view_endless), Route("/background", view_background), WebSocketRoute("/socket", view_socket),
        Mount("/sub", sub),
    ]  # fmt: skip
    return Starlette(routes=routes, exception_handlers={RefusedError: refused})


def starlette_middleware() -> Any:
    """The same with a middleware that calls the application in a task of its own."""
    from starlette.middleware.base import BaseHTTPMiddleware

    async def dispatch(request: Any, call_next: Any) -> Any:
        return await call_next(request)

    app = starlette()
    app.add_middleware(BaseHTTPMiddleware, dispatch=dispatch)
    return app


def fastapi() -> Any:
    from fastapi import FastAPI
    from fastapi.responses import PlainTextResponse, RedirectResponse, StreamingResponse
    from starlette.background import BackgroundTask
    from starlette.websockets import WebSocket

    app, sub = FastAPI(), FastAPI()

    @sub.get("/items/{number}")
    @app.get("/items/{number}")
    async def view_item(number: str) -> str:
        await async_together(number)
        return inner(number)

    @app.get("/moved/{number}")
    def view_moved(number: str) -> Any:
        return RedirectResponse(f"/items/{number}", 302)

    @app.get("/broken")
    def view_broken() -> None:
        raise ValueError("broken")

    @app.get("/refused")
    async def view_refused() -> None:
        raise RefusedError

    @app.get("/caught")
    def view_caught() -> str:
        return caught()

    @app.get("/stream")
    async def view_stream() -> Any:
        return StreamingResponse(async_pieces())

    @app.get("/endless")
    async def view_endless() -> Any:
        return StreamingResponse(endless())

    @app.get("/background")
    async def view_background() -> Any:
        return PlainTextResponse("later", background=BackgroundTask(background))

    async def view_socket(socket: WebSocket) -> None:
        await echo(socket)

    view_socket.__annotations__["socket"] = WebSocket
    app.websocket("/socket")(view_socket)

    @app.exception_handler(RefusedError)
    async def refused(request: Any, error: Exception) -> Any:
        return PlainTextResponse("refused", 500)

    app.mount("/sub", sub)
    return app


async def echo(socket: Any) -> None:
    """Send back what comes, until `bye`."""
    await socket.accept()
    while (text := await socket.receive_text()) != "bye":
        await socket.send_text(inner(text))
    await socket.close()


def flask() -> Any:
    from flask import Flask, Response, redirect
    from werkzeug.middleware.dispatcher import DispatcherMiddleware

    app, sub = Flask(__name__), Flask(__name__)

    @sub.route("/items/<number>")
    @app.route("/items/<number>")
    def view_item(number: str) -> str:
        together(number)
        return inner(number)

    @app.route("/moved/<number>")
    def view_moved(number: str) -> Any:
        return redirect(f"/items/{number}", 302)

    @app.route("/broken")
    def view_broken() -> str:
        raise ValueError("broken")

    @app.route("/refused")
    def view_refused() -> str:
        raise RefusedError

    @app.route("/caught")
    def view_caught() -> str:
        return caught()

    @app.route("/stream")
    def view_stream() -> Any:
        return Response(pieces())

    @app.route("/endless")
    def view_endless() -> Any:
        return Response(endless_pieces())

    @app.errorhandler(RefusedError)
    def refused(error: Exception) -> Any:
        return "refused", 500

    app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {"/sub": sub})
    return app


def django(*, asgi: bool) -> Any:
    import django as framework
    from django.conf import settings

    settings.configure(
        ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="x", DEBUG=False, LOGGING_CONFIG=None, USE_TZ=True,
        MIDDLEWARE=[f"{__name__}.middleware"],
    )  # fmt: skip
    framework.setup()
    from django.core.asgi import get_asgi_application
    from django.core.wsgi import get_wsgi_application
    from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
    from django.urls import include, path

    if asgi:

        async def view_item(request: HttpRequest, number: str) -> HttpResponse:
            await async_together(number)
            return HttpResponse(inner(number))

    else:

        def view_item(request: HttpRequest, number: str) -> HttpResponse:
            together(number)
            return HttpResponse(inner(number))

    def view_moved(request: HttpRequest, number: str) -> HttpResponse:
        return HttpResponseRedirect(f"/items/{number}")

    def view_broken(request: HttpRequest) -> HttpResponse:
        raise ValueError("broken")

    def view_refused(request: HttpRequest) -> HttpResponse:
        raise RefusedError

    def view_caught(request: HttpRequest) -> HttpResponse:
        return HttpResponse(caught())

    def view_stream(request: HttpRequest) -> Any:
        return StreamingHttpResponse(async_pieces() if asgi and framework.VERSION >= (4, 2) else pieces())

    items = [path("items/<number>", view_item)]
    globals()["urlpatterns"] = [
        *items, path("moved/<number>", view_moved), path("broken", view_broken), path("refused", view_refused),
        path("caught", view_caught), path("stream", view_stream), path("sub/", include(items)),
    ]  # fmt: skip
    return get_asgi_application() if asgi else get_wsgi_application()


def middleware(get_response: Callable[[Any], Any]) -> Any:
    """Django's: a class with `process_exception`, which works both ways."""
    from django.http import HttpResponse
    from django.utils.deprecation import MiddlewareMixin

    class Refuses(MiddlewareMixin):
        def process_exception(self, request: Any, error: Exception) -> Any:
            return HttpResponse("refused", status=500) if isinstance(error, RefusedError) else None

    return Refuses(get_response)


middleware.async_capable = middleware.sync_capable = True  # type: ignore[attr-defined]


def aiohttp() -> Any:
    from aiohttp import web

    async def view_item(request: web.Request) -> Any:
        number = request.match_info["number"]
        await async_together(number)
        return web.Response(text=inner(number))

    async def view_moved(request: web.Request) -> Any:
        raise web.HTTPFound(f"/items/{request.match_info['number']}")

    async def view_broken(request: web.Request) -> Any:
        raise ValueError("broken")

    async def view_refused(request: web.Request) -> Any:
        raise RefusedError

    async def view_caught(request: web.Request) -> Any:
        return web.Response(text=caught())

    async def view_stream(request: web.Request) -> Any:
        response = web.StreamResponse()
        await response.prepare(request)
        async for piece in async_pieces():
            await response.write(piece)
        await response.write_eof()
        return response

    @web.middleware
    async def refuses(request: web.Request, handler: Any) -> Any:
        try:
            return await handler(request)
        except RefusedError:
            return web.Response(text="refused", status=500)

    app, sub = web.Application(middlewares=[refuses]), web.Application()
    sub.router.add_get("/items/{number}", view_item)
    for path, view in (
        ("/items/{number}", view_item), ("/moved/{number}", view_moved), ("/broken", view_broken),
        ("/refused", view_refused), ("/caught", view_caught), ("/stream", view_stream),
    ):  # fmt: skip
        app.router.add_get(path, view)
    app.add_subapp("/sub", sub)
    return app


def tornado() -> Any:
    from tornado import web

    class Item(web.RequestHandler):
        async def get(self, number: str) -> None:
            await self.view_item(number)

        async def view_item(self, number: str) -> None:
            await async_together(number)
            self.write(inner(number))

    class Moved(web.RequestHandler):
        async def get(self, number: str) -> None:
            self.redirect(f"/items/{number}")

    class Broken(web.RequestHandler):
        async def get(self) -> None:
            raise ValueError("broken")

    class Refused(web.RequestHandler):
        async def get(self) -> None:
            raise web.HTTPError(500)

    class Caught(web.RequestHandler):
        async def get(self) -> None:
            self.write(caught())

    class Stream(web.RequestHandler):
        async def get(self) -> None:
            async for piece in async_pieces():
                self.write(piece)
                await self.flush()

    return web.Application(
        [
            (r"/(?:sub/)?items/([^/]+)", Item), (r"/moved/(.+)", Moved), (r"/broken", Broken), (r"/refused", Refused),
            (r"/caught", Caught), (r"/stream", Stream),
        ]
    )  # fmt: skip


APPLICATIONS: dict[str, Callable[[], Any]] = {
    "starlette": starlette,
    "starlette-middleware": starlette_middleware,
    "fastapi": fastapi,
    "flask": flask,
    "django-wsgi": lambda: django(asgi=False),
    "django-asgi": lambda: django(asgi=True),
    "aiohttp": aiohttp,
    "tornado": tornado,
    "quart": lambda: more("quart"),
    "litestar": lambda: more("litestar"),
    "falcon": lambda: more("falcon", asgi=False),
    "falcon-asgi": lambda: more("falcon", asgi=True),
    "bottle": lambda: more("bottle"),
    "pyramid": lambda: more("pyramid"),
    "sanic": lambda: more("sanic"),
    "asgi": lambda: more("asgi", "web_plain"),
    "wsgi": lambda: more("wsgi", "web_plain"),
    "wrapped-fastapi": lambda: tracepatch.asgi(fastapi()),
    "wrapped-flask": lambda: tracepatch.wsgi(flask()),
}


def more(name: str, module: str = "web_more", **options: Any) -> Any:
    return getattr(import_module(module), name)(**options)


def imported() -> Any:
    """Start an agent and return the application that the command line names: for servers whose workers import it."""
    tracepatch.start(service=f"web-{os.getppid()}")
    return APPLICATIONS[sys.argv[1]]()


def main() -> None:
    framework, server, *workers = sys.argv[1:]
    os.setpgrp()  # whoever ends this process ends its workers, too
    sys.modules["web"] = sys.modules["__main__"]
    tracepatch.start(service=f"web-{os.getpid()}")
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", 0))
    listener.listen(128)
    from servers import serve

    app = APPLICATIONS[framework]()
    print(listener.getsockname()[1], flush=True)
    serve(app, server, listener, *map(int, workers))


if __name__ == "__main__":
    main()
