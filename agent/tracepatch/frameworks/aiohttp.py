"""aiohttp: a request is parsed before any code of the application's runs, and its parts are read from there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ..objects import class_dict, mro_of
from ..request import Request, decoded
from ..routing import MAX_DEPTH, Instances, Route, fields, items, unmounted
from ..walk import instance_dict

ENTRIES = ("aiohttp.web_protocol:RequestHandler._handle_request",)


def request(arguments: Mapping[str, object]) -> Request | None:
    """Read `(self, request, start_time, request_handler)`."""
    given = instance_dict(arguments.get("request"))
    message = given.get("_message")
    method, path, headers = (_field(message, name) for name in ("method", "path", "raw_headers"))
    if type(path) is not str:
        return None
    return Request(method, decoded(path), path.partition("?")[2], headers, given.get("_transport_peername"))


def _field(message: object, name: str) -> object:
    """Return a field of the parsed message: a named tuple, or a type in C with a descriptor for each."""
    for owner in mro_of(type(message)):
        descriptor = class_dict(owner).get(name)
        if type(descriptor).__module__ == "builtins" and type(descriptor).__name__ in _DESCRIPTORS:
            return descriptor.__get__(message)
        if type(descriptor).__name__ == "_tuplegetter":
            return descriptor.__get__(message)
    return None


_DESCRIPTORS = ("getset_descriptor", "member_descriptor")


def routes(instances: Instances) -> Iterator[Route]:
    """Yield the resources of routers; sub-applications' have their prefix already."""
    yield from unmounted(instances("aiohttp.web_app:Application"), _routes)


def _routes(application: object, mounted: set[int], depth: int = 0) -> list[Route]:
    found: list[Route] = []
    for resource in items(fields(fields(application).get("_router")).get("_resources")):
        known = fields(resource)
        inside = known.get("_app")
        if inside is not None:
            mounted.add(id(inside))
            found += _routes(inside, mounted, depth + 1) if depth < MAX_DEPTH else []
            continue
        path = known.get("_path") or known.get("_formatter") or f"{known.get('_prefix', '')}/*"
        served = known.get("_routes")
        for route in list(served.values()) if type(served) is dict else items(served):
            one = fields(route)
            method = one.get("_method")
            named = (method,) if type(method) is str and method != "*" else ()
            found.append(Route(named, path, one.get("_handler")))
    return found
