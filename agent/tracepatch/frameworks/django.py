"""Django, by WSGI and by ASGI."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping

from ..request import Request, from_environ, from_scope
from ..routing import MAX_DEPTH, Instances, Route, fields, items
from ..walk import module_dict, module_item

ENTRIES = (
    "django.core.handlers.wsgi:WSGIHandler.__call__",
    "django.core.handlers.asgi:ASGIHandler.__call__",
)


def request(arguments: Mapping[str, object]) -> Request | None:
    """Read `(self, environ, start_response)` or `(self, scope, receive, send)`."""
    return (
        from_environ(arguments["environ"]) if "environ" in arguments else from_scope(arguments.get("scope"))
    )


def routes(_instances: Instances) -> Iterator[Route]:
    """Yield the patterns of the URL configuration that the settings name, where it is loaded."""
    settings = fields(fields(module_item(sys.modules.get("django.conf"), "settings")).get("_wrapped"))
    name = settings.get("ROOT_URLCONF")
    if type(name) is str:
        yield from _patterns(sys.modules.get(name), "/", 0)


def _patterns(urlconf: object, prefix: str, depth: int) -> Iterator[Route]:
    listed = urlconf if type(urlconf) in (list, tuple) else (module_dict(urlconf) or {}).get("urlpatterns")
    for entry in items(listed):
        known = fields(entry)
        pattern = fields(known.get("pattern"))
        path = pattern.get("_route", "*")
        if type(path) is not str:
            continue
        inside = known.get("urlconf_name")
        if inside is None:
            yield Route((), prefix + path, known.get("callback"))
        elif depth < MAX_DEPTH:
            inside = sys.modules.get(inside) if type(inside) is str else inside
            yield from _patterns(inside, prefix + path, depth + 1)
