"""Traces of tasks that hang: which frames they are in, how long each has waited, on which line."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator

import pytest

from ctl import ctl
from processes import TARGETS, Process, python_process, wait_for
from tracepatch_ctl import Client, Trace
from tracepatch_ctl.events import AgentRefused, Armed, TraceChunk, TraceFinished
from tracepatch_shared.tree import TraceReader

PROGRAM = TARGETS / "hanging.py"
HERE = {
    found[1]: number
    for number, line in enumerate(PROGRAM.read_text().splitlines(), 1)
    if (found := re.search(r"# here: (.*)$", line))
}


@contextlib.contextmanager
def hanging(kind: str = "asyncio") -> Iterator[Process]:
    with python_process(PROGRAM, kind) as process:
        process.expect("ready")
        yield process


def arm(process: Process, target: str, *options: str) -> str:
    """Arm detached; return the probe's id."""
    done = ctl(
        "arm", f"__main__:{target}", "--pid", str(process.pid), "--detach", "--ttl", "1m", "--json", *options
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])["probe_id"]


def recording(process: Process, lines: dict[str, int]) -> Trace:
    """Return the trace that records, once its calls stand at these lines."""

    def attempt() -> Trace | None:
        with Client(pid=str(process.pid)) as client, client.collect(open=True) as collection:
            events = list(collection)
        assert all(isinstance(event, TraceFinished) and event.status == "open" for event in events), events
        traces = [Trace.read(event.data) for event in events]
        return traces[0] if traces and standing(traces[0]) == lines else None

    return wait_for(attempt, what=f"all at {lines}")


def standing(trace: Trace) -> dict[str, int | None]:
    return {node.function: node.at_line for node in trace.nodes() if node.open and node.module == "__main__"}


@pytest.mark.parametrize("kind", ["asyncio", "uvloop"])
def test_a_trace_that_records_is_shown_as_it_stands(runtime_dir, kind: str) -> None:
    with hanging(kind) as process:
        probe_id = arm(process, "handle")
        process.tell("handle")
        lines = {name: HERE[name] for name in ("handle", "load", "fetch", "pause")}
        trace = recording(process, lines)
        waiting = {branch.name: branch.waiting_ns for branch in trace.branches if branch.waiting}
        assert len(waiting) == 3
        assert all(waiting.values())
        again = recording(process, lines)
        assert again.trace_id == trace.trace_id
        assert again.duration_ns > trace.duration_ns, "it still records"
        text = ctl("collect", "--open", "--pid", str(process.pid)).stdout
        assert re.search(rf"load\(.* still waiting at hanging.py:{HERE['load']}$", text, re.M), text
        assert re.search(r"sleep\(.* still waiting \d\S+ at asyncio/tasks.py:\d+$", text, re.M), text
        assert ctl("collect", "--pid", str(process.pid)).stderr.startswith("no agent holds a finished trace")
        ctl("disarm", probe_id, "--pid", str(process.pid))


def test_it_goes_on_as_if_nobody_had_looked(runtime_dir) -> None:
    with hanging() as process:
        arm(process, "once")
        process.tell("once")
        recording(process, {"once": HERE["once"], "fetch": HERE["fetch"]})
        process.tell("free")
        process.expect("gone on")
        with Client(pid=str(process.pid)) as client:

            def finished() -> list[TraceFinished]:
                with client.collect() as collection:
                    return [event for event in collection if isinstance(event, TraceFinished)]

            (event,) = wait_for(finished)
        trace = Trace.read(event.data)
    assert (trace.status, standing(trace)) == ("complete", {})
    assert all(node.at_line is None for node in trace.nodes())
    once, fetch = trace.roots[0], trace.roots[0].children[0]
    assert once.waiting_ns == fetch.waiting_ns > 0


def test_the_end_of_the_recording_time_says_where_it_stands(runtime_dir) -> None:
    with hanging() as process:
        code, trace = arm_until_it_trips(process, "handle", "--pid", str(process.pid), "--ttl", "30s")
    assert code == 0
    assert (trace["status"], trace["reason"]) == ("tripped", "max_duration_s")
    nodes = list(walk(trace["roots"]))
    lines = {node["function"]: node.get("at_line") for node in nodes if node["module"] == "__main__"}
    assert lines == {name: HERE[name] for name in ("handle", "load", "fetch", "pause")}
    assert all(node["open"] for node in nodes if "at_line" in node)
    waited = [branch["waiting_ns"] for branch in trace["branches"]]
    assert all(0 < wait < trace["duration_ns"] for wait in waited)


def arm_until_it_trips(process: Process, target: str, *options: str) -> tuple[int, dict]:
    """Arm with a recording time of half a second, begin a task, return exit code and trace."""
    with python_process(
        "import sys; from tracepatch_ctl.cli import main; main()",
        "arm",
        f"__main__:{target}",
        "--max-duration",
        "500ms",
        "--json",
        *options,
    ) as command:
        armed = json.loads(command.line())
        assert armed["type"] == "armed", armed
        process.tell(target)
        trace = json.loads(command.expect('"trace"'))
        return command.wait(), trace


def walk(nodes: list[dict]) -> Iterator[dict]:
    for node in nodes:
        yield node
        yield from walk(node["children"])


def test_a_loop_that_hangs_in_synchronous_code(runtime_dir) -> None:
    with hanging() as process:
        arm(process, "compute")
        process.tell("compute")
        trace = recording(process, {"compute": HERE["compute"], "crunch": HERE["crunch"]})
    assert not trace.branches[0].waiting


def test_a_thread(runtime_dir) -> None:
    with hanging("threads") as process:
        arm(process, "job")
        process.tell("go")
        trace = recording(process, {"job": HERE["job"]})
        lines = [node.at_line for node in trace.nodes() if node.open]
    assert lines == [HERE["deeper"], HERE["deeper"], HERE["job"]]


def test_trio(runtime_dir) -> None:
    with hanging("trio") as process:
        arm(process, "visit")
        process.tell("go")
        recording(process, {"visit": HERE["visit"]})


def test_watching_live_shows_where_it_stands(runtime_dir) -> None:
    reader = TraceReader()
    with (
        hanging() as process,
        Client(pid=str(process.pid)) as client,
        client.arm(["__main__:once"], live=True, ttl_s=60.0) as session,
    ):
        assert isinstance(next(iter(session)), Armed)
        process.tell("once")
        for event in session:
            if isinstance(event, TraceChunk):
                reader.feed(event.data)
                if standing(reader.trace).get("fetch") is not None:
                    break
    trace = reader.trace
    assert not reader.ended
    assert standing(trace) == {"once": HERE["once"], "fetch": HERE["fetch"]}
    assert trace.branches[0].waiting_ns > 0.9e9, "said once nothing has come for a second"


def test_an_older_agent_says_so(fake_agent) -> None:
    fake_agent(answers={"collect": lambda message: [{"type": "collected", "traces": []}]})
    with Client() as client, client.collect(open=True) as collection:
        (refused,) = list(collection)
    assert isinstance(refused, AgentRefused)
    assert "does not know `collect --open`" in refused.message
