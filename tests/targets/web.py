"""One small application on each web framework, behind a real server: `python web.py FRAMEWORK SERVER`, prints its port.

Each has the same paths; `view_...` is the name of the function that answers.
"""

from __future__ import annotations

import asyncio
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import tracepatch

PIECE_S = 0.05
PIECES = 4


class RefusedError(Exception):
    """Turned into a 500 by the application's own handler."""


def inner(number: str) -> str:
    time.sleep(0.002)
    return f"item {number}"


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


def background() -> None:
    time.sleep(2 * PIECE_S)


def starlette() -> Any:
    from starlette.applications import Starlette
    from starlette.background import BackgroundTask
    from starlette.requests import Request
    from starlette.responses import PlainTextResponse, StreamingResponse
    from starlette.routing import Mount, Route

    async def view_item(request: Request) -> Any:
        await asyncio.sleep(0.002)
        return PlainTextResponse(inner(request.path_params["number"]))

    async def view_broken(request: Request) -> Any:
        raise ValueError("broken")

    async def view_refused(request: Request) -> Any:
        raise RefusedError

    async def view_caught(request: Request) -> Any:
        return PlainTextResponse(caught())

    async def view_stream(request: Request) -> Any:
        return StreamingResponse(async_pieces())

    async def view_background(request: Request) -> Any:
        return PlainTextResponse("later", background=BackgroundTask(background))

    async def refused(request: Request, error: Exception) -> Any:
        return PlainTextResponse("refused", 500)

    sub = Starlette(routes=[Route("/items/{number}", view_item)])
    routes = [
        Route("/items/{number}", view_item), Route("/broken", view_broken), Route("/refused", view_refused),
        Route("/caught", view_caught), Route("/stream", view_stream), Route("/background", view_background),
        Mount("/sub", sub),
    ]  # fmt: skip
    return Starlette(routes=routes, exception_handlers={RefusedError: refused})


def fastapi() -> Any:
    from fastapi import FastAPI
    from fastapi.responses import PlainTextResponse, StreamingResponse
    from starlette.background import BackgroundTask

    app, sub = FastAPI(), FastAPI()

    @sub.get("/items/{number}")
    @app.get("/items/{number}")
    async def view_item(number: str) -> str:
        await asyncio.sleep(0.002)
        return inner(number)

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

    @app.get("/background")
    async def view_background() -> Any:
        return PlainTextResponse("later", background=BackgroundTask(background))

    @app.exception_handler(RefusedError)
    async def refused(request: Any, error: Exception) -> Any:
        return PlainTextResponse("refused", 500)

    app.mount("/sub", sub)
    return app


def flask() -> Any:
    from flask import Blueprint, Flask, Response

    app, sub = Flask("web"), Blueprint("sub", "web")

    @sub.get("/items/<number>")
    @app.get("/items/<number>")
    def view_item(number: str) -> str:
        return inner(number)

    @app.get("/broken")
    def view_broken() -> str:
        raise ValueError("broken")

    @app.get("/refused")
    def view_refused() -> str:
        raise RefusedError

    @app.get("/caught")
    def view_caught() -> str:
        return caught()

    @app.get("/stream")
    def view_stream() -> Any:
        return Response(pieces())

    @app.errorhandler(RefusedError)
    def refused(error: Exception) -> Any:
        return "refused", 500

    app.register_blueprint(sub, url_prefix="/sub")
    return app


def django(*, asgi: bool) -> Any:
    import django as framework
    from django.conf import settings

    settings.configure(
        ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="x", DEBUG=False, LOGGING_CONFIG=None,
        MIDDLEWARE=[f"{__name__}.middleware"],
    )  # fmt: skip
    framework.setup()
    from django.core.asgi import get_asgi_application
    from django.core.wsgi import get_wsgi_application
    from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
    from django.urls import include, path

    def view_item(request: HttpRequest, number: str) -> HttpResponse:
        return HttpResponse(inner(number))

    def view_broken(request: HttpRequest) -> HttpResponse:
        raise ValueError("broken")

    def view_refused(request: HttpRequest) -> HttpResponse:
        raise RefusedError

    def view_caught(request: HttpRequest) -> HttpResponse:
        return HttpResponse(caught())

    def view_stream(request: HttpRequest) -> Any:
        return StreamingHttpResponse(async_pieces() if asgi else pieces())

    items = [path("items/<number>", view_item)]
    globals()["urlpatterns"] = [
        *items, path("broken", view_broken), path("refused", view_refused), path("caught", view_caught),
        path("stream", view_stream), path("sub/", include(items)),
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


def aiohttp() -> Any:
    from aiohttp import web

    async def view_item(request: web.Request) -> Any:
        await asyncio.sleep(0.002)
        return web.Response(text=inner(request.match_info["number"]))

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
        ("/items/{number}", view_item), ("/broken", view_broken), ("/refused", view_refused),
        ("/caught", view_caught), ("/stream", view_stream),
    ):  # fmt: skip
        app.router.add_get(path, view)
    app.add_subapp("/sub", sub)
    return app


