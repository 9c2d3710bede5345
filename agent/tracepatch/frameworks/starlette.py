"""Starlette, and FastAPI, whose applications are Starlette's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ..request import Request, from_scope
from ..routing import MAX_DEPTH, Instances, Route, fields, items, methods, unmounted

ENTRIES = ("fastapi.applications:FastAPI.__call__", "starlette.applications:Starlette.__call__")


def request(arguments: Mapping[str, object]) -> Request | None:
    """Read `(self, scope, receive, send)`."""
    return from_scope(arguments.get("scope"))


def routes(instances: Instances) -> Iterator[Route]:
    """Yield the routes of applications, those that are mounted under their whole path."""
    yield from unmounted(instances("starlette.applications:Starlette"), _routes)


def _routes(application: object, mounted: set[int], prefix: str = "", depth: int = 0) -> list[Route]:
    found: list[Route] = []
    held = fields(application)
    for route in items(fields(held.get("router", application)).get("routes")):
        known = fields(route)
        path, inside = known.get("path", ""), known.get("_base_app", known.get("app"))
        if "original_router" in known:  # FastAPI's, from 0.160 on: `include_router` copies no routes
            path, inside = fields(known.get("include_context")).get("prefix", ""), known["original_router"]
        if type(path) is not str:
            continue
        if "endpoint" in known:
            of_socket = "methods" not in known
            named = ("WEBSOCKET",) if of_socket else methods(known["methods"])
            found.append(Route(named, prefix + path, known["endpoint"]))
        elif depth < MAX_DEPTH:
            mounted.add(id(inside))
            below = _routes(inside, mounted, prefix + path, depth + 1)
            found += below or ([Route((), f"{prefix}{path}/*", inside)] if path else [])
    return found
