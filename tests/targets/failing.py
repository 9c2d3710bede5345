"""Requests that fail in all ways, or only seem to, on each web framework: `python failing.py FRAMEWORK SERVER`, prints its port.

`/broken` is an error that nobody handles; the application's handlers make of `/refused` a 500, of `/rejected` a 400, of
`/hidden` a 200 and of `/moved` a redirect; `/forbidden` raises what the framework has for that; `/caught` handles its
error itself; `/stream` sends for a second, `/breaks` fails while it sends, `/background` works for a second afterwards.
"""

from __future__ import annotations

import asyncio
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import web
from servers import serve

import tracepatch

PIECES = 5
PIECE_S = 0.2


class RefusedError(Exception):
    status = 500


class RejectedError(Exception):
    status = 400


class HiddenError(Exception):
    status = 200


class MovedError(Exception):
    status = 302


HANDLED = (RefusedError, RejectedError, HiddenError, MovedError)


def fails(what: str) -> str:
    """Raise what a path stands for."""
    for kind in HANDLED:
        if kind.__name__.lower() == what + "error":
            raise kind(what)
    if what == "broken":
        raise ValueError(what)
    return web.caught()


def pieces(breaks: bool = False) -> Iterator[bytes]:
    for number in range(PIECES if not breaks else 2):
        time.sleep(PIECE_S if not breaks else 0.01)
        if breaks and number:
            raise ValueError("in the middle")
        yield b"piece"


async def async_pieces(breaks: bool = False) -> AsyncIterator[bytes]:
    for number in range(PIECES if not breaks else 2):
        await asyncio.sleep(PIECE_S if not breaks else 0.01)
        if breaks and number:
            raise ValueError("in the middle")
        yield b"piece"


def background() -> None:
    time.sleep(PIECES * PIECE_S)


def starlette() -> Any:
    from starlette.applications import Starlette
    from starlette.background import BackgroundTask
    from starlette.exceptions import HTTPException
    from starlette.responses import PlainTextResponse, StreamingResponse
    from starlette.routing import Route

    async def view(request: Any) -> Any:
        what = request.path_params["what"]
        if what == "forbidden":
            raise HTTPException(403)
        if what in ("stream", "breaks"):
            return StreamingResponse(async_pieces(what == "breaks"))
        if what == "background":
            return PlainTextResponse("later", background=BackgroundTask(background))
        if what == "missing":
            raise HTTPException(404)
        return PlainTextResponse(fails(what))

    async def handler(request: Any, error: Any) -> Any:
        return PlainTextResponse("handled", error.status)

    return Starlette(routes=[Route("/{what}", view)], exception_handlers=dict.fromkeys(HANDLED, handler))


def fastapi() -> Any:
    from fastapi import BackgroundTasks, FastAPI, HTTPException
    from fastapi.responses import PlainTextResponse, StreamingResponse

    app = FastAPI()

    @app.get("/stream")
    async def view_stream() -> Any:
        return StreamingResponse(async_pieces())

    @app.get("/breaks")
    def view_breaks() -> Any:
        return StreamingResponse(pieces(True))

    def view_background(tasks: BackgroundTasks) -> str:
        tasks.add_task(background)
        return "later"

    view_background.__annotations__["tasks"] = BackgroundTasks
    app.get("/background")(view_background)

    @app.get("/forbidden")
    def view_forbidden() -> None:
        raise HTTPException(403)

    @app.get("/{what}")
    def view(what: str) -> str:
        if what == "missing":
            raise HTTPException(404)
        return fails(what)

    async def handler(request: Any, error: Any) -> Any:
        return PlainTextResponse("handled", error.status)

    for kind in HANDLED:
        app.add_exception_handler(kind, handler)
    return app


