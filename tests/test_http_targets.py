"""`http:` targets: real frameworks on real servers, real requests, the command line."""

from __future__ import annotations

import contextlib
import http.client
import importlib.util
import json
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from acceptance_helpers import dormant
from ctl import COMMAND, environment
from processes import TARGETS, Process, process, wait_for
from targets import web

SERVERS = [
    ("fastapi", "uvicorn", "fastapi.applications"),
    ("starlette", "uvicorn", "starlette.applications"),
    ("flask", "waitress", "flask.app"),
    ("django-wsgi", "waitress", "django.core.handlers.wsgi"),
    ("django-asgi", "uvicorn", "django.core.handlers.asgi"),
    ("aiohttp", "aiohttp", "aiohttp.web_protocol"),
    ("tornado", "tornado", "tornado.web"),
]
STREAM_S = web.PIECES * web.PIECE_S


@pytest.fixture
def env(runtime_dir: Any, tmp_path: Any) -> dict[str, str]:
    return environment(XDG_STATE_HOME=str(tmp_path / "state"))


@contextlib.contextmanager
def served(framework: str, server: str) -> Iterator[tuple[Process, int]]:
    """Run an application; yield its process and its port."""
    with process([sys.executable, str(TARGETS / "web.py"), framework, server]) as running:
        port = int(running.line(30))
        wait_for(lambda: ask(port, "/caught") == 200, 30, what="a server")
        yield running, port


def ask(port: int, path: str, method: str = "GET") -> int | None:
    """Return the status of a response whose body was read to its end; None when there is no server yet."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        return asked(connection, path, method)
    except ConnectionError:
        return None
    finally:
        connection.close()


def asked(connection: http.client.HTTPConnection, path: str, method: str = "GET", shop: str = "none") -> int:
    connection.request(method, path, headers={"X-Shop": shop})
    response = connection.getresponse()
    response.read()
    return response.status


def traced(env: dict[str, str], app: Process, *words: str, send: Any) -> list[dict[str, Any]]:
    """Arm, call `send` once that is done, and return what came."""
    command = [*COMMAND, "arm", *words, "--pid", str(app.pid), "--json", "--ttl", "20s", "--budget", "25%"]
    with process(command, env=env) as arm:
        wait_for(
            lambda: any('"armed"' in line for line in arm.lines) or arm.child.poll() is not None, what="armed"
        )
        send()
        assert arm.wait(30) == 0, arm.stderr
        came = [json.loads(line) for line in arm.lines]
    end = came[-1]
    assert (end["type"], end["clean"]) == ("end", True)
    return [one for one in came if one["type"] == "trace"]


def nodes(trace: dict[str, Any]) -> list[dict[str, Any]]:
    found = list(trace["roots"])
    for node in found:
        found += node["children"]
    return found


def functions(trace: dict[str, Any]) -> list[str]:
    return [node["function"].rpartition(".")[2] for node in nodes(trace)]


def mixed(port: int) -> None:
    """Send requests of all kinds over eight connections that are kept, two wanted ones among them, in flight together."""
    meet = threading.Barrier(2)

    def customer(number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        for turn in range(12):
            if number < 2 and turn == 5:
                meet.wait(10)
                assert asked(connection, f"/items/wanted%20{number}?user=42&password=x", shop="tea") == 200
            path, method = [
                (f"/items/{number}-{turn}?user=42", "GET"), ("/missing", "GET"), ("/items/x?user=42", "HEAD"),
                ("/caught?user=42", "GET"), ("/sub/items/x?user=42", "GET"), ("/items/x?user=42", "POST"),
                ("/items/x?user=4242", "GET"),
            ][(number + turn) % 7]  # fmt: skip
            asked(connection, path, method)
        connection.close()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(customer, range(8)))


@pytest.mark.parametrize(("framework", "server", "entry"), SERVERS, ids=[row[0] for row in SERVERS])
def test_requests(framework: str, server: str, entry: str, env: dict[str, str]) -> None:
    pytest.importorskip(framework.partition("-")[0])
    with served(framework, server) as (app, port):
        where = """query["user"] == "42" and header["x-shop"] == "tea" and client == "127.0.0.1\""""
        found = traced(env, app, "http:GET /items/*", "--where", where, "-n", "2", send=lambda: mixed(port))
        assert sorted(trace["task"]["path"] for trace in found) == ["/items/wanted 0", "/items/wanted 1"]
        for trace in found:
            assert trace["roots"][0]["module"] == entry
            assert {"view_item", "inner"} <= set(functions(trace))
            assert functions(trace).count("inner") == 1
            assert trace["task"]["http_status"] == 200

        statuses = {"/broken": 500, "/refused": 500, "/caught": 200, "/missing": 404, "/sub/items/7": 200}
        targets = [f"http:{path}" for path in statuses if path != "/sub/items/7"]
        found = traced(
            env, app, *targets, "http:GET /sub/items/{number}", "-n", "5", "--concurrent", "5",
            send=lambda: [ask(port, path) for path in statuses],
        )  # fmt: skip
        assert {trace["task"]["path"]: trace["task"]["http_status"] for trace in found} == statuses, (
            json.dumps(found)
        )
        assert {trace["status"] for trace in found} == {"complete"}
        assert "inner" in functions(next(one for one in found if one["task"]["path"] == "/sub/items/7"))

        def stream() -> None:
            began = time.perf_counter()
            assert ask(port, "/stream") == 200
            assert time.perf_counter() - began >= STREAM_S

        def several() -> None:
            for path in ("/items/1", "/caught", "/missing"):
                ask(port, path)
            stream()
            ask(port, "/broken")

        (trace,) = traced(env, app, "http:*", "--slower-than", f"{STREAM_S * 900}ms", send=several)
        assert trace["task"]["path"] == "/stream"
        (trace,) = traced(env, app, "http:*", "--errors", send=several)
        assert trace["task"]["path"] == "/broken"
        (trace,) = traced(env, app, "http:*", "--keep", "http_status == 404", send=several)
        assert trace["task"]["path"] == "/missing"

        (trace,) = traced(env, app, "http:GET /stream", send=stream)
        assert trace["duration_ns"] >= STREAM_S * 0.99e9
        pieces = next(node for node in nodes(trace) if node["function"].endswith("pieces"))
        assert pieces["wall_ns"] >= STREAM_S * 0.99e9
        wait_for(lambda: dormant(app.pid, env=env), what="dormant")


