"""Real agents and the real command line, as an operator uses them.

The command line also finds the other agents of this machine, which other tests may have started: every command here
names its own process.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from ctl import COMMAND, ctl
from processes import TARGETS, Process, process, python_process, wait_for

WORKER = TARGETS / "acceptance_worker.py"


@contextlib.contextmanager
def worker(service: str = "worker") -> Iterator[Process]:
    """Run a process that calls `work` all the time and `hang` when told."""
    with python_process(WORKER, service) as running:
        running.expect("up")
        yield running


@contextlib.contextmanager
def arming(app: Process, *words: str, env: dict[str, str]) -> Iterator[Process]:
    """Run `arm` on a process and wait until it is armed; the two outputs are `lines` and `errors`."""
    command = [*COMMAND, "arm", *words, "--pid", str(app.pid)]
    with process(command, env=env) as running:
        wait_for(
            lambda: (
                any("armed" in line for line in (*running.errors, *running.lines))
                or running.child.poll() is not None
            ),
            what="armed",
        )
        assert running.child.poll() is None, running.stderr
        yield running


def objects(*words: str, env: dict[str, str]) -> list[dict[str, Any]]:
    """Run a command with `--json` and return what it printed."""
    done = ctl(*words, "--json", env=env)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def agent(pid: int, *, env: dict[str, str]) -> dict[str, Any]:
    """Return what `agents` says of a process."""
    done = ctl("agents", "--json", "--pid", str(pid), env=env)
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one["type"] for one in found] == ["agent"], found
    return found[0]


def dormant(pid: int, *, env: dict[str, str]) -> bool:
    """Return whether the agent of a process says that nothing is armed there."""
    return agent(pid, env=env)["state"] == "dormant" and not objects("status", "--pid", str(pid), env=env)


def assert_untouched(running: Process) -> None:
    """The process itself says that nothing of tracing is in it."""
    running.tell("state")
    state = json.loads(running.expect("{"))
    assert not any(state.values()), state


needs_namespaces = pytest.mark.skipif(
    not (sys.platform.startswith("linux") and os.geteuid() == 0 and shutil.which("unshare")),
    reason="needs root on Linux, and unshare",
)