def flask() -> Any:
    from flask import Flask, Response, abort

    app = Flask("failing")

    @app.get("/<what>")
    def view(what: str) -> Any:
        if what in ("forbidden", "missing"):
            abort(403 if what == "forbidden" else 404)
        if what in ("stream", "breaks"):
            return Response(pieces(what == "breaks"))
        if what == "background":
            threading.Thread(target=background).start()
            return "later"
        return fails(what)

    def handler(error: Any) -> Any:
        return "handled", error.status

    for kind in HANDLED:
        app.register_error_handler(kind, handler)
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
    from django.core.exceptions import PermissionDenied
    from django.core.wsgi import get_wsgi_application
    from django.http import HttpResponse, StreamingHttpResponse
    from django.urls import path

    def view(request: Any, what: str) -> Any:
        if what == "forbidden":
            raise PermissionDenied
        if what in ("stream", "breaks"):
            return StreamingHttpResponse((async_pieces if asgi else pieces)(what == "breaks"))
        if what == "background":
            threading.Thread(target=background).start()
            return HttpResponse("later")
        return HttpResponse(fails(what))

    known = (
        "broken",
        "refused",
        "rejected",
        "hidden",
        "moved",
        "forbidden",
        "caught",
        "stream",
        "breaks",
        "background",
    )
    globals()["urlpatterns"] = [path(what, view, {"what": what}) for what in known]
    return get_asgi_application() if asgi else get_wsgi_application()


def middleware(get_response: Callable[[Any], Any]) -> Any:
    from django.http import HttpResponse
    from django.utils.deprecation import MiddlewareMixin

    class Handles(MiddlewareMixin):
        def process_exception(self, request: Any, error: Any) -> Any:
            return HttpResponse("handled", status=error.status) if isinstance(error, HANDLED) else None

    return Handles(get_response)


def aiohttp() -> Any:
    from aiohttp import web as framework

    tasks = set()

    async def view(request: Any) -> Any:
        what = request.match_info["what"]
        if what == "forbidden":
            raise framework.HTTPForbidden
        if what == "missing":
            raise framework.HTTPNotFound
        if what in ("stream", "breaks"):
            response = framework.StreamResponse()
            await response.prepare(request)
            async for piece in async_pieces(what == "breaks"):
                await response.write(piece)
            await response.write_eof()
            return response
        if what == "background":
            task = asyncio.create_task(asyncio.sleep(PIECES * PIECE_S))
            tasks.add(task)
            return framework.Response(text="later")
        return framework.Response(text=fails(what))

    @framework.middleware
    async def handles(request: Any, handler: Any) -> Any:
        try:
            return await handler(request)
        except HANDLED as error:
            return framework.Response(text="handled", status=error.status)

    app = framework.Application(middlewares=[handles])
    app.router.add_get("/{what}", view)
    return app


def tornado() -> Any:
    from tornado import ioloop
    from tornado import web as framework

    class View(framework.RequestHandler):
        async def get(self, what: str) -> None:
            if what in ("forbidden", "missing"):
                raise framework.HTTPError(403 if what == "forbidden" else 404)
            if what == "finish":
                raise framework.Finish("done")
            if what in ("stream", "breaks"):
                async for piece in async_pieces(what == "breaks"):
                    self.write(piece)
                    await self.flush()
                return
            if what == "background":
                ioloop.IOLoop.current().spawn_callback(asyncio.sleep, PIECES * PIECE_S)
                self.write("later")
                return
            self.write(fails(what))

        def send_error(self, status_code: int = 500, **kwargs: Any) -> None:
            error = kwargs["exc_info"][1]
            super().send_error(getattr(error, "status", status_code), **kwargs)

    return framework.Application([(r"/([a-z]+)", View)])


def quart() -> Any:
    from quart import Quart, abort

    app = Quart("failing")

    @app.get("/<what>")
    async def view(what: str) -> Any:
        if what in ("forbidden", "missing"):
            abort(403 if what == "forbidden" else 404)
        if what in ("stream", "breaks"):
            return async_pieces(what == "breaks"), 200
        if what == "background":
            app.add_background_task(background)
            return "later"
        return fails(what)

    async def handler(error: Any) -> Any:
        return "handled", error.status

    for kind in HANDLED:
        app.register_error_handler(kind, handler)
    return app


