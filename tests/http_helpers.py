"""Applications on web frameworks, requests to them, and the command line that traces them."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from acceptance_helpers import objects
from ctl import COMMAND
from processes import TARGETS, Process, process, wait_for
from targets import web

STREAM_S = web.PIECES * web.PIECE_S


@contextlib.contextmanager
def served(
    framework: str, server: str, folder: Path | None = None, *, workers: int = 1
) -> Iterator[tuple[Process, int]]:
    """Run an application, with what is installed in `folder` before all else; yield its process and its port."""
    env = dict(os.environ) if folder is None else {**os.environ, "PYTHONPATH": str(folder)}
    command = [sys.executable, str(TARGETS / "web.py"), framework, server, str(workers)]
    with process(command, env=env) as running:
        try:
            port = int(running.line(30))
            wait_for(lambda: ask(port, "/caught") == 200, 30, what="a server that answers")
            yield running, port
        except AssertionError:
            sys.stderr.write(running.stderr[-5000:])
            raise
        finally:
            with contextlib.suppress(ProcessLookupError):  # it has not come so far as to have a group
                os.killpg(running.pid, signal.SIGKILL)


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


def traced(
    env: dict[str, str], app: Process, *words: str, send: Any, agents: int = 1
) -> list[dict[str, Any]]:
    """Arm so many processes of an application, call `send` once that is done, and return the traces."""
    return [one for one in armed(env, app, *words, send=send, agents=agents) if one["type"] == "trace"]


def armed(env: dict[str, str], app: Process, *words: str, send: Any, agents: int = 1) -> list[dict[str, Any]]:
    """As `traced`, but return all that `arm` printed."""
    which = ["--service", f"web-{app.pid}"]  # all of its workers
    command = [*COMMAND, "arm", *words, *which, "--json", "--ttl", "20s", "--budget", "25%"]
    with process(command, env=env) as arm:
        wait_for(
            lambda: sum('"armed"' in line for line in arm.lines) >= agents or arm.child.poll() is not None,
            what="armed",
        )
        send()
        assert arm.wait(30) == 0, arm.stderr
        came = [json.loads(line) for line in arm.lines]
    end = came[-1]
    assert (end["type"], end["clean"]) == ("end", True)
    return came


def nodes(trace: dict[str, Any]) -> list[dict[str, Any]]:
    found = list(trace["roots"])
    for node in found:
        found += node["children"]
    return found


def functions(trace: dict[str, Any]) -> list[str]:
    return [node["function"].rpartition(".")[2] for node in nodes(trace)]


CUSTOMERS = 50


def mixed(port: int) -> None:
    """Send 500 requests of all kinds over 50 connections that are kept, two wanted ones among them.

    These two wait for each other in their view: they are answered only when both are in flight.
    """

    def customer(number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        kinds = [
            (f"/items/{number}?user=4242", "GET", 200), ("/missing?user=42", "GET", 404),
            ("/items/x?user=42", "HEAD", None), ("/caught?user=42", "GET", 200), ("/sub/items/x?user=42", "GET", 200),
            ("/moved/x?user=42", "GET", 302), ("/items/x?user=42", "POST", None),
            ("/caught?user=42" if number % 5 else "/stream?user=42", "GET", 200), ("/items/%78%20y?user=%34%33", "GET", 200),
            ("/items/x", "GET", 200),
        ]  # fmt: skip
        for turn in range(len(kinds)):
            path, method, status = kinds[(number + turn) % len(kinds)]
            if number < 2 and path == "/items/x":
                path = f"/items/pair%20{number}?password=x&us%65r=%342"
            came = asked(connection, path, method)
            assert status in (came, None), (path, came)
        connection.close()

    with ThreadPoolExecutor(CUSTOMERS) as pool:
        list(pool.map(customer, range(CUSTOMERS)))


def check_requests(
    framework: str, server: str, entry: str, env: dict[str, str], folder: Path | None = None
) -> None:
    """Trace requests to a framework's application, the tree of each beginning in the module `entry`."""
    with served(framework, server, folder) as (app, port):
        where = """query["user"] == "42\""""
        found = traced(env, app, "http:GET /items/*", "--where", where, "-n", "2", send=lambda: mixed(port))
        assert sorted(trace["task"]["path"] for trace in found) == ["/items/pair 0", "/items/pair 1"]
        for trace in found:
            assert trace["roots"][0]["module"] == entry
            assert {"view_item", "inner"} <= set(functions(trace))
            assert functions(trace).count("inner") == 1
            assert trace["task"]["http_status"] == 200

        statuses = {
            "/broken": 500, "/refused": 500, "/caught": 200, "/missing": 404, "/moved/1": 302, "/sub/items/7": 200,
        }  # fmt: skip
        targets = [f"http:{path}" for path in statuses if path != "/sub/items/7"]
        known = """client == "127.0.0.1" and header["x-shop"] == "none\""""
        found = traced(
            env, app, *targets, "http:GET /sub/items/{number}", "-n", "6", "--concurrent", "6", "--where", known,
            send=lambda: [ask(port, path) for path in statuses],
        )  # fmt: skip
        for trace in found:
            came = trace["task"]["http_status"]
            if came is None:  # the entry lets the error pass, and the server makes a response of it
                assert "raised" in trace["roots"][0]
                came = 500
            assert came == statuses[trace["task"]["path"]], trace["task"]
        assert {trace["task"]["path"] for trace in found} == statuses.keys()
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
        found = traced(env, app, "http:*", "--keep", "error or http_status == 404", "-n", "2", send=several)
        assert [trace["task"]["path"] for trace in found] == ["/missing", "/broken"]

        (trace,) = traced(env, app, "http:GET /stream", send=stream)
        assert trace["duration_ns"] >= STREAM_S * 0.99e9
        pieces = next(node for node in nodes(trace) if node["function"].endswith("pieces"))
        assert pieces["wall_ns"] >= STREAM_S * 0.99e9
        wait_for(lambda: dormant(app, env), what="dormant")


def dormant(app: Process, env: dict[str, str], agents: int = 1) -> bool:
    """Return whether nothing is armed in any of so many processes of an application."""
    which = ("--service", f"web-{app.pid}")
    states = [agent["state"] for agent in objects("agents", *which, env=env)]
    return (
        states == ["dormant"] * len(states)
        and len(states) >= agents
        and not objects("status", *which, env=env)
    )