def tornado() -> Any:
    from tornado import web

    class Item(web.RequestHandler):
        async def get(self, number: str) -> None:
            await asyncio.sleep(0.002)
            await self.view_item(number)

        async def view_item(self, number: str) -> None:
            self.write(inner(number))

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
            (r"/(?:sub/)?items/([^/]+)", Item), (r"/broken", Broken), (r"/refused", Refused),
            (r"/caught", Caught), (r"/stream", Stream),
        ]
    )  # fmt: skip


def quart() -> Any:
    from quart import Quart

    app = Quart("web")

    @app.get("/items/<number>")
    async def view_item(number: str) -> str:
        await asyncio.sleep(0.002)
        return inner(number)

    @app.get("/caught")
    async def view_caught() -> str:
        return caught()

    return app


def litestar() -> Any:
    from litestar import Litestar, get

    @get("/items/{number:str}")
    async def view_item(number: str) -> str:
        await asyncio.sleep(0.002)
        return inner(number)

    @get("/caught")
    async def view_caught() -> str:
        return caught()

    view_item.fn.__annotations__.update({"number": str, "return": str})
    return Litestar([view_item, view_caught])


def falcon() -> Any:
    import falcon as framework

    class Item:
        def on_get(self, request: Any, response: Any, number: str) -> None:
            self.view_item(response, number)

        def view_item(self, response: Any, number: str) -> None:
            response.text = inner(number)

    class Caught:
        def on_get(self, request: Any, response: Any) -> None:
            response.text = caught()

    app = framework.App()
    app.add_route("/items/{number}", Item())
    app.add_route("/caught", Caught())
    return app


def bottle() -> Any:
    from bottle import Bottle

    app = Bottle()

    @app.get("/items/<number>")
    def view_item(number: str) -> str:
        return inner(number)

    @app.get("/caught")
    def view_caught() -> str:
        return caught()

    return app


def pyramid() -> Any:
    from pyramid.config import Configurator
    from pyramid.response import Response

    def view_item(request: Any) -> Any:
        return Response(inner(request.matchdict["number"]))

    def view_caught(request: Any) -> Any:
        return Response(caught())

    config = Configurator()
    config.add_route("item", "/items/{number}")
    config.add_route("caught", "/caught")
    config.add_view(view_item, route_name="item")
    config.add_view(view_caught, route_name="caught")
    return config.make_wsgi_app()


def sanic() -> Any:
    from sanic import Sanic
    from sanic.response import text

    app = Sanic("web", configure_logging=False)

    @app.get("/items/<number>")
    async def view_item(request: Any, number: str) -> Any:
        await asyncio.sleep(0.002)
        return text(inner(number))

    @app.get("/caught")
    async def view_caught(request: Any) -> Any:
        return text(caught())

    return app


APPLICATIONS: dict[str, Callable[[], Any]] = {
    "starlette": starlette,
    "fastapi": fastapi,
    "flask": flask,
    "django-wsgi": lambda: django(asgi=False),
    "django-asgi": lambda: django(asgi=True),
    "aiohttp": aiohttp,
    "tornado": tornado,
    "quart": quart,
    "litestar": litestar,
    "falcon": falcon,
    "bottle": bottle,
    "pyramid": pyramid,
    "sanic": sanic,
}


def serve(app: Any, server: str, listener: socket.socket) -> None:
    """Serve until killed."""
    if server == "uvicorn":
        import uvicorn

        uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off")).run(sockets=[listener])
    elif server == "waitress":
        import waitress

        waitress.serve(app, sockets=[listener], threads=8)
    elif server == "gunicorn":
        from gunicorn.app.base import BaseApplication

        class Served(BaseApplication):  # type: ignore[misc]
            def load_config(self) -> None:
                self.cfg.set("bind", f"fd://{listener.fileno()}")
                self.cfg.set("worker_class", "gthread")
                self.cfg.set("threads", 8)
                self.cfg.set("loglevel", "critical")

            def load(self) -> Any:
                return app

        Served().run()
    elif server == "hypercorn":
        from hypercorn.asyncio import serve as hypercorn
        from hypercorn.config import Config

        config = Config()
        config.bind = [f"fd://{listener.fileno()}"]
        asyncio.run(hypercorn(app, config))
    elif server == "sanic":
        app.run(sock=listener, single_process=True, access_log=False, motd=False)
    elif server == "aiohttp":
        from aiohttp import web

        web.run_app(app, sock=listener, print=None, access_log=None)
    else:
        from tornado.httpserver import HTTPServer

        async def forever() -> None:
            HTTPServer(app).add_socket(listener)
            await asyncio.Event().wait()

        listener.setblocking(False)
        asyncio.run(forever())


def main() -> None:
    framework, server = sys.argv[1:]
    sys.modules["web"] = sys.modules["__main__"]
    tracepatch.start(service="web")
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", 0))
    listener.listen(128)
    app = APPLICATIONS[framework]()
    print(listener.getsockname()[1], flush=True)
    serve(app, server, listener)


if __name__ == "__main__":
    main()
