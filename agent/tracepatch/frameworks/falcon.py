"""Falcon, by WSGI and by ASGI; in a wheel of it that was compiled nothing can be traced."""

from __future__ import annotations

from collections.abc import Mapping

from ..request import Request, from_environ, from_scope

ENTRIES = ("falcon.app:App.__call__", "falcon.asgi.app:App.__call__")


def request(arguments: Mapping[str, object]) -> Request | None:
    """Read `(self, env, start_response)` or `(self, scope, receive, send)`."""
    return from_environ(arguments["env"]) if "env" in arguments else from_scope(arguments.get("scope"))
