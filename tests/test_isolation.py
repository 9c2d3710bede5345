"""Nothing of task A ever shows in task B: 200 concurrent tasks, 3 traced."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from targets import crowd
from tracepatch_shared.trace import Trace
from tracing_helpers import bench

TASKS = 200


def with_uvloop(main: Any) -> Any:
    uvloop = pytest.importorskip("uvloop")
    loop = uvloop.new_event_loop()
    try:
        return loop.run_until_complete(main)
    finally:
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


LOOPS: dict[str, Callable[[Any], Any]] = {"asyncio": asyncio.run, "uvloop": with_uvloop}


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.filterwarnings("ignore::DeprecationWarning:uvloop")
def test_traces_contain_only_their_own_calls(loop: str) -> None:
    with bench() as made:
        probe = made.arm("targets.crowd:handler", count=3, limits={"concurrent": 3})
        results = LOOPS[loop](crowd.crowd(TASKS))
        traces = made.traces()
        assert len(traces) == 3
        assert probe.seen == TASKS
    assert results == [6 * task for task in range(TASKS)]
    owners = [own_calls(trace) for trace in traces]
    assert len(set(owners)) == 3


def own_calls(trace: Trace) -> int:
    """Return the one task number that all nodes of the trace carry, the tree's shape checked."""
    nodes = [node for node in trace.nodes() if node.module == "targets.crowd"]
    numbers = {node.args["task"] for node in nodes}
    assert len(numbers) == 1, f"calls of the tasks {numbers} in one trace"
    assert Counter(node.function for node in nodes) == {
        "handler": 1, "note": 4 + 4 + 2 + 1, "numbers": 1, "consume": 1, "leaf": 2, "blocking": 1, "fails": 1,
    }  # fmt: skip
    assert not any(node.open for node in nodes)
    (task,) = numbers
    failed = next(node for node in nodes if node.function == "fails")
    assert failed.raised == {"type": "LookupError", "message": str(task)}
    thread = next(node for node in nodes if node.function == "blocking")
    assert thread.returned == task
    assert trace.branches[thread.branch].kind == "thread"
    assert trace.roots[0].returned == 6 * task
    assert trace.status == "complete"
    return int(task)
