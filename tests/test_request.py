"""Requests and responses are read from plain data only; whatever else stands there counts as empty."""

from __future__ import annotations

from typing import Any

import pytest

from tracepatch import frameworks
from tracepatch.conditions import Condition
from tracepatch.request import MAX_PATH, decoded, from_environ, from_scope
from tracepatch.response import Response, tell_of


class Hostile:
    """Whoever asks it anything is found out."""

    def __getattribute__(self, name: str) -> Any:
        raise AssertionError(f"asked for {name}")

    def _asked(self, *_: object) -> Any:
        raise AssertionError("asked")

    __eq__ = __hash__ = __len__ = __iter__ = __getitem__ = __str__ = __repr__ = __bool__ = _asked  # type: ignore[assignment]


class Text(str):
    __slots__ = ()

    def __eq__(self, _other: object) -> bool:
        raise AssertionError("asked")

    __hash__ = str.__hash__


SCOPE = {
    "type": "http", "method": "POST", "path": "/items/1", "raw_path": b"/sub/it%20ems/1", "root_path": "/sub",
    "query_string": b"user=42&a=b+c%21&empty", "headers": [[b"x-debug", b"1"], (b"Host", b"h")], "client": ("10.0.0.1", 5),
}  # fmt: skip
ENVIRON = {
    "REQUEST_METHOD": "POST", "SCRIPT_NAME": "/sub", "PATH_INFO": "/it ems/\xc3\xa9", "QUERY_STRING": "user=42",
    "HTTP_X_DEBUG": "1", "CONTENT_TYPE": "text/plain", "REMOTE_ADDR": "10.0.0.1", "wsgi.input": Hostile(),
}  # fmt: skip


def test_a_scope() -> None:
    request = from_scope(SCOPE)
    assert request is not None
    assert request.names() == {
        "method": "POST",
        "path": "/sub/it ems/1",
        "query": {"user": "42", "a": "b c!", "empty": ""},
        "header": {"x-debug": "1", "host": "h"},
        "client": "10.0.0.1",
    }


def test_a_header_that_is_missing_is_none_and_its_case_does_not_matter() -> None:
    request = from_scope(SCOPE)
    assert request is not None
    for text, holds in (
        ("header['X-Debug'] == '1'", True),
        ("header['x-other'] == '1'", False),
        ("query['other'] is None", True),
    ):
        assert Condition(text, "where").holds(request.names()) is holds


def test_a_mounted_application_has_the_whole_path_where_the_server_gives_no_raw_one() -> None:
    for path in ("/items/1", "/sub/items/1"):  # Starlette up to 0.32, and since
        request = from_scope({"type": "http", "path": path, "root_path": "/sub"})
        assert request is not None
        assert request.path == "/sub/items/1"


def test_what_starlette_hands_on_has_entered_before() -> None:
    scope = {"type": "http", "path": "/sub/items", "app": object()}
    assert from_scope(scope) is not None
    assert from_scope({**scope, "router": object()}) is None


def test_an_environment() -> None:
    request = from_environ(ENVIRON)
    assert request is not None
    assert request.names() == {
        "method": "POST",
        "path": "/sub/it ems/é",
        "query": {"user": "42"},
        "header": {"x-debug": "1", "content-type": "text/plain"},
        "client": "10.0.0.1",
    }


def test_no_request() -> None:
    assert from_scope({"type": "lifespan"}) is None
    for value in (None, Hostile(), [], "x"):
        assert from_scope(value) is None
        assert from_environ(value) is None


FOREIGN = {
    "hostile": Hostile(), "text": Text("x"), "none": None, "number": 5, "list": [Hostile()], "dict": {"x": Hostile()},
}  # fmt: skip


@pytest.mark.parametrize("name_of_foreign", FOREIGN)
def test_what_is_no_plain_data_is_not_looked_into(name_of_foreign: str) -> None:
    foreign: Any = FOREIGN[name_of_foreign]
    for name in SCOPE:
        request = from_scope({**SCOPE, name: foreign})
        assert (request is None) == (name == "type")
        if request is not None:
            request.names()
    for name in ENVIRON:
        request = from_environ({**ENVIRON, name: foreign})
        assert request is not None
        request.names()
    for reader in frameworks.entries().values():
        names = ("self", "request", "scope", "environ", "env", "start_time", "transforms")
        request = reader.read(dict.fromkeys(names, foreign))
        if request is not None:
            request.names()


def test_a_path_is_bounded() -> None:
    assert len(decoded(b"/" * 10 * MAX_PATH)) == MAX_PATH
    assert decoded("/a%2Fb?c=d") == "/a/b"
    assert decoded(b"/%ff") == "/\ufffd"


def test_what_calls_tell_of_a_response() -> None:
    for module, name, arguments, values, expected in (
        (
            "any",
            "send",
            ("self", "message"),
            {"message": {"type": "http.response.start", "status": 404}},
            404,
        ),
        ("any", "start_response", ("status", "headers"), {"status": "500 Sorry"}, 500),
        ("any", "start_response", ("status", "headers"), {"status": Hostile()}, None),
        ("any", "start_response", ("status", "headers"), {"status": "²00 OK"}, None),
        ("any", "send", ("self", "message"), {"message": Hostile()}, None),
        ("any", "send", ("message",), {"message": {"type": Hostile()}}, None),
        (
            "any",
            "send",
            ("message",),
            {"message": {"type": "http.response.body", "more_body": Hostile()}},
            None,
        ),
        ("tornado.web", "flush", ("self",), {"self": Hostile()}, None),
        ("any", "send", ("message",), {"message": {"type": "websocket.close"}}, 403),
    ):
        tell = tell_of(module, name, arguments)
        assert tell is not None
        response = Response()
        tell(response, values)
        assert response.status == expected
    assert tell_of("any", "send", ("self", "data")) is None
    assert tell_of("any", "flush", ("self",)) is None


def test_a_socket_that_was_accepted_is_not_refused_by_its_end() -> None:
    tell = tell_of("any", "send", ("message",))
    assert tell is not None
    response = Response()
    tell(response, {"message": {"type": "websocket.accept"}})
    tell(response, {"message": {"type": "websocket.close"}})
    assert response.status == 101


def test_a_response_ends_with_its_last_piece() -> None:
    tell = tell_of("any", "send", ("message",))
    assert tell is not None
    response = Response()
    tell(response, {"message": {"type": "http.response.body", "more_body": True}})
    assert not response.ended_ns
    tell(response, {"message": {"type": "http.response.body"}})
    first = response.ended_ns
    assert first
    response.ends()
    assert response.ended_ns == first


def test_a_framework_can_be_taken_out() -> None:
    names = {entry.partition(".")[0].partition(":")[0] for entry in frameworks.entries()}
    assert {"starlette", "fastapi", "flask", "django", "aiohttp", "tornado"} <= names
    assert all(target.kind == "function" and target.is_exact for target in frameworks.targets())
