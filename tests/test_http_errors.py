"""`--errors` and `--slower-than` on requests: real frameworks, each way to fail and to seem to."""

from __future__ import annotations

import contextlib
import http.client
import importlib.util
import json
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from ctl import COMMAND, environment
from processes import TARGETS, Process, process, wait_for
from tracepatch.failures import failure_of
from tracepatch.response import Response

SERVERS = [
    ("fastapi", "uvicorn"),
    ("starlette", "uvicorn"),
    ("flask", "waitress"),
    ("django-wsgi", "waitress"),
    ("django-asgi", "uvicorn"),
    ("aiohttp", "aiohttp"),
    ("tornado", "tornado"),
    ("quart", "hypercorn"),
    ("litestar", "uvicorn"),
    ("falcon", "waitress"),
    ("pyramid", "waitress"),
    ("sanic", "sanic"),
    ("bottle", "waitress"),
]
"""Of the last six `make frameworks` installs what the normal suite does not."""

STATUSES = {
    "/broken": 500, "/refused": 500, "/rejected": 400, "/hidden": 200, "/moved": 302, "/forbidden": 403,
    "/missing": 404, "/caught": 200, "/background": 200, "/stream": 200,
}  # fmt: skip
FAIL = {"/broken", "/refused", "/hidden", "/breaks"}
UNSEEN = {"aiohttp": {"/hidden"}, "bottle": {"/hidden"}}
"""There the application's own code around the view caught it: no handler of the framework's ran."""


@pytest.fixture
def env(runtime_dir: Any, tmp_path: Any) -> dict[str, str]:
    return environment(XDG_STATE_HOME=str(tmp_path / "state"))


@contextlib.contextmanager
def served(framework: str, server: str) -> Iterator[tuple[Process, int]]:
    for name in (framework.partition("-")[0], server):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is not installed: make frameworks")
    with process([sys.executable, str(TARGETS / "failing.py"), framework, server]) as running:
        port = int(running.line(30))
        wait_for(lambda: ask(port, "/caught") == 200, 30, what="a server")
        yield running, port


def ask(port: int, path: str) -> int | None:
    """Return the status of a response, also of one whose body ends too early; None where there is no server yet."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        with contextlib.suppress(http.client.HTTPException, ConnectionError):
            response.read()
        return response.status
    except ConnectionError:
        return None
    finally:
        connection.close()


def kept(env: dict[str, str], app: Process, port: int, *words: str, count: int) -> dict[str, dict[str, Any]]:
    """Send one request of each kind; return the traces that came by their paths."""
    command = [
        *COMMAND,
        "arm",
        "http:*",
        *words,
        "--pid",
        str(app.pid),
        "--json",
        "--ttl",
        "30s",
        "-n",
        str(count),
    ]
    with process([*command, "--budget", "25%"], env=env) as arm:
        wait_for(
            lambda: any('"armed"' in line for line in arm.lines) or arm.child.poll() is not None, what="armed"
        )
        for path, status in STATUSES.items():
            assert ask(port, path) == status, path
        assert ask(port, "/breaks") == 200
        assert arm.wait(40) == 0, arm.stderr
        came = [json.loads(line) for line in arm.lines]
    assert (came[-1]["type"], came[-1]["clean"]) == ("end", True)
    assert came[-1]["keep_errors"] == 0
    return {one["task"]["path"]: one for one in came if one["type"] == "trace"}


@pytest.mark.parametrize(("framework", "server"), SERVERS, ids=[row[0] for row in SERVERS])
def test_what_is_kept(framework: str, server: str, env: dict[str, str]) -> None:
    with served(framework, server) as (app, port):
        expected = FAIL - UNSEEN.get(framework, set())
        found = kept(env, app, port, "--errors", count=len(expected))
        assert set(found) == expected
        assert set(kept(env, app, port, "--slower-than", "500ms", count=1)) == {"/stream"}


@pytest.mark.parametrize("framework", ["fastapi", "starlette"])
def test_a_background_task_is_after_the_response(framework: str, env: dict[str, str]) -> None:
    with served(framework, "uvicorn") as (app, port):
        found = kept(env, app, port, "--keep", "total > 500ms and duration < 500ms", count=1)
        assert set(found) == {"/background"}


@pytest.mark.parametrize(
    ("status", "failed", "error"),
    [
        (200, False, False), (404, False, False), (500, False, True), (503, True, True), (None, False, False),
        (None, True, True), (200, True, True), (302, True, False), (404, True, False), (499, True, False),
    ],
)  # fmt: skip
def test_what_a_failed_request_is(status: int | None, failed: bool, error: bool) -> None:
    response = Response()
    response.begins(status)
    if failed:
        response.view_raised()
    assert response.failed is error


class Hostile(type):
    def __eq__(cls, other: object) -> bool:
        raise AssertionError("asked")

    __hash__ = None  # type: ignore[assignment]


class HostileError(Exception, metaclass=Hostile):
    __module__ = property(lambda _self: "x")  # type: ignore[assignment]
    __qualname__ = "HTTPException"


def test_nothing_of_an_exception_runs() -> None:
    tell = failure_of("flask.app", "handle_exception", ("self", "e"))
    assert tell is not None
    for given, failed in ((HostileError(), True), (None, False), (HostileError, False)):
        response = Response()
        tell(response, {"e": given})
        assert response.failed is failed
    assert failure_of("shop.app", "handle_exception", ("self", "e")) is None
    assert failure_of("flask.app", "handle_exception", ("self", "other")) is None
