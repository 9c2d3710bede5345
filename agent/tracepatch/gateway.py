"""Applications of which no framework is known: a wrapper whose call is where `http:` targets find their requests.

It passes on what it is given and returns what it gets. While a request is traced the server's `send` or
`start_response` goes by a function of ours, since one that is written in another language would show nothing of the
response; at all other times the variable that says so is looked at, and that is all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .recording import current


class _Wrapper:
    """Looks like the application that it holds: what it does not have itself is read, set and deleted there."""

    __slots__ = ("__weakref__", "__wrapped__")
    __wrapped__: Any

    def __init__(self, app: Any) -> None:
        if not callable(app):
            raise TypeError(
                f"an application is called for each request; this is of type {type(app).__name__}"
            )
        object.__setattr__(self, "__wrapped__", app)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__wrapped__, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self.__wrapped__, name, value)

    def __delattr__(self, name: str) -> None:
        delattr(self.__wrapped__, name)

    def __repr__(self) -> str:
        return f"tracepatch.{type(self).__name__.lower()}({self.__wrapped__!r})"

    def __reduce__(self) -> Any:
        return type(self), (self.__wrapped__,)


class Asgi(_Wrapper):
    """An ASGI 3 application."""

    __slots__ = ()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> Any:
        if current.get() is not None:
            send = _sends(send)
        return await self.__wrapped__(scope, receive, send)


class Wsgi(_Wrapper):
    """A WSGI application."""

    __slots__ = ()

    def __call__(self, environ: Any, start_response: Any) -> Any:
        if current.get() is not None:
            start_response = _starts(start_response)
        return self.__wrapped__(environ, start_response)


def _sends(server: Callable[..., Any]) -> Callable[..., Any]:
    async def send(message: Any) -> Any:
        return await server(message)

    return send


def _starts(server: Callable[..., Any]) -> Callable[..., Any]:
    def start_response(status: Any, *rest: Any, **named: Any) -> Any:
        return server(status, *rest, **named)

    return start_response
