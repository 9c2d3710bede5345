"""`http:` targets behind further servers, in one process and in several."""

from __future__ import annotations

import importlib.util
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from ctl import environment
from http_helpers import ask, check_requests, dormant, functions, served, traced
from processes import wait_for


@pytest.fixture
def env(runtime_dir: Any, tmp_path: Any) -> dict[str, str]:
    return environment(XDG_STATE_HOME=str(tmp_path / "state"))


def needs(*packages: str) -> None:
    for package in packages:
        if importlib.util.find_spec(package.partition("-")[0]) is None:
            pytest.skip(f"{package} is not installed: make frameworks")


@pytest.mark.parametrize(
    ("framework", "server", "entry"),
    [
        ("starlette", "hypercorn", "starlette.applications"),
        ("starlette", "granian", "starlette.applications"),
        ("flask", "granian", "flask.app"),
        ("flask", "gunicorn-gthread", "flask.app"),
        ("fastapi", "gunicorn-uvicorn", "fastapi.applications"),
        ("fastapi", "gunicorn-asgi", "fastapi.applications"),
    ],
)
def test_requests(framework: str, server: str, entry: str, env: dict[str, str]) -> None:
    needs(framework, server)
    check_requests(framework, server, entry, env)


@pytest.mark.parametrize(
    ("framework", "server"),
    [
        ("flask", "gunicorn-sync"),
        ("flask", "gunicorn-gthread"),
        ("fastapi", "gunicorn-uvicorn"),
        ("starlette", "granian"),
    ],
)
def test_the_count_is_that_of_all_workers(framework: str, server: str, env: dict[str, str]) -> None:
    """Two workers together keep exactly two, whichever of them serve."""
    needs(framework, server)

    def customer(number: int) -> list[int | None]:
        return [ask(port, f"/items/{number}-{turn}?user=42") for turn in range(5)]

    def send() -> None:
        with ThreadPoolExecutor(8) as pool:
            assert {status for came in pool.map(customer, range(8)) for status in came} == {200}

    with served(framework, server, workers=2) as (app, port):
        wait_for(lambda: dormant(app, env, agents=3), 20, what="three agents")
        where = """query["user"] == "42\""""
        found = traced(env, app, "http:GET /items/*", "--where", where, "-n", "2", send=send, agents=3)
        assert len(found) == 2
        for trace in found:
            assert {"view_item", "inner"} <= set(functions(trace))
            assert (trace["task"]["http_status"], trace["status"]) == (200, "complete")
        wait_for(lambda: dormant(app, env, agents=3), what="dormant")
