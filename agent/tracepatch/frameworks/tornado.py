"""Tornado: the handler that was chosen for a request executes it, one for paths that are not found among them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ..request import Request, decoded
from ..routing import MAX_DEPTH, Instances, Route, fields, items
from ..walk import class_dict, instance_dict, is_class

ENTRIES = ("tornado.web:RequestHandler._execute",)


def request(arguments: Mapping[str, object]) -> Request | None:
    """Read `(self, transforms, *args, **kwargs)`."""
    given = instance_dict(instance_dict(arguments.get("self")).get("request"))
    path, query, headers = given.get("path"), given.get("query"), given.get("headers")
    if type(path) is not str:
        return None
    several = instance_dict(headers).get("_as_list")
    pairs = (
        [(name, values[-1]) for name, values in list(several.items()) if type(values) is list and values]
        if (type(several) is dict)
        else []
    )
    return Request(given.get("method"), decoded(path), query, pairs, given.get("remote_ip"))


def routes(instances: Instances) -> Iterator[Route]:
    """Yield the rules of applications: a path, and the methods that its handler defines."""
    for application in instances("tornado.web:Application"):
        yield from _rules(fields(application).get("wildcard_router"), 0)


def _rules(router: object, depth: int) -> Iterator[Route]:
    for rule in items(fields(router).get("rules")):
        known = fields(rule)
        matcher, target = fields(known.get("matcher")), known.get("target")
        path = matcher.get("_path")
        if type(path) is str and is_class(target):
            named = tuple(name.upper() for name in _METHODS if name in class_dict(target))
            yield Route(named, path.replace("%s", "*").replace("%%", "%"), target)
        elif depth < MAX_DEPTH:
            yield from _rules(target, depth + 1)


_METHODS = ("delete", "get", "head", "options", "patch", "post", "put")
