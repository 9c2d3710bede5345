"""Quart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ..request import Request, from_scope
from ..routing import Instances, Route, of_map

ENTRIES = ("quart.app:Quart.__call__",)


def request(arguments: Mapping[str, object]) -> Request | None:
    """Read `(self, scope, receive, send)`."""
    return from_scope(arguments.get("scope"))


def routes(instances: Instances) -> Iterator[Route]:
    """Yield the rules of Werkzeug's map."""
    return of_map(instances("quart.app:Quart"))
