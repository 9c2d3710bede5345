"""`http:` targets: real frameworks on real servers, real requests, the command line."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import pytest

from ctl import environment
from framework_versions import FRAMEWORKS, HERE, Framework
from http_helpers import armed, ask, check_requests, functions, nodes, served, traced


@pytest.fixture
def env(runtime_dir: Any, tmp_path: Any) -> dict[str, str]:
    return environment(XDG_STATE_HOME=str(tmp_path / "state"))


APPLICATIONS = [(framework, name) for framework in FRAMEWORKS for name in framework.applications]


@pytest.mark.parametrize(("framework", "name"), APPLICATIONS, ids=[name for _, name in APPLICATIONS])
def test_newest(
    framework: Framework, name: str, env: dict[str, str], record_property: Callable[[str, object], None]
) -> None:
    server, entry = framework.applications[name]
    for wanted in (framework.name, server):
        if importlib.util.find_spec(wanted) is None:
            assert not framework.first, f"{wanted} is not installed"
            pytest.skip(f"{wanted} is not installed: make frameworks")
    check_requests(name, server, entry, env)
    installed = version(framework.name)
    if installed != framework.newest[HERE]:
        record_property(
            "summary", f"{name} was tested with {installed}; the table has {framework.newest[HERE]}"
        )


@pytest.mark.parametrize("framework", ["starlette", "fastapi"])
def test_what_comes_after_the_response_does_not_count(framework: str, env: dict[str, str]) -> None:
    pytest.importorskip(framework)
    with served(framework, "uvicorn") as (app, port):
        (trace,) = traced(env, app, "http:GET /background", send=lambda: ask(port, "/background"))
    later = next(node for node in nodes(trace) if node["function"] == "background")
    assert trace["duration_ns"] <= later["start_ns"] < trace["roots"][0]["wall_ns"]


def test_a_request_that_goes_on_in_another_task_enters_once(env: dict[str, str]) -> None:
    def send() -> None:
        for number in (*range(5), 42):
            assert ask(port, f"/sub/items/x?user={number}") == 200

    with served("starlette-middleware", "uvicorn") as (app, port):
        where = """query["user"] == "42\""""
        came = armed(env, app, "http:GET /sub/*", "--where", where, "-n", "1", send=send)
        (trace,) = [one for one in came if one["type"] == "trace"]
        assert {"view_item", "inner"} <= set(functions(trace))
        assert trace["task"]["http_status"] == 200
        (counters,) = came[-1]["agents"]
        assert (counters["seen"], counters["where_false"]) == (6, 5)
