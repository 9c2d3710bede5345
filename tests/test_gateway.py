"""`tracepatch.asgi` and `tracepatch.wsgi`: applications of which no framework is known."""

from __future__ import annotations

import asyncio
import copy
import importlib.util
import inspect
import pickle
from collections.abc import Callable
from contextlib import suppress
from statistics import median
from time import perf_counter_ns
from typing import Any

import pytest

import tracepatch
from ctl import environment
from http_helpers import STREAM_S, ask, check_requests, functions, served, traced
from targets.web import PIECES

SERVERS = [
    ("asgi", "uvicorn"),
    ("asgi", "granian"),
    ("asgi", "hypercorn"),
    ("wsgi", "waitress"),
    ("wsgi", "gunicorn"),
]
WRAPPED = [("wrapped-fastapi", "uvicorn"), ("wrapped-flask", "waitress")]


@pytest.mark.parametrize(
    ("name", "server"), [*SERVERS, *WRAPPED], ids=["-".join(row) for row in [*SERVERS, *WRAPPED]]
)
def test_requests(name: str, server: str, runtime_dir: Any, tmp_path: Any) -> None:
    """Whatever is inside, known or not, a request is one, and its tree begins at the wrapper."""
    if importlib.util.find_spec(server) is None:
        pytest.skip(f"{server} is not installed: make frameworks")
    check_requests(name, server, "tracepatch.gateway", environment(XDG_STATE_HOME=str(tmp_path / "state")))


def test_a_body_passes_with_its_close(runtime_dir: Any, tmp_path: Any) -> None:
    env = environment(XDG_STATE_HOME=str(tmp_path / "state"))
    with served("wsgi", "waitress") as (app, port):
        (trace,) = traced(env, app, "http:GET /stream", send=lambda: ask(port, "/stream"))
        assert {"pieces", "close", "counts"} <= set(functions(trace))
        assert functions(trace).count("__next__") == PIECES + 1
        assert (trace["status"], trace["task"]["http_status"]) == ("complete", 200)
        assert trace["duration_ns"] >= 0.99e9 * STREAM_S


class Application:
    """Documented."""

    name = "shop"

    def __call__(self, *args: Any) -> Any:
        return args


@pytest.mark.parametrize("wrap", [tracepatch.asgi, tracepatch.wsgi])
def test_it_looks_like_what_it_wraps(wrap: Callable[[Any], Any]) -> None:
    app = Application()
    wrapped = wrap(app)
    assert wrapped.name == "shop"
    wrapped.name = "bank"
    wrapped.added = 5
    assert (app.name, app.added) == ("bank", 5)  # type: ignore[attr-defined]
    del wrapped.added
    assert not hasattr(app, "added")
    with pytest.raises(AttributeError, match="'Application' object has no attribute 'nothing'"):
        _ = wrapped.nothing
    assert wrapped.__wrapped__ is app
    assert inspect.unwrap(wrapped) is app
    assert copy.copy(wrapped).__wrapped__ is app
    assert pickle.loads(pickle.dumps(wrapped)).name == "bank"
    assert repr(wrapped) == f"tracepatch.{wrap.__name__}({app!r})"
    with pytest.raises(TypeError, match="this is of type str"):
        wrap("app")


def test_what_wsgi_returns_and_raises_passes() -> None:
    given: list[Any] = []
    body = iter([b"x"])

    def application(environ: Any, start_response: Any) -> Any:
        given.extend([environ, start_response])
        if environ["broken"]:
            raise ValueError("broken")
        return body

    wrapped = tracepatch.wsgi(application)
    environ: dict[str, Any] = {"broken": False}
    assert wrapped(environ, print) is body
    assert given[0] is environ
    assert given[1] is print
    with pytest.raises(ValueError, match="broken"):
        wrapped({"broken": True}, print)


def test_what_asgi_is_given_passes() -> None:
    given: list[Any] = []

    async def application(scope: Any, receive: Any, send: Any) -> Any:
        given.extend([scope, receive, send])
        if scope["type"] == "broken":
            raise ValueError("broken")
        return 5

    wrapped = tracepatch.asgi(application)
    assert inspect.iscoroutinefunction(type(wrapped).__call__)
    scope = {"type": "lifespan"}
    assert asyncio.run(wrapped(scope, print, repr)) == 5
    assert given[0] is scope
    assert given[1:] == [print, repr]
    with pytest.raises(ValueError, match="broken"):
        asyncio.run(wrapped({"type": "broken"}, print, repr))


def test_what_a_dormant_wrapper_costs(record_property: Callable[[str, object], None]) -> None:
    """It is printed, not judged: the medians of interleaved rounds."""

    def application(environ: Any, start_response: Any) -> Any:
        return environ

    async def asgi_application(scope: Any, receive: Any, send: Any) -> Any:
        return scope

    def wsgi_round(app: Any) -> float:
        began = perf_counter_ns()
        for _ in range(2_000):
            app(None, None)
        return (perf_counter_ns() - began) / 2_000

    def asgi_round(app: Any) -> float:
        began = perf_counter_ns()
        for _ in range(2_000):
            with suppress(StopIteration):
                app(None, None, None).send(None)
        return (perf_counter_ns() - began) / 2_000

    pairs = {
        "wsgi": (wsgi_round, application, tracepatch.wsgi(application)),
        "asgi": (asgi_round, asgi_application, tracepatch.asgi(asgi_application)),
    }
    said = []
    for kind, (measure, bare, wrapped) in pairs.items():
        added = [measure(wrapped) - measure(bare) for _ in range(51)]
        said.append(f"{kind} {median(added):.0f} ns")
    record_property("summary", f"a dormant wrapper adds to a request: {', '.join(said)}")
