"""Flask; Quart is `quart`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ..request import Request, from_environ
from ..routing import Instances, Route, of_map

ENTRIES = ("flask.app:Flask.__call__",)


def request(arguments: Mapping[str, object]) -> Request | None:
    """Read `(self, environ, start_response)`."""
    return from_environ(arguments.get("environ"))


def routes(instances: Instances) -> Iterator[Route]:
    """Yield the rules of Werkzeug's map."""
    return of_map(instances("flask.app:Flask"))
