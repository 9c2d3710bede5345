"""`job:`, `task:` and `thread:` targets in a real process, from the command line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from acceptance_helpers import dormant
from ctl import ctl, environment
from processes import TARGETS, Process, python_process, wait_for


@pytest.fixture
def env(runtime_dir: Any, tmp_path: Path) -> dict[str, str]:
    return environment(XDG_STATE_HOME=str(tmp_path / "state"))


@pytest.fixture
def app(runtime_dir: Any) -> Iterator[Process]:
    with python_process(TARGETS / "named.py") as running:
        running.expect("up")
        yield running


def test_work_by_its_name(app: Process, env: dict[str, str]) -> None:
    def armed(*words: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        done = ctl("arm", *words, "--pid", str(app.pid), "--ttl", "20s", "--json", env=env)
        assert done.returncode == 0, done.stderr
        came = [json.loads(line) for line in done.stdout.splitlines()]
        assert came[-1]["clean"] is True
        return came[0], [one for one in came if one["type"] == "trace"]

    said, (trace,) = armed("task:worker-*")
    assert said["notes"][0].startswith(
        "2 tasks with this name run already: a task is recorded from its start"
    )
    assert (trace["task"]["kind"], trace["roots"][0]["function"]) == ("task", "worker")
    assert trace["task"]["coroutine"] == "worker"

    said, found = armed("job:import-*", "--where", "user == 4", "-n", "2")
    assert said["notes"] == ["blocks of tracepatch.job() with such a name are waited for, too"]
    for trace in found:
        assert (trace["task"]["name"], trace["roots"][0]["function"]) == ("import-users", "step")
        assert trace["roots"][0]["args"]["number"] % 10 == 4

    said, (trace,) = armed("thread:importer-*")
    assert said["notes"] == []
    assert trace["task"]["function"].endswith(".step")
    assert trace["roots"][0]["children"][0]["function"] == "step"

    _, (trace,) = armed("thread:pool*")
    assert trace["roots"][0]["function"] == "_WorkItem.run"
    wait_for(lambda: dormant(app.pid, env=env), what="dormant")


def test_a_name_that_a_condition_cannot_ask_for(app: Process, env: dict[str, str]) -> None:
    done = ctl("arm", "thread:importer-*", "--where", "nam == 'x'", "--pid", str(app.pid), env=env)
    assert done.returncode == 4
    assert "nam is none of what is known of a thread's run when it begins: did you mean name?" in done.stderr
