"""`targets` finds what can be armed: functions, routes of each framework, running tasks and threads."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator

import pytest

from ctl import ctl
from processes import TARGETS, python_process, short_directory

ROUTES = {
    "starlette": [
        "http:PUT /admin/users/{id:int}", "http:POST /star/{id}", "http:WEBSOCKET /socket", "http:/files/*",
    ],
    "fastapi": ["http:GET /api/v1/things/{thing}", "http:GET /api/v1/deep/inn"],
    "flask": ["http:DELETE|OPTIONS /flask/<int:n>", "http:GET|HEAD|OPTIONS /printed/page"],
    "aiohttp": ["http:GET /aio/{name}", "http:POST /sub/below"],
    "tornado": ["http:GET /tornado/*"],
    "django": ["http:/django/<int:n>/", "http:/more/inside"],
}  # fmt: skip


@pytest.fixture(scope="module")
def found() -> Iterator[dict]:
    """A program that has all of it; answers of `targets` by pattern."""
    with short_directory() as directory:
        env = {"TRACEPATCH_RUNTIME_DIR": str(directory / "r")}
        (directory / "r").mkdir(mode=0o700)
        with python_process(TARGETS / "tabled.py", env=env) as program:
            program.expect("ready")
            yield Answers(env)
            program.tell("end")
            assert program.wait() == 0
            assert [line for line in program.lines if "asked for" in line] == [], (
                "code of the application ran"
            )


class Answers(dict):
    def __init__(self, env: dict[str, str]) -> None:
        super().__init__()
        from ctl import environment

        self.env = environment(**env)

    def __missing__(self, pattern: str) -> list[dict]:
        done = ctl("targets", pattern, "--json", "--limit", "1000", env=self.env)
        self[pattern] = [json.loads(line) for line in done.stdout.splitlines()]
        return self[pattern]

    def text(self, *words: str) -> tuple[str, str]:
        done = ctl("targets", *words, env=self.env)
        return done.stdout, done.stderr


def names(answer: list[dict]) -> list[str]:
    return [one["target"] for one in answer if one["type"] == "target"]


@pytest.mark.parametrize("framework", ROUTES)
def test_routes_are_read_from_the_framework_s_tables(framework: str, found: dict) -> None:
    if importlib.util.find_spec(framework) is None:
        pytest.skip(f"{framework} is not installed")
    routes = names(found["http:*"])
    for route in ROUTES[framework]:
        assert route in routes
    assert len(routes) == len(set(routes))


@pytest.mark.parametrize(
    ("framework", "name"), [("celery", "shop.send"), ("huey", "__main__.view"), ("dramatiq", "act")]
)
def test_jobs_are_read_from_registries(framework: str, name: str, found: dict) -> None:
    if importlib.util.find_spec(framework) is None:
        pytest.skip(f"{framework} is not installed")
    assert f"job:{name}" in names(found["job:*"])
    assert not [job for job in names(found["job:*"]) if job.startswith("job:celery.")]
    (line,) = [one for one in found["job:*"] if one["target"] == f"job:{name}"]
    assert (line["kind"], line["agents"]) == ("job", 1)


def test_a_mounted_application_s_routes_are_listed_under_their_whole_path_alone(found: dict) -> None:
    pytest.importorskip("starlette")
    assert not [route for route in names(found["http:*"]) if route.endswith(" /users/{id:int}")]


def test_a_route_is_found_by_a_part_by_its_method_and_by_a_request_s_path(found: dict) -> None:
    pytest.importorskip("fastapi")
    things = "http:GET /api/v1/things/{thing}"
    for pattern in (
        "things",
        "v1/THINGS",
        "http:GET *thing*",
        "http:/api/v1/things/42",
        "http:GET|POST /api/v1/things/{thing}",
    ):
        assert things in names(found[pattern]), pattern
    assert things not in names(found["http:POST *"])
    (line,) = [one for one in found["http:*"] if one["target"] == things]
    assert (line["kind"], line["what"], line["agents"]) == ("route", "__main__.view", 1)


def test_a_word_finds_functions_tasks_and_threads_of_the_application(found: dict) -> None:
    listed = names(found["items"])
    assert {"__main__:items", "task:items-0", "task:items-1", "thread:pool-items"} <= set(listed)
    assert "__main__:item" not in listed
    assert not [name for name in listed if name.startswith("asyncio")], (
        "libraries are left out where something is found"
    )
    assert "asyncio.base_events:BaseEventLoop.run_until_complete" in names(found["run_until_complete"])
    (line,) = [one for one in found["__main__:items"] if one["type"] == "target"]
    assert (line["function"], line["kind"]) == ("items", "coroutine")


def test_tasks_without_a_name_are_found_by_their_coroutine(found: dict) -> None:
    (line,) = [one for one in found["task:*"] if one["target"] == "task:waits"]
    assert (line["kind"], line["count"]) == ("task", 3)
    assert names(found["task:items-*"]) == ["task:items-0", "task:items-1"]
    assert "thread:pool-items" in names(found["thread:*"])


def test_near_names_where_nothing_is_found(found: dict) -> None:
    (near,) = found["itmes"]
    assert near["type"] == "near"
    assert "__main__:items" in near["near"]
    assert found["no_such_thing_anywhere"] == [
        {"type": "near", "pattern": "no_such_thing_anywhere", "near": []}
    ]


def test_what_is_listed_can_be_pasted(found: dict) -> None:
    out, err = found.text("items")  # type: ignore[attr-defined]
    assert out.splitlines()[0].split() == ["TARGET", "PLACE", "KIND", "PROCESSES"]
    assert "__main__:items" in out
    pytest.importorskip("flask")
    out, err = found.text("http:*flask*")  # type: ignore[attr-defined]
    assert "http:'DELETE|OPTIONS /flask/<int:n>'" in out
    assert err == ""


def test_a_pattern_that_means_nothing_is_said(found: dict) -> None:
    _, err = found.text("http:nothing")  # type: ignore[attr-defined]
    assert "a path begins with / or *" in err
    _, err = found.text("a b:c")  # type: ignore[attr-defined]
    assert "is not a function" in err
