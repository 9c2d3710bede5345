"""Dormant means blocked: no thread of ours runs, not once, while nothing is asked."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from agent_helpers import host, peer
from processes import wait_for

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="counts context switches in /proc"
)

WATCHED_S = 10.0


def switches(pid: int) -> dict[str, int]:
    """Return the context switches of each thread but the main one, voluntary and not."""
    found = {}
    for status in Path(f"/proc/{pid}/task").glob("*/status"):
        if status.parent.name != str(pid):
            lines = [line.split() for line in status.read_text().splitlines()]
            found[status.parent.name] = sum(
                int(line[1]) for line in lines if line[0].endswith("ctxt_switches:")
            )
    return found


def settled(pid: int) -> bool:
    before = switches(pid)
    time.sleep(0.3)
    return switches(pid) == before


def test_no_context_switch_in_ten_seconds(runtime_dir) -> None:
    with host(runtime_dir) as (fresh, _), host(runtime_dir) as (used, endpoint), peer(endpoint) as connected:
        connected.arm(count=1)
        used.tell("trace 1000")
        connected.event("ended")
        assert connected.ask("hello")["agent"]["state"] == "dormant"
        assert connected.ask("hello")["finished"] == 1  # a trace that waits to be collected needs no timer
        for program in (fresh, used):
            wait_for(lambda program=program: settled(program.pid), what="settled")
        before = {program.pid: switches(program.pid) for program in (fresh, used)}
        assert [len(threads) for threads in before.values()] == [3, 3]
        time.sleep(WATCHED_S)
        assert {program.pid: switches(program.pid) for program in (fresh, used)} == before
        assert connected.ask("hello")["agent"]["state"] == "dormant"


def test_an_armed_process_wakes_about_once_a_second(runtime_dir) -> None:
    with host(runtime_dir) as (program, endpoint), peer(endpoint) as connected:
        connected.arm(lease_s=None)
        wait_for(lambda: settled(program.pid), what="settled")
        before = sum(switches(program.pid).values())
        time.sleep(3)
        assert 1 <= sum(switches(program.pid).values()) - before <= 12
