"""Plain code that awaits below a coroutine by switching greenlets, as SQLAlchemy's asyncio extension does it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Any

import greenlet
import pytest

from loops_helpers import application, check_times, one, waited
from tracing_helpers import bench

PAUSE_S = 0.04


class Bridge(greenlet.greenlet):
    """A greenlet that runs plain code with the Context of the coroutine that made it."""

    def __init__(self, function: Any) -> None:
        super().__init__(function, greenlet.getcurrent())
        self.gr_context = greenlet.getcurrent().gr_context


async def bridged(function: Any, *args: Any) -> Any:
    """Run plain code that may `wait` for awaitables."""
    bridge = Bridge(function)
    result = bridge.switch(*args)
    while not bridge.dead:
        result = bridge.switch(await result)
    return result


def wait(awaitable: Any) -> Any:
    parent = greenlet.getcurrent().parent
    assert parent is not None
    return parent.switch(awaitable)


async def served(number: int) -> list[str]:
    return await query(number)


async def unserved(number: int) -> list[str]:
    return await query(number)


async def query(number: int) -> list[str]:
    return await bridged(plain, number)


def plain(number: int) -> list[str]:
    found = [step(number, "a")]
    for letter in "bc":
        found.append(wait(pause(number, letter)))
    return [*found, step(number, "d")]


async def pause(number: int, letter: str) -> str:
    await asyncio.sleep(PAUSE_S)
    return step(number, letter)


def step(number: int, letter: str) -> str:
    return f"{letter}{number}"


SLEPT = [["pause", ["step"]]]


def test_plain_code_that_awaits() -> None:
    async def main() -> list[Any]:
        tasks = [(unserved, 100), (served, 0), (unserved, 101), (served, 1)]
        return await asyncio.gather(*(kind(number) for kind, number in tasks))

    with bench() as made:
        made.arm(f"{__name__}:served", count=2)
        assert asyncio.run(main())[3] == ["a1", "b1", "c1", "d1"]
        traces = made.traces()
    assert len(traces) == 2
    plain_tree = ["plain", ["step"], ["wait", *SLEPT], ["wait", *SLEPT], ["step"]]
    for number, trace in enumerate(traces):
        assert trace.status == "complete"
        check_times(trace)
        assert application(trace) == [["served", ["query", ["bridged", ["__init__"], plain_tree]]]]
        assert {node.args["number"] for node in trace.nodes() if "number" in node.args} == {number}
        for node in (trace.roots[0], one(trace, "plain")):
            waited(node, 2 * PAUSE_S)


# ---- traces whose hook is gone ----------------------------------------------------------------------------------


def cut_off() -> None:
    """End as where a signal handler raises just as the hook is entered: the hook is off, this return is not seen."""
    sys.settrace(None)


def within(looks: Callable[[], None]) -> None:
    """Wait in a greenlet while the thread goes on with its other frames, and the agent looks twice."""
    bridge = greenlet.getcurrent()
    assert bridge.parent is not None
    bridge.parent.switch(looks)


def around(looks: Callable[[], None]) -> None:
    """Wait for a greenlet, which works on the same thread with frames of its own."""
    greenlet.greenlet(looks).switch()


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="there is no hook to lose")
def test_a_trace_that_has_lost_its_hook_is_ended_with_greenlets_loaded() -> None:
    assert "gevent" not in sys.modules
    with bench() as made:
        made.arm(f"{__name__}:cut_off")
        cut_off()
        for _ in range(2):
            made.tracing.expire()
        trace = made.trace()
    assert (trace.status, trace.reason) == ("tripped", "interrupted")


def test_a_trace_whose_frames_are_another_greenlets_has_lost_nothing() -> None:
    with bench() as made:
        made.arm(f"{__name__}:within", f"{__name__}:around", count=2)

        def looks() -> None:
            for _ in range(3):
                made.tracing.expire()
            seen.append([recording.done for recording in made.tracing.recordings])

        seen: list[Any] = []
        bridge = greenlet.greenlet(within)
        bridge.switch(looks)()
        bridge.switch()
        around(looks)
        traces = made.traces()
    assert seen == [[False], [True, False]]
    assert [trace.status for trace in traces] == ["complete", "complete"]
