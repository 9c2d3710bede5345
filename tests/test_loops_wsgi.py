"""WSGI servers, a thread per request: Flask under waitress and under the standard library's threading server."""

from __future__ import annotations

import contextlib
import http.client
import json
import socketserver
import sys
import threading
import time
import wsgiref.simple_server
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import flask
import pytest
import waitress.server

from loops_helpers import application, check, every, one
from tracing_helpers import bench

PAUSE_S = 0.04

shop = flask.Flask(__name__)
lock = threading.Lock()


def step(number: int, letter: str) -> str:
    return f"{letter}{number}"


def pause(number: int) -> str:
    time.sleep(PAUSE_S)
    return step(number, "p")


def work(number: int) -> list[str]:
    found = [pause(number)]
    with lock:
        found.append(pause(number))
    try:
        fails(number)
    except LookupError:
        found.append(flask.request.path)
    return found


def fails(number: int) -> None:
    pause(number)
    raise KeyError(number)


@shop.get("/traced/<int:number>")
def served(number: int) -> Any:
    if number % 3 == 2:
        flask.abort(503, step(number, "busy"))
    return work(number)


@shop.get("/untraced/<int:number>")
def unserved(number: int) -> Any:
    return work(number)


class Quiet(wsgiref.simple_server.WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass


class Threading(socketserver.ThreadingMixIn, wsgiref.simple_server.WSGIServer):
    daemon_threads = True


@contextlib.contextmanager
def standard() -> Iterator[int]:
    server = wsgiref.simple_server.make_server("127.0.0.1", 0, shop, Threading, Quiet)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextlib.contextmanager
def waiting() -> Iterator[int]:
    server: Any = waitress.server.create_server(shop, host="127.0.0.1", port=0, threads=8, clear_untrusted_proxy_headers=True)  # fmt: skip
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield server.effective_port
    finally:
        server.trigger.pull_trigger(server.close)
        thread.join(10)
        server.task_dispatcher.shutdown()


def asked(port: int, path: str) -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        content = answer.read()
        return json.loads(content) if answer.status == 200 else answer.status
    finally:
        connection.close()


@pytest.mark.parametrize("serving", [standard, waiting])
def test_requests_in_threads_keep_apart(serving: Any) -> None:
    paths = [f"/{kind}/{number}" for number in range(3) for kind in ("untraced", "traced")]
    with serving() as port, ThreadPoolExecutor(6) as pool, bench() as made:
        made.arm(f"{__name__}:served", count=3, limits={"concurrent": 3})
        answers = list(pool.map(lambda path: asked(port, path), paths))
        traces = made.traces()
    assert answers[1::2] == [["p0", "p0", "/traced/0"], ["p1", "p1", "/traced/1"], 503]
    assert sorted(check(trace) for trace in traces) == [0, 1, 2]
    slept = ["pause", ["step"]]
    for trace in traces:
        root = trace.roots[0]
        if root.args["number"] == 2:
            assert application(trace) == [["served", ["step"]]]
            assert root.raised is not None
            assert root.raised["type"] == "werkzeug.exceptions.ServiceUnavailable"
            continue
        assert application(trace) == [["served", ["work", slept, slept, ["fails", slept]]]]
        assert one(trace, "fails").raised["type"] == "KeyError"  # type: ignore[index]
        # A thread that blocks does not suspend: it is on its way all the time, and nothing waits by an event.
        assert {node.waiting_ns for node in trace.nodes()} == {0}
        for node in every(trace, "pause"):
            assert node.running_ns >= 0.9 * PAUSE_S * 1e9


def test_a_pooled_thread_is_free_of_hooks_and_of_the_trace_afterwards() -> None:
    found: list[Any] = []

    def traced(number: int) -> None:
        with shop.test_request_context(f"/traced/{number}"):
            served(number)

    def bystander() -> None:
        from tracepatch.recording import current

        found.append((sys.gettrace(), sys.getprofile(), current.get()))
        work_of_others(7)

    def work_of_others(number: int) -> str:
        return step(number, "o")

    with ThreadPoolExecutor(1) as pool, bench() as made:
        made.arm(f"{__name__}:served")
        pool.submit(traced, 0).result()
        pool.submit(bystander).result()
        traces = made.traces()
    assert found == [(None, None, None)]
    assert [check(trace) for trace in traces] == [0]
