"""Litestar."""

from __future__ import annotations

from collections.abc import Mapping

from ..request import Request, from_scope

ENTRIES = ("litestar.app:Litestar.__call__",)


def request(arguments: Mapping[str, object]) -> Request | None:
    """Read `(self, scope, receive, send)`."""
    return from_scope(arguments.get("scope"))
