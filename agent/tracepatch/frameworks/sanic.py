"""Sanic, whose own server parses requests; behind an ASGI server there is no `head`, but a scope."""

from __future__ import annotations

from collections.abc import Mapping

from ..request import MAX_HEAD, MAX_HEADERS, Request, decoded
from ..walk import instance_dict

ENTRIES = ("sanic.app:Sanic.handle_request",)


def request(arguments: Mapping[str, object]) -> Request | None:
    """Read `(self, request)`; its headers, which are a library's type, from the bytes that came."""
    given = instance_dict(arguments.get("request"))
    url, head = given.get("raw_url"), given.get("head")
    if type(url) is not bytes:
        return None
    scope = instance_dict(given.get("transport")).get("scope")
    headers: object = ()
    if type(head) is bytes and head:
        lines = head[:MAX_HEAD].split(b"\r\n")[1:MAX_HEADERS]
        headers = [(name, value.strip()) for name, _, value in (line.partition(b":") for line in lines)]
    elif type(scope) is dict:
        headers = scope.get("headers")
    client = instance_dict(given.get("conn_info")).get("client_ip")
    return Request(given.get("method"), decoded(url), url.partition(b"?")[2], headers, client)
