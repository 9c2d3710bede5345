"""The applications of `web.py` on further frameworks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from web import RefusedError, async_pieces, async_together, caught, inner, pieces, together


def quart() -> Any:
    from quart import Blueprint, Quart, Response, redirect

    app, sub = Quart("__main__"), Blueprint("sub", "__main__")

    @sub.route("/items/<number>")
    @app.route("/items/<number>")
    async def view_item(number: str) -> str:
        await async_together(number)
        return inner(number)

    @app.route("/moved/<number>")
    async def view_moved(number: str) -> Any:
        return redirect(f"/items/{number}", 302)

    @app.route("/broken")
    async def view_broken() -> str:
        raise ValueError("broken")

    @app.route("/refused")
    async def view_refused() -> str:
        raise RefusedError

    @app.route("/caught")
    async def view_caught() -> str:
        return caught()

    @app.route("/stream")
    async def view_stream() -> Any:
        return Response(async_pieces())

    @app.errorhandler(RefusedError)
    async def refused(error: Exception) -> Any:
        return "refused", 500

    app.register_blueprint(sub, url_prefix="/sub")
    return app


def litestar() -> Any:
    from litestar import Litestar, Response, Router, get
    from litestar.response import Redirect, Stream

    async def view_item(number: str) -> str:
        await async_together(number)
        return inner(number)

    async def view_moved(number: str) -> Redirect:
        return Redirect(f"/items/{number}")

    async def view_broken() -> str:
        raise ValueError("broken")

    async def view_refused() -> str:
        raise RefusedError

    async def view_caught() -> str:
        return caught()

    async def view_stream() -> Stream:
        return Stream(async_pieces())

    def refused(request: Any, error: Exception) -> Any:
        return Response("refused", status_code=500)

    # The names of types are looked up in the module, where those of a function are not.
    names = {"str": str, "Redirect": Redirect, "Stream": Stream}
    for view in (view_item, view_moved, view_broken, view_refused, view_caught, view_stream):
        notes = view.__annotations__
        notes.update({name: names[text] for name, text in notes.items()})
    item = get("/items/{number:str}")(view_item)
    views = [
        item, get("/moved/{number:str}", status_code=302)(view_moved), get("/broken")(view_broken),
        get("/refused")(view_refused), get("/caught")(view_caught), get("/stream")(view_stream),
    ]  # fmt: skip
    sub = Router("/sub", route_handlers=[item])
    return Litestar([*views, sub], exception_handlers={RefusedError: refused}, openapi_config=None)


def falcon(*, asgi: bool) -> Any:
    import falcon as framework

    def both(view: Callable[..., None]) -> Any:
        """Return a resource of which `view` answers, awaited where that is asked for."""

        async def on_get(request: Any, response: Any, **parts: Any) -> None:
            for number in parts.values():
                await async_together(number)
            view(request, response, **parts)

        def on_get_now(request: Any, response: Any, **parts: Any) -> None:
            for number in parts.values():
                together(number)
            view(request, response, **parts)

        resource = type(view.__name__, (), {})()
        resource.on_get = on_get if asgi else on_get_now
        return resource

    def view_item(request: Any, response: Any, number: str) -> None:
        say(response, inner(number))

    def view_moved(request: Any, response: Any, number: str) -> None:
        raise framework.HTTPFound(f"/items/{number}")

    def view_broken(request: Any, response: Any) -> None:
        raise ValueError("broken")

    def view_refused(request: Any, response: Any) -> None:
        raise RefusedError

    def view_caught(request: Any, response: Any) -> None:
        say(response, caught())

    def view_stream(request: Any, response: Any) -> None:
        response.stream = async_pieces() if asgi else pieces()

    def say(response: Any, text: str) -> None:
        setattr(response, "text" if hasattr(type(response), "text") else "body", text)

    def refused(request: Any, response: Any, error: Any, parts: Any) -> None:
        response.status = framework.HTTP_500

    async def async_refused(request: Any, response: Any, error: Any, parts: Any) -> None:
        response.status = framework.HTTP_500

    if asgi:
        from falcon.asgi import App
    else:
        App = framework.App if hasattr(framework, "App") else framework.API
    app = App()
    for path, view in (
        ("/items/{number}", view_item), ("/sub/items/{number}", view_item), ("/moved/{number}", view_moved),
        ("/broken", view_broken), ("/refused", view_refused), ("/caught", view_caught), ("/stream", view_stream),
    ):  # fmt: skip
        app.add_route(path, both(view))
    app.add_error_handler(RefusedError, async_refused if asgi else refused)
    return app


def bottle() -> Any:
    from bottle import Bottle, HTTPResponse, redirect

    app, sub = Bottle(), Bottle()

    @sub.get("/items/<number>")
    @app.get("/items/<number>")
    def view_item(number: str) -> str:
        together(number)
        return inner(number)

    @app.get("/moved/<number>")
    def view_moved(number: str) -> None:
        redirect(f"/items/{number}", 302)

    @app.get("/broken")
    def view_broken() -> str:
        raise ValueError("broken")

    @app.get("/refused")
    def view_refused() -> Any:
        try:
            raise RefusedError
        except RefusedError:
            return HTTPResponse("refused", 500)

    @app.get("/caught")
    def view_caught() -> str:
        return caught()

    @app.get("/stream")
    def view_stream() -> Any:
        return pieces()

    app.mount("/sub/", sub)
    return app


def pyramid() -> Any:
    from pyramid.config import Configurator
    from pyramid.httpexceptions import HTTPFound
    from pyramid.response import Response
    from pyramid.wsgi import wsgiapp2

    def view_item(request: Any) -> Any:
        together(request.matchdict["number"])
        return Response(inner(request.matchdict["number"]))

    def view_moved(request: Any) -> Any:
        return HTTPFound(f"/items/{request.matchdict['number']}")

    def view_broken(request: Any) -> Any:
        raise ValueError("broken")

    def view_refused(request: Any) -> Any:
        raise RefusedError

    def view_caught(request: Any) -> Any:
        return Response(caught())

    def view_stream(request: Any) -> Any:
        return Response(app_iter=pieces())

    def refused(error: Any, request: Any) -> Any:
        return Response("refused", status=500)

    config, sub = Configurator(), Configurator()
    sub.add_route("item", "/items/{number}")
    sub.add_view(view_item, route_name="item")
    for name, path, view in (
        ("item", "/items/{number}", view_item), ("moved", "/moved/{number}", view_moved), ("broken", "/broken", view_broken),
        ("refused", "/refused", view_refused), ("caught", "/caught", view_caught), ("stream", "/stream", view_stream),
        ("sub", "/sub/*subpath", wsgiapp2(sub.make_wsgi_app())),
    ):  # fmt: skip
        config.add_route(name, path)
        config.add_view(view, route_name=name)
    config.add_view(refused, context=RefusedError)
    return config.make_wsgi_app()


def sanic() -> Any:
    from sanic import Blueprint, Sanic
    from sanic.response import redirect, text

    app, sub = Sanic("web", configure_logging=False), Blueprint("sub", url_prefix="/sub")

    @sub.get("/items/<number>")
    async def view_item(request: Any, number: str) -> Any:
        from urllib.parse import unquote

        number = unquote(number)
        await async_together(number)
        return text(inner(number))

    app.get("/items/<number>")(view_item)

    @app.get("/moved/<number>")
    async def view_moved(request: Any, number: str) -> Any:
        return redirect(f"/items/{number}")

    @app.get("/broken")
    async def view_broken(request: Any) -> Any:
        raise ValueError("broken")

    @app.get("/refused")
    async def view_refused(request: Any) -> Any:
        raise RefusedError

    @app.get("/caught")
    async def view_caught(request: Any) -> Any:
        return text(caught())

    @app.get("/stream")
    async def view_stream(request: Any) -> None:
        response = await request.respond()
        async for piece in async_pieces():
            await response.send(piece)
        await response.eof()

    @app.exception(RefusedError)
    async def refused(request: Any, error: Exception) -> Any:
        return text("refused", status=500)

    app.blueprint(sub)
    return app
