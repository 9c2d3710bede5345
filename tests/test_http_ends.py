"""How requests end that have no end of their own, or another one than usual, and what a trace says of that."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

from ctl import environment
from http_helpers import STREAM_S, armed, ask, functions, nodes, served
from processes import Process

LIMIT = ("--max-duration", "1s")


@pytest.fixture
def env(runtime_dir: Any, tmp_path: Any) -> dict[str, str]:
    return environment(XDG_STATE_HOME=str(tmp_path / "state"))


@pytest.fixture(params=["starlette", "fastapi", "asgi"])
def server(request: pytest.FixtureRequest, env: dict[str, str]) -> Iterator[tuple[Process, int]]:
    with served(request.param, "uvicorn") as running:
        yield running


def one(env: dict[str, str], app: Process, *words: str, send: Callable[[], object]) -> dict[str, Any]:
    """Return the only trace of a probe for one."""
    (trace,) = [item for item in armed(env, app, *words, "-n", "1", send=send) if item["type"] == "trace"]
    return trace


def talk(client: ClientConnection, text: str) -> None:
    client.send(text)
    assert client.recv(10) == f"item {text}"


@contextmanager
def stream(port: int, path: str) -> Iterator[socket.socket]:
    """Ask for a path and read the beginning of the response."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert b"200 OK" in connection.recv(100)
        yield connection


def test_a_websocket_ends_when_it_is_closed(server: tuple[Process, int], env: dict[str, str]) -> None:
    app, port = server

    def send() -> None:
        with connect(f"ws://127.0.0.1:{port}/socket") as client:
            talk(client, "1")
            talk(client, "2")
            client.send("bye")

    trace = one(env, app, "http:WEBSOCKET /socket", send=send)
    assert (trace["status"], trace["reason"]) == ("complete", None)
    assert (trace["task"]["http_status"], trace["task"]["name"]) == (101, "WEBSOCKET /socket")
    assert functions(trace).count("inner") == 2
    assert "view_socket" in functions(trace)
    assert trace["duration_ns"] == trace["roots"][0]["wall_ns"]


def test_a_websocket_that_stays_ends_by_limit(server: tuple[Process, int], env: dict[str, str]) -> None:
    app, port = server
    url = f"ws://127.0.0.1:{port}/socket"
    stays: list[ClientConnection] = []
    with ExitStack() as stack:
        before = stack.enter_context(connect(url))  # it is no request of those that come

        def send() -> None:
            talk(before, "0")
            stays.append(stack.enter_context(connect(url)))
            talk(stays[0], "1")

        trace = one(env, app, "http:WEBSOCKET /socket", *LIMIT, send=send)
        assert (trace["status"], trace["reason"]) == ("tripped", "max_duration_s")
        assert trace["task"]["http_status"] == 101
        assert trace["roots"][0]["open"]
        assert functions(trace).count("inner") == 1
        talk(stays[0], "2")  # nothing has happened to it


def test_a_socket_that_is_refused(env: dict[str, str]) -> None:
    def send() -> None:
        with pytest.raises(InvalidStatus, match="403"), connect(f"ws://127.0.0.1:{port}/nothing"):
            pass

    with served("starlette", "uvicorn") as (app, port):
        trace = one(env, app, "http:WEBSOCKET *", send=send)
        assert (trace["task"]["http_status"], trace["status"]) == (403, "complete")


@pytest.mark.parametrize(
    ("framework", "server"), [("starlette", "uvicorn"), ("fastapi", "uvicorn"), ("flask", "waitress")]
)
def test_an_endless_stream_ends_by_limit(framework: str, server: str, env: dict[str, str]) -> None:
    stays: list[socket.socket] = []
    with served(framework, server) as (app, port), ExitStack() as stack:
        before = stack.enter_context(stream(port, "/endless"))

        def send() -> None:
            assert before.recv(100)
            stays.append(stack.enter_context(stream(port, "/endless")))

        trace = one(env, app, "http:GET /endless", *LIMIT, send=send)
        assert stays[0].recv(100)
        assert (trace["status"], trace["reason"]) == ("tripped", "max_duration_s")
        assert (trace["task"]["http_status"], trace["task"]["response_ns"]) == (200, None)
        assert trace["duration_ns"] >= 0.99e9
        assert any(node["function"].startswith("endless") and node.get("open") for node in nodes(trace))


@pytest.mark.parametrize("framework", ["starlette", "django-asgi", "aiohttp", "tornado"])
def test_a_client_that_leaves(framework: str, env: dict[str, str]) -> None:
    """The framework notices, and the request ends before its last byte was sent."""

    def send() -> None:
        with stream(port, "/stream"):
            pass

    with served(framework, {"aiohttp": "aiohttp", "tornado": "tornado"}.get(framework, "uvicorn")) as (
        app,
        port,
    ):
        trace = one(env, app, "http:GET /stream", send=send)
        assert trace["status"] == "complete"
        assert (trace["task"]["http_status"], trace["task"]["response_ns"]) == (200, None)
        assert trace["duration_ns"] == trace["roots"][0]["wall_ns"]
        assert ask(port, "/caught") == 200


@pytest.mark.parametrize(
    ("framework", "server"),
    [("starlette", "uvicorn"), ("asgi", "uvicorn"), ("wsgi", "waitress"), ("flask", "waitress")],
)
def test_the_time_of_a_response_begins_with_the_entry(
    framework: str, server: str, env: dict[str, str]
) -> None:
    """What the recorder needs to begin is none of it."""
    with served(framework, server) as (app, port):
        trace = one(env, app, "http:GET /stream", send=lambda: ask(port, "/stream"))
        root, response_ns = trace["roots"][0], trace["task"]["response_ns"]
        assert trace["duration_ns"] == response_ns - root["start_ns"]
        assert trace["duration_ns"] >= STREAM_S * 0.99e9
        assert root["start_ns"] > 0
