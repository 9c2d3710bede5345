"""The response to a traced request, as the calls that send it show it: whatever framework and server there are.

ASGI servers and middleware have a function that is given each message, WSGI servers a `start_response`; aiohttp and
Tornado call methods of their own response. A call of such a function tells the status, and when the last byte was
handed over.

Concurrency: written by application threads inside callbacks, read by the agent thread when the trace has ended.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from time import perf_counter_ns
from typing import Any, ClassVar, Final

from . import routes
from .arrival import Outcome
from .failures import failure_of
from .spans import Span, span_in
from .walk import instance_dict

MAX_ROUTE: Final = 500


class Response(Outcome):
    """What is known of it so far; times are of `perf_counter_ns`."""

    __slots__ = ("_mounted", "_raised", "ended_ns", "route", "span", "status")

    goes_on: ClassVar[bool] = True

    def __init__(self) -> None:
        self.status: int | None = None
        self.ended_ns = 0
        """The last byte was handed to the server; 0 as long as it was not."""
        self.route: str | None = None
        """The template that the framework has chosen by the request's path."""
        self._mounted = ""
        """Of applications that are mounted in others: where the one begins that chooses."""
        self.span: Span | None = None
        """That of OpenTelemetry which was begun inside the entry for this request."""
        self._raised = False
        """An exception has left the view, or broke off what it had begun to send."""

    @property
    def failed(self) -> bool:
        """The request has failed: by its status, or by an exception that was not made a redirect or a client's error."""
        status = self.status
        if status is None:
            return self._raised
        return status >= 500 or (self._raised and not 300 <= status < 500)

    def to_wire(self, started_ns: int) -> dict[str, Any]:
        """Return what the task of a trace says of it; times count from the beginning of the trace, as those of calls."""
        return {
            "http_status": self.status,
            "route": self.route,
            "response_ns": self.ended_ns - started_ns if self.ended_ns else None,
        }

    def begins(self, status: object) -> None:
        """A status is about to be sent; of several the last holds."""
        if type(status) is int:
            self.status = status

    def mounts(self, path: str) -> None:
        self._mounted += path[:MAX_ROUTE]

    def routed(self, path: str) -> None:
        self.route = (self._mounted + path)[:MAX_ROUTE]

    def view_raised(self) -> None:
        self._raised = True

    def runs_in(self, span: Span) -> None:
        """A span becomes current: the first one of this process's is the request's, the caller's until there is one."""
        if self.span is None or self.span.remote:
            self.span = span

    def ends(self) -> None:
        """The last byte is about to be sent."""
        if not self.ended_ns:
            self.ended_ns = perf_counter_ns()


Tell = Callable[[Outcome, Mapping[str, Any]], None]
"""Takes in what a call with these arguments tells of a response."""


def _asgi_message(response: Outcome, arguments: Mapping[str, Any]) -> None:
    message = arguments.get("message")
    if type(message) is not dict:
        return
    kind, more = message.get("type"), message.get("more_body")
    if type(kind) is not str:
        return  # to compare it could run its code
    if kind in ("http.response.start", "websocket.http.response.start"):
        response.begins(message.get("status"))
    elif kind in ("http.response.body", "websocket.http.response.body"):
        if more is None or more is False:
            response.ends()
    elif kind == "websocket.accept":
        response.begins(101)
    elif kind == "websocket.close" and response.status is None:
        response.begins(403)  # by the specification: it was never accepted


def _start_response(response: Outcome, arguments: Mapping[str, Any]) -> None:
    status = arguments.get("status")
    if type(status) is str and status.isascii() and status[:3].isdigit():
        response.begins(int(status[:3]))


def _attached(response: Outcome, arguments: Mapping[str, Any]) -> None:
    span = span_in(arguments.get("context"))
    if span is not None:
        response.runs_in(span)


def _field(name: str) -> Tell:
    def tell(response: Outcome, arguments: Mapping[str, Any]) -> None:
        response.begins(instance_dict(arguments.get("self")).get(name))

    return tell


BY_MODULE: dict[tuple[str, str], Tell] = {
    **routes.TELLS,
    ("aiohttp.web_response", "prepare"): _field("_status"),
    ("opentelemetry.context", "attach"): _attached,
    ("sanic.response.types", "send"): _field("status"),
    ("tornado.web", "flush"): _field("_status_code"),
    ("werkzeug.wrappers.response", "__call__"): _field("_status_code"),
}
_BY_NAME: dict[str, tuple[str, Tell]] = {
    "send": ("message", _asgi_message),
    "app_send": ("message", _asgi_message),
    "_send": ("message", _asgi_message),
    "start_response": ("status", _start_response),
}


def tell_of(module: str, name: str, arguments: tuple[str, ...]) -> Tell | None:
    """Return what calls of a function tell of a response; None for nearly all functions."""
    known = BY_MODULE.get((module, name))
    if known is not None:
        return known
    argument, tell = _BY_NAME.get(name, ("", None))
    return tell if argument in arguments else failure_of(module, name, arguments)
