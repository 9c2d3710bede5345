"""Where a framework takes an exception that has left the view: then the request has failed, whatever it is answered with.

Such a function is called with the exception, and this is all that is looked for. An exception by which a view says what
to answer (an `HTTPException`) is none of these; one that a handler turns into a redirect or into a client's error is
judged by that, see `Response.failed`.

Concurrency: on application threads inside callbacks; nothing of the exception but the names of its classes is looked at.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from .objects import class_module, mro_of, qualname_of

if TYPE_CHECKING:
    from .arrival import Outcome

TAKES: Final = {
    ("aiohttp.web_protocol", "handle_error"): "exc",
    ("django.core.handlers.base", "process_exception_by_middleware"): "exception",
    ("django.core.handlers.exception", "response_for_exception"): "exc",
    ("falcon.app", "_handle_exception"): "ex",
    ("falcon.asgi.app", "_handle_exception"): "ex",
    ("flask.app", "handle_exception"): "e",
    ("flask.app", "handle_user_exception"): "e",
    ("litestar.middleware._internal.exceptions.middleware", "handle_request_exception"): "exc",
    ("pyramid.tweens", "_error_handler"): "exc",
    ("quart.app", "handle_exception"): "error",
    ("quart.app", "handle_user_exception"): "error",
    ("sanic.app", "handle_exception"): "exception",
    ("starlette._exception_handler", "_lookup_exception_handler"): "exc",
    ("starlette.middleware.exceptions", "_lookup_exception_handler"): "exc",
    ("tornado.web", "_handle_request_exception"): "e",
}
"""Functions, by module and name, that are given an exception out of a view; and the argument that is it."""

ANSWERS: Final = frozenset(
    (
        ("falcon.http_error", "HTTPError"),
        ("falcon.http_status", "HTTPStatus"),
        ("litestar.exceptions.http_exceptions", "HTTPException"),
        ("pyramid.httpexceptions", "HTTPException"),
        ("sanic.exceptions", "SanicException"),
        ("starlette.exceptions", "HTTPException"),
        ("tornado.web", "Finish"),
        ("tornado.web", "HTTPError"),
        ("werkzeug.exceptions", "HTTPException"),
    )
)
"""Exceptions by which a view says what to answer."""


class Failure:
    """Takes in that a framework was given an exception; a tell, as those of `response`."""

    __slots__ = ("_argument",)

    def __init__(self, argument: str) -> None:
        self._argument = argument

    def __call__(self, response: Outcome, arguments: Mapping[str, Any]) -> None:
        owners = mro_of(type(arguments.get(self._argument)))
        if not any(owner is BaseException for owner in owners):  # `in` could run a metaclass's `__eq__`
            return
        for owner in owners:
            name = class_module(owner), qualname_of(owner)
            if type(name[0]) is str and type(name[1]) is str and name in ANSWERS:
                return
        response.view_raised()


def failure_of(module: str, name: str, arguments: tuple[str, ...]) -> Failure | None:
    """Return what a call of a function tells of an exception out of the view; None for nearly all functions."""
    argument = TAKES.get((module, name))
    return Failure(argument) if argument in arguments else None
