"""The route that a framework has chosen: in the trace, and as a name in `--keep`."""

from __future__ import annotations

import http.client
import importlib.util
import json
import sys
from typing import Any

import pytest

from ctl import COMMAND, environment
from processes import TARGETS, process, wait_for
from tracepatch.response import Response, tell_of
from tracepatch.routes import TELLS
from tracepatch_shared.conditions import parse
from tracepatch_shared.errors import ConditionError

SERVERS = [
    ("starlette", "uvicorn", "/items/{number:int}", "/sub/in/items/{number}"),
    ("fastapi", "uvicorn", "/items/{number}", "/sub/in/items/{number}"),
    ("flask", "waitress", "/items/<int:number>", "/sub/in/items/<number>"),
    ("django-wsgi", "waitress", "/items/<int:number>", "/sub/in/items/<number>"),
    ("django-asgi", "uvicorn", "/items/<int:number>", "/sub/in/items/<number>"),
    ("aiohttp", "aiohttp", "/items/{number}", "/sub/in/items/{number}"),
    ("quart", "hypercorn", "/items/<int:number>", "/sub/in/items/<number>"),
    ("litestar", "uvicorn", "/items/{number}", "/sub/in/items/{number}"),
    ("pyramid", "waitress", r"/items/{number:\d+}", "/sub/in/items/{number}"),
]
"""Of the last three `make frameworks` installs what the normal suite does not."""


def ask(port: int, path: str) -> int | None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        response.read()
        return response.status
    except ConnectionError:
        return None
    finally:
        connection.close()


@pytest.mark.parametrize(("framework", "server", "first", "inner"), SERVERS, ids=[row[0] for row in SERVERS])
def test_the_route(
    framework: str, server: str, first: str, inner: str, runtime_dir: Any, tmp_path: Any
) -> None:
    for name in (framework.partition("-")[0], server):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is not installed: make frameworks")
    env = environment(XDG_STATE_HOME=str(tmp_path / "state"))
    with process([sys.executable, str(TARGETS / "routed.py"), framework, server]) as app:
        port = int(app.line(30))
        wait_for(lambda: ask(port, "/items/1") == 200, 30, what="a server")

        def traced(*words: str) -> list[Any]:
            command = [*COMMAND, "arm", "http:*", *words, "--pid", str(app.pid), "--json", "--ttl", "20s"]
            with process([*command, "--concurrent", "8"], env=env) as arm:
                wait_for(
                    lambda: any('"armed"' in line for line in arm.lines) or arm.child.poll() is not None,
                    what="armed",
                )
                for path in ("/items/1", "/missing", "/sub/in/items/2"):
                    ask(port, path)
                assert arm.wait(30) == 0, arm.stderr
                came = [json.loads(line) for line in arm.lines]
            return [one["task"]["route"] for one in came if one["type"] == "trace"]

        assert traced("-n", "3") == [first, None, inner]
        assert traced("--keep", f"route == {inner!r}") == [inner]


def test_it_is_known_at_the_end_only() -> None:
    with pytest.raises(ConditionError, match="route is known only at the end: use --keep"):
        parse("route == '/items/{id}'", kind="where")
    parse("glob(route, '/items/*')", kind="keep")


class Hostile:
    def __getattribute__(self, name: str) -> Any:
        raise AssertionError(name)

    def __eq__(self, other: object) -> bool:
        raise AssertionError

    __hash__ = None  # type: ignore[assignment]


@pytest.mark.parametrize("module", TELLS)
def test_what_is_of_another_type_is_no_route(module: tuple[str, str]) -> None:
    tell = tell_of(*module, ("self",))
    assert tell is not None
    for given in (Hostile(), None, 1, {}):
        response = Response()
        names = ("self", "scope", "request", "route", "path")
        tell(response, {**dict.fromkeys(names, given), "mount": False})
        assert response.route is None
    response = Response()
    tell(response, {})
    assert response.route is None
