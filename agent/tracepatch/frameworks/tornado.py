"""Tornado: the handler that was chosen for a request executes it, one for paths that are not found among them."""

from __future__ import annotations

from collections.abc import Mapping

from ..request import Request, decoded
from ..walk import instance_dict

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
