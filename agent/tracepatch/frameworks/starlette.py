"""Starlette, and FastAPI, whose applications are Starlette's."""

from __future__ import annotations

from collections.abc import Mapping

from ..request import Request, from_scope

ENTRIES = ("fastapi.applications:FastAPI.__call__", "starlette.applications:Starlette.__call__")


def request(arguments: Mapping[str, object]) -> Request | None:
    """Read `(self, scope, receive, send)`."""
    return from_scope(arguments.get("scope"))
