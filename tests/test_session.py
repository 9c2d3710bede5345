"""Whole sessions with real agents in real processes."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

from processes import TARGETS, Process, python_process, wait_for
from test_client import follow, of, until
from tracepatch_ctl.client import Client
from tracepatch_ctl.events import AgentLost, Armed, TraceChunk, TraceFinished
from tracepatch_shared.limits import LEASE_S
from tracepatch_shared.trace import Trace

WORK = ["__main__:work"]


@contextlib.contextmanager
def workers(*services: str, hang: bool = False) -> Iterator[list[Process]]:
    with contextlib.ExitStack() as stack:
        started = [
            stack.enter_context(python_process(TARGETS / "steady.py", service, *(["hang"] if hang else [])))
            for service in services
        ]
        for one in started:
            one.expect("up")
        yield started


def dormant(reached: Client) -> bool:
    return all(agent.state == "dormant" for agent in reached.agents()) and not any(
        one.probes for one in reached.status()
    )


def test_n_traces_over_three_processes_then_everything_is_as_before(runtime_dir: Path):
    with workers("a", "b", "c"), Client() as reached:
        for _ in range(3):
            with reached.arm(WORK, count=4) as session:
                events, end = follow(session)
            shown = [trace for trace in of(events, TraceFinished) if not trace.surplus]
            assert len(shown) == end.kept == 4
            assert (end.reason, end.clean, end.exit_code) == ("count", True, 0)
            for trace in shown:
                tree = Trace.read(trace.data)
                assert tree.trace_id == trace.trace_id
                (root,) = tree.roots
                assert [child.function for child in root.children] == ["leaf"] * 3
            assert dormant(reached)


def test_detached_traces_are_collected_and_forgotten_once_acknowledged(runtime_dir: Path):
    with workers("a"), Client() as reached:
        with reached.arm(WORK, count=2, detach=True, ttl_s=30) as session:
            _, end = follow(session)
        assert end.exit_code == 0
        wait_for(lambda: not reached.status()[0].probes, 10)
        with reached.collect([end.probe_id]) as collected:
            traces = of(list(collected), TraceFinished)
            assert len(traces) == 2
            for trace in traces:
                collected.acknowledge(trace.trace_id)
        with reached.collect() as collected:
            assert list(collected) == []


def test_what_a_killed_process_sent_of_its_trace_is_shown(runtime_dir: Path):
    hanging = workers("a", hang=True)
    with hanging as (process,), Client() as reached, reached.arm(["__main__:hang"], live=True) as session:
        until(session, Armed)
        process.tell("")
        until(session, TraceChunk)
        process.kill()
        killed = time.monotonic()
        events, end = follow(session)
    assert time.monotonic() - killed < 5
    (trace,) = of(events, TraceFinished)
    assert (trace.status, trace.reason, trace.cut_off) == ("open", "process ended", True)
    assert Trace.read(trace.data).roots[0].function == "hang"
    assert (end.reason, end.exit_code) == ("process ended", 5)


def test_a_stopped_process_ends_the_session_and_is_dormant_when_it_goes_on(runtime_dir: Path):
    with workers("a") as (process,), Client() as reached:
        with reached.arm(["__main__:hang"]) as session:
            until(session, Armed)
            process.stop()
            stopped = time.monotonic()
            events, end = follow(session)
        assert time.monotonic() - stopped < LEASE_S + 5
        assert of(events, AgentLost)[0].reason == end.reason == "silent"
        process.resume()
        wait_for(lambda: dormant(reached), 5, what=str([one.probes for one in reached.status()]))


def test_a_killed_controller_leaves_nothing_armed_and_loses_no_trace(runtime_dir: Path):
    program = """
import sys
from tracepatch_ctl.client import Client
from tracepatch_ctl.events import TraceFinished
with Client() as reached, reached.arm(["__main__:work"], count=900) as session:
    for event in session:
        if isinstance(event, TraceFinished):
            print(event.trace_id, flush=True)
"""
    with workers("a"), python_process(program) as controller, Client() as reached:
        first = controller.line()
        controller.kill()
        killed = time.monotonic()
        wait_for(lambda: dormant(reached), LEASE_S + 3)
        assert time.monotonic() - killed > 1
        with reached.collect() as collected:
            events = list(collected)
        traces = of(events, TraceFinished)
        assert len(traces) == len(events), "nothing but traces comes"
        assert first in {trace.trace_id for trace in traces}