def litestar() -> Any:
    from litestar import Litestar, MediaType, Response, get
    from litestar.background_tasks import BackgroundTask
    from litestar.exceptions import HTTPException
    from litestar.response import Stream

    @get("/{what:str}", media_type=MediaType.TEXT)
    async def view(what: str) -> Any:
        if what in ("forbidden", "missing"):
            raise HTTPException(status_code=403 if what == "forbidden" else 404)
        if what in ("stream", "breaks"):
            return Stream(async_pieces(what == "breaks"))
        if what == "background":
            return Response("later", background=BackgroundTask(background))
        return fails(what)

    def handler(request: Any, error: Any) -> Any:
        return Response("handled", status_code=error.status)

    view.fn.__annotations__.update({"what": str, "return": Any})
    return Litestar([view], exception_handlers=dict.fromkeys(HANDLED, handler))


def falcon() -> Any:
    import falcon as framework

    class View:
        def on_get(self, request: Any, response: Any, what: str) -> None:
            if what in ("forbidden", "missing"):
                raise framework.HTTPForbidden if what == "forbidden" else framework.HTTPNotFound
            if what in ("stream", "breaks"):
                response.stream = pieces(what == "breaks")
            elif what == "background":
                threading.Thread(target=background).start()
            else:
                response.text = fails(what)

    def handler(request: Any, response: Any, error: Any, params: Any) -> None:
        response.status = error.status

    app = framework.App()
    app.add_route("/{what}", View())
    for kind in HANDLED:
        app.add_error_handler(kind, handler)
    return app


def pyramid() -> Any:
    from pyramid.config import Configurator
    from pyramid.httpexceptions import HTTPForbidden, HTTPNotFound
    from pyramid.response import Response

    def view(request: Any) -> Any:
        what = request.matchdict["what"]
        if what in ("forbidden", "missing"):
            raise HTTPForbidden if what == "forbidden" else HTTPNotFound
        if what in ("stream", "breaks"):
            return Response(app_iter=pieces(what == "breaks"))
        if what == "background":
            threading.Thread(target=background).start()
            return Response("later")
        return Response(fails(what))

    def handler(error: Any, request: Any) -> Any:
        return Response("handled", status=error.status)

    config = Configurator()
    config.add_route("view", "/{what}")
    config.add_view(view, route_name="view")
    for kind in HANDLED:
        config.add_exception_view(handler, context=kind)
    return config.make_wsgi_app()


def sanic() -> Any:
    from sanic import Sanic
    from sanic.exceptions import Forbidden, NotFound
    from sanic.response import text

    app = Sanic("failing", configure_logging=False)

    @app.get("/<what>")
    async def view(request: Any, what: str) -> Any:
        if what in ("forbidden", "missing"):
            raise Forbidden if what == "forbidden" else NotFound
        if what in ("stream", "breaks"):
            response = await request.respond()
            async for piece in async_pieces(what == "breaks"):
                await response.send(piece)
            return None
        if what == "background":
            app.add_task(asyncio.sleep(PIECES * PIECE_S))
            return text("later")
        return text(fails(what))

    def handler(request: Any, error: Any) -> Any:
        return text("handled", status=error.status)

    for kind in HANDLED:
        app.exception(kind)(handler)
    return app


def bottle() -> Any:
    from bottle import Bottle, HTTPError, HTTPResponse

    app = Bottle()

    def handles(callback: Any) -> Any:
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            try:
                return callback(*args, **kwargs)
            except HANDLED as error:
                return HTTPResponse("handled", error.status)

        return wrapped

    app.install(handles)

    @app.get("/<what>")
    def view(what: str) -> Any:
        if what in ("forbidden", "missing"):
            raise HTTPError(403 if what == "forbidden" else 404)
        if what in ("stream", "breaks"):
            return pieces(what == "breaks")
        if what == "background":
            threading.Thread(target=background).start()
            return "later"
        return fails(what)

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
    "pyramid": pyramid,
    "sanic": sanic,
    "bottle": bottle,
}


def main() -> None:
    framework, server = sys.argv[1:]
    sys.modules["failing"] = sys.modules["__main__"]
    tracepatch.start(service="failing")
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", 0))
    listener.listen(128)
    app = APPLICATIONS[framework]()
    print(listener.getsockname()[1], flush=True)
    serve(app, server, listener)


if __name__ == "__main__":
    main()
