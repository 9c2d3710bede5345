"""Sanic, whose own server parses requests."""

from __future__ import annotations

from collections.abc import Mapping

from ..request import Request, decoded
from ..walk import instance_dict

ENTRIES = ("sanic.app:Sanic.handle_request",)


def request(arguments: Mapping[str, object]) -> Request | None:
    """Read `(self, request)`; of the headers, which are a library's type, nothing."""
    given = instance_dict(arguments.get("request"))
    url = given.get("raw_url")
    if type(url) is not bytes:
        return None
    return Request(given.get("method"), decoded(url), url.partition(b"?")[2], ())
