"""An HTTP request, as plain data: read from what a framework's entry was given, without running anybody's code.

Only what has exactly the type that the specifications name is read: a `scope` that is a `dict`, a path that is a `str`.
What is missing or of another type counts as empty.

Concurrency: made and read on application threads inside callbacks, about 2 µs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar
from urllib.parse import unquote_to_bytes

from tracepatch_shared.targets import Target
from tracepatch_shared.traceparent import Traceparent, read

from .arrival import Arrival
from .readable import Fields
from .response import Response

MAX_PATH = 2_000
"""Bytes of a path that are looked at."""
MAX_HEADERS = 100
MAX_HEAD = 16_000
"""Bytes of a request's head, where it has to be split into headers here."""
MAX_VALUE = 2_000
"""Bytes of a header's value or of the query that are looked at."""


NAMES = ("method", "path", "query", "header", "client")
"""What a condition may ask of a request."""


class Request(Arrival):
    """Method, decoded path, query and headers of one request."""

    __slots__ = ("client", "headers", "method", "path", "query")

    kind: ClassVar[str] = "http"
    known: ClassVar[tuple[str, ...]] = NAMES
    called: ClassVar[str] = "a request"
    displaces: ClassVar[bool] = True

    def __init__(
        self, method: object, path: str, query: object, headers: object, client: object = None
    ) -> None:
        """`headers` holds pairs of bytes or texts; `query` is bytes or text, as it came."""
        self.method = method if type(method) is str else ""
        self.path = path
        self.query = query
        self.headers = headers
        self.client = client

    def names(self) -> dict[str, Any]:
        """Return the values of `NAMES`; of a query's or a header's names that come twice the last holds."""
        return {
            "method": self.method,
            "path": self.path,
            "query": Fields(_query(_text(self.query))),
            "header": Fields(_headers(self.headers), folded=True),
            "client": self._client(),
        }

    @property
    def traceparent(self) -> Traceparent | None:
        """What the request's header says of the distributed trace that it belongs to."""
        texts = [text for name, text in _headers(self.headers) if name == "traceparent"]
        return read(texts[0]) if len(texts) == 1 else None

    def matches(self, target: Target) -> bool:
        return target.matches_request(self.method, self.path)

    def outcome(self) -> Response:
        return Response()

    def task(self, shown: Callable[[str], str]) -> dict[str, Any]:
        """Return what the head of a trace says of it; `shown` makes of a text what may be shown of it."""
        method = shown(self.method) or "?"
        path = shown(self.path)
        return {"kind": "http", "name": f"{method} {path or '…'}", "method": method, "path": path}

    def _client(self) -> str:
        client = self.client
        if type(client) in (tuple, list) and client:
            client = client[0]  # type: ignore[index]
        return client if type(client) is str else ""


def from_scope(scope: object) -> Request | None:
    """Return the request of an ASGI scope; None for a lifespan, what is no scope, and what has entered before."""
    if type(scope) is not dict:
        return None
    if "app" in scope and "router" in scope:
        return None  # a Starlette application hands on what it was given, perhaps in another task
    kind = scope.get("type")
    if type(kind) is not str or kind not in ("http", "websocket"):
        return None
    raw = scope.get("raw_path")
    given = scope.get("path")
    path = given if type(given) is str else ""
    if type(raw) is bytes:
        path = decoded(raw)  # a mounted application's `path` is what is left of it
    elif type(root := scope.get("root_path")) is str and not path.startswith(root):
        path = root + path
    method = scope.get("method") if kind == "http" else "WEBSOCKET"
    return Request(method, path, scope.get("query_string"), scope.get("headers"), scope.get("client"))


def from_environ(environ: object) -> Request | None:
    """Return the request of a WSGI environment."""
    if type(environ) is not dict:
        return None
    parts = [environ.get("SCRIPT_NAME"), environ.get("PATH_INFO")]
    path = "".join(part[:MAX_PATH] for part in parts if type(part) is str)
    try:
        path = path.encode("latin-1").decode("utf-8", "replace")
    except UnicodeEncodeError:
        pass  # a server that does not follow PEP 3333
    return Request(
        environ.get("REQUEST_METHOD"), path, environ.get("QUERY_STRING"), environ, environ.get("REMOTE_ADDR")
    )


def decoded(path: bytes | str) -> str:
    """Return a path as it was meant: percent signs decoded, the query cut off."""
    path = path[:MAX_PATH]
    raw = path if type(path) is bytes else path.encode("utf-8", "surrogatepass")  # type: ignore[union-attr]
    return unquote_to_bytes(raw.partition(b"?")[0]).decode("utf-8", "replace")


def _text(value: object) -> str:
    if type(value) is bytes:
        return value[:MAX_VALUE].decode("latin-1")
    return value[:MAX_VALUE] if type(value) is str else ""


def _query(text: str) -> list[tuple[str, str]]:
    found = []
    for part in text.split("&")[:MAX_HEADERS]:
        name, _, value = part.replace("+", " ").partition("=")
        if name:
            found.append((_unquoted(name), _unquoted(value)))
    return found


def _unquoted(text: str) -> str:
    return unquote_to_bytes(text).decode("utf-8", "replace") if "%" in text else text


def _headers(headers: object) -> list[tuple[str, str]]:
    """Return names in lower case and values of ASGI's pairs, or of the variables that WSGI makes of headers."""
    if type(headers) is dict:
        return [
            (
                name[5:].replace("_", "-").lower() if name[:5] == "HTTP_" else name.replace("_", "-").lower(),
                _text(value),
            )
            for name, value in list(headers.items())
            if type(name) is str and (name[:5] == "HTTP_" or name in ("CONTENT_TYPE", "CONTENT_LENGTH"))
        ]
    found = []
    if type(headers) in (list, tuple):
        for pair in headers[:MAX_HEADERS]:  # type: ignore[index]
            if type(pair) in (list, tuple) and len(pair) == 2:
                found.append((_text(pair[0]).lower(), _text(pair[1])))
    return found