@pytest.mark.parametrize("framework", ["starlette", "fastapi"])
def test_what_comes_after_the_response_does_not_count(framework: str, env: dict[str, str]) -> None:
    pytest.importorskip(framework)
    with served(framework, "uvicorn") as (app, port):
        (trace,) = traced(env, app, "http:GET /background", send=lambda: ask(port, "/background"))
    later = next(node for node in nodes(trace) if node["function"] == "background")
    assert trace["duration_ns"] <= later["start_ns"] < trace["roots"][0]["wall_ns"]


OTHERS = [
    ("quart", "hypercorn", "quart.app"),
    ("litestar", "uvicorn", "litestar.app"),
    ("falcon", "waitress", "falcon.app"),
    ("bottle", "waitress", "bottle"),
    ("pyramid", "waitress", "pyramid.router"),
    ("sanic", "sanic", "sanic.app"),
    ("starlette", "hypercorn", "starlette.applications"),
]
"""Of these `make frameworks` installs what the normal suite does not."""


@pytest.mark.parametrize(("framework", "server", "entry"), OTHERS, ids=["-".join(row[:2]) for row in OTHERS])
def test_other_frameworks_and_servers(framework: str, server: str, entry: str, env: dict[str, str]) -> None:
    for name in (framework, server):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is not installed: make frameworks")
    with served(framework, server) as (app, port):
        paths = ["/items/1", "/missing", "/items/wanted%201", "/caught", "/items/wanted%202"]
        found = traced(
            env, app, "http:GET /items/wanted *", "-n", "2", send=lambda: [ask(port, path) for path in paths]
        )
        assert [trace["task"]["path"] for trace in found] == ["/items/wanted 1", "/items/wanted 2"]
        for trace in found:
            assert trace["roots"][0]["module"] == entry
            assert {"view_item", "inner"} <= set(functions(trace))
            assert (trace["task"]["http_status"], trace["status"]) == (200, "complete")
