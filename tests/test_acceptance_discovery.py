"""Agents are found from wherever the operator happens to be."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shlex
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from acceptance_helpers import WORKER, needs_namespaces
from ctl import ctl, environment
from processes import ROOT, Process, process, short_directory, wait_for

WITHIN_S = 2.0
PYTHON = (sys.executable, "-u", str(WORKER))


@pytest.fixture
def service() -> str:
    """A name of this test's own: other agents of the machine are found, too."""
    return f"found-{secrets.token_hex(4)}"


@pytest.fixture
def login(tmp_path) -> dict[str, str]:
    """The environment of somebody who logged in."""
    return environment(
        TRACEPATCH_RUNTIME_DIR=None, XDG_RUNTIME_DIR=str(tmp_path), XDG_STATE_HOME=str(tmp_path / "state")
    )


@contextlib.contextmanager
def program(*command: str, env: dict[str, str] | None = None) -> Iterator[Process]:
    with process(command, env=env) as running:
        running.expect("up")
        yield running


def pids(service: str, env: dict[str, str]) -> list[int]:
    """Return the pids that `agents` lists for a service, and check that it took no longer than it may.

    It is asked again where it did: the machine may be busy with other things.
    """
    for left in (2, 1, 0):
        began = time.monotonic()
        done = ctl("agents", "--json", "--service", service, env=env)
        took = time.monotonic() - began
        if took < WITHIN_S:
            break
        assert left, f"{took:.1f} s"
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert all(one["state"] == "dormant" for one in found if one["type"] == "agent")
    return sorted(one["pid"] for one in found if one["type"] == "agent")


def assert_armed(service: str, env: dict[str, str], traces: int = 1) -> None:
    done = ctl("arm", "__main__:work", "--per-agent", "--service", service, env=env)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("__main__.work(count=3) → 6") == traces
    assert done.stderr.splitlines()[-1].endswith("clean")


def test_a_process_without_an_environment(service, login) -> None:
    with program("env", "-i", *PYTHON, service) as app:
        assert pids(service, login) == [app.pid]
        assert_armed(service, login)


@needs_namespaces
def test_a_process_in_another_mount_namespace(service, login) -> None:
    with short_directory() as scratch:
        steps = [f"mount -t tmpfs tmpfs {scratch}"]
        if ROOT.is_relative_to("/tmp"):  # the checkout, and a Python in it, stay where they are
            seen = scratch / ROOT.relative_to("/tmp")
            steps += [f"mkdir -p {seen}", f"mount --bind {ROOT} {seen}"]
        steps += [f"mount --rbind {scratch} /tmp", f"exec {shlex.join(PYTHON)} {service}"]
        with program("unshare", "--mount", "sh", "-ec", "; ".join(steps), env=login) as app:
            there = Path(f"/proc/{app.pid}/root/tmp/tracepatch-0")
            (card,) = [json.loads(file.read_text()) for file in there.glob("*.json")]
            assert not Path(f"/tmp/tracepatch-0/{card['agent_id']}.json").exists(), "it is not hidden"
            assert pids(service, login) == [app.pid]
            assert_armed(service, login)


@needs_namespaces
def test_two_processes_of_equal_pid_in_one_directory(service, runtime_dir, tmp_path) -> None:
    env = environment(XDG_STATE_HOME=str(tmp_path))
    contained = ("unshare", "--pid", "--fork", "--kill-child", *PYTHON, service)
    with program(*contained) as one, program(*contained) as other:
        assert pids(service, env) == [1, 1]
        assert_armed(service, env, traces=2)
        one.kill()
        wait_for(lambda: pids(service, env) == [1])
        assert other.child.poll() is None


def test_a_killed_master_with_living_children(service, runtime_dir) -> None:
    env = environment()
    children: list[int] = []
    try:
        with program(*PYTHON, service) as master:
            master.tell("fork 3")
            children = sorted(int(master.expect("child").split()[1]) for _ in range(3))
            wait_for(lambda: pids(service, env) == sorted([master.pid, *children]))
            # kill() also waits for the end of the pipes, which the children hold
            os.kill(master.pid, signal.SIGKILL)
            master.child.wait(5)
            assert pids(service, env) == children
            assert len(list(runtime_dir.glob("*.sock"))) == len(list(runtime_dir.glob("*.json"))) == 3
            kill(children)
        wait_for(lambda: pids(service, env) == [])
        assert list(runtime_dir.glob("*.*")) == []
    finally:
        kill(children)


def kill(pids: list[int]) -> None:
    """Kill these processes; their numbers are taken off the list, so that it is never done twice."""
    while pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pids.pop(), signal.SIGKILL)
