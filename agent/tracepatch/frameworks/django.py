"""Django, by WSGI and by ASGI."""

from __future__ import annotations

from collections.abc import Mapping

from ..request import Request, from_environ, from_scope

ENTRIES = (
    "django.core.handlers.wsgi:WSGIHandler.__call__",
    "django.core.handlers.asgi:ASGIHandler.__call__",
)


def request(arguments: Mapping[str, object]) -> Request | None:
    """Read `(self, environ, start_response)` or `(self, scope, receive, send)`."""
    return (
        from_environ(arguments["environ"]) if "environ" in arguments else from_scope(arguments.get("scope"))
    )
