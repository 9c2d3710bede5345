"""What `tracepatch.asgi` and `tracepatch.wsgi` wrap."""

from __future__ import annotations

from collections.abc import Mapping

from ..request import Request, from_environ, from_scope

ENTRIES = ("tracepatch.gateway:Asgi.__call__", "tracepatch.gateway:Wsgi.__call__")


def request(arguments: Mapping[str, object]) -> Request | None:
    """Read `(self, scope, receive, send)` or `(self, environ, start_response)`."""
    return (
        from_environ(arguments["environ"]) if "environ" in arguments else from_scope(arguments.get("scope"))
    )
