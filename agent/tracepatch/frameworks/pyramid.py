"""Pyramid."""

from __future__ import annotations

from collections.abc import Mapping

from ..request import Request, from_environ

ENTRIES = ("pyramid.router:Router.__call__",)


def request(arguments: Mapping[str, object]) -> Request | None:
    """Read `(self, environ, start_response)`."""
    return from_environ(arguments.get("environ"))
