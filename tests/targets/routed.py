"""Routes with parameters, prefixes and mounted applications, on several frameworks: `python routed.py FRAMEWORK SERVER`."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable
from typing import Any

from servers import serve

import tracepatch


def starlette() -> Any:
    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse
    from starlette.routing import Mount, Route

    async def view(request: Any) -> Any:
        return PlainTextResponse("x")

    inner = Starlette(routes=[Route("/items/{number}", view)])
    return Starlette(
        routes=[Route("/items/{number:int}", view), Mount("/sub", Starlette(routes=[Mount("/in", inner)]))]
    )


def fastapi() -> Any:
    from fastapi import APIRouter, FastAPI

    app, sub, router = FastAPI(), FastAPI(), APIRouter(prefix="/in")

    @app.get("/items/{number}")
    def view(number: int) -> str:
        return "x"

    @router.get("/items/{number}")
    async def inside(number: str) -> str:
        return "x"

    sub.include_router(router)
    app.mount("/sub", sub)
    return app


def flask() -> Any:
    from flask import Blueprint, Flask

    app, sub = Flask("routed"), Blueprint("sub", "routed")

    @sub.get("/in/items/<number>")
    @app.get("/items/<int:number>")
    def view(number: str) -> str:
        return "x"

    app.register_blueprint(sub, url_prefix="/sub")
    return app


def quart() -> Any:
    from quart import Blueprint, Quart

    app, sub = Quart("routed"), Blueprint("sub", "routed")

    async def view(number: str) -> str:
        return "x"

    app.add_url_rule("/items/<int:number>", "view", view)
    sub.add_url_rule("/in/items/<number>", "view", view)
    app.register_blueprint(sub, url_prefix="/sub")
    return app


def django(*, asgi: bool) -> Any:
    import django as framework
    from django.conf import settings

    settings.configure(
        ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="x", DEBUG=False, LOGGING_CONFIG=None
    )
    framework.setup()
    from django.core.asgi import get_asgi_application
    from django.core.wsgi import get_wsgi_application
    from django.http import HttpResponse
    from django.urls import include, path, resolve

    def view(request: Any, number: Any) -> Any:
        resolve("/elsewhere")
        return HttpResponse("x")

    items = [path("items/<number>", view)]
    globals()["urlpatterns"] = [
        path("items/<int:number>", view),
        path("elsewhere", view, {"number": 1}),
        path("sub/", include([path("in/", include(items))])),
    ]
    return get_asgi_application() if asgi else get_wsgi_application()


def aiohttp() -> Any:
    from aiohttp import web as framework

    async def view(request: Any) -> Any:
        return framework.Response(text="x")

    app, sub = framework.Application(), framework.Application()
    app.router.add_get(r"/items/{number:\d+}", view)
    sub.router.add_get("/in/items/{number}", view)
    app.add_subapp("/sub", sub)
    return app


def litestar() -> Any:
    from litestar import Litestar, Router, get

    @get(["/items/{number:int}"])
    async def view(number: int) -> str:
        return "x"

    @get("/items/{number:str}")
    async def inside(number: str) -> str:
        return "x"

    view.fn.__annotations__.update({"number": int, "return": str})
    inside.fn.__annotations__.update({"number": str, "return": str})
    return Litestar([view, Router("/sub/in", route_handlers=[inside])])


def pyramid() -> Any:
    from pyramid.config import Configurator
    from pyramid.response import Response

    config = Configurator()
    for name, route in (("a", r"/items/{number:\d+}"), ("b", "/sub/in/items/{number}")):
        config.add_route(name, route)
        config.add_view(lambda request: Response("x"), route_name=name)
    return config.make_wsgi_app()


APPLICATIONS: dict[str, Callable[[], Any]] = {
    "starlette": starlette, "fastapi": fastapi, "flask": flask, "quart": quart, "aiohttp": aiohttp, "litestar": litestar,
    "pyramid": pyramid, "django-wsgi": lambda: django(asgi=False), "django-asgi": lambda: django(asgi=True),
}  # fmt: skip


def main() -> None:
    framework, server = sys.argv[1:]
    sys.modules["routed"] = sys.modules["__main__"]
    tracepatch.start(service="routed")
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", 0))
    listener.listen(128)
    app = APPLICATIONS[framework]()
    print(listener.getsockname()[1], flush=True)
    serve(app, server, listener)


if __name__ == "__main__":
    main()
