"""Branches of asyncio's tasks, timers and threads: who started them, what they are called, when they ran."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextvars import copy_context
from typing import Any

import pytest
import uvloop

from loops_helpers import application, branch_of, check, every, links, one, waited
from tracepatch_shared.render import render
from tracepatch_shared.trace import Trace
from tracing_helpers import bench

PAUSE_S = 0.04

LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}


@pytest.fixture(params=LOOPS)
def traced(request: pytest.FixtureRequest) -> Iterator[Callable[..., Trace]]:
    """Run a coroutine function as the only target on each kind of loop; return its trace, checked."""
    loop = LOOPS[request.param]()
    asyncio.set_event_loop(loop)

    def run(work: Any, *, expect: Any = None, **options: Any) -> Trace:
        async def main() -> Any:
            return await served(1, work)

        with bench() as made:
            made.arm(f"{__name__}:served", **options)
            assert loop.run_until_complete(main()) == expect
            before = made.trace()
            shown = list(render(before))
            loop.run_until_complete(rest())
            after = made.trace()
            assert list(render(after)) == shown, "a finished trace grows no more"
        if options.get("args", True):
            assert check(after) == 1
        return after

    try:
        yield run
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
    finally:
        asyncio.set_event_loop(None)
        loop.close()


async def rest() -> None:
    """Have all that tasks left behind run to its end."""
    for future in [item for item in _kept if not isinstance(item, asyncio.Task)]:
        future.set_result(None)
        _kept.remove(future)
        await asyncio.sleep(0)
    others = asyncio.all_tasks() - {asyncio.current_task()}
    await asyncio.gather(*others, return_exceptions=True)


_kept: set[Any] = set()
"""Tasks and futures that a traced task leaves behind."""


# ---- the application ----------------------------------------------------------------------------------------------


async def served(number: int, work: Any) -> Any:
    return await work(number)


def step(number: int, letter: str) -> str:
    return f"{letter}{number}"


async def part(number: int, letter: str) -> str:
    await asyncio.sleep(PAUSE_S)
    return step(number, letter)


def blocks(number: int) -> str:
    time.sleep(PAUSE_S)
    return step(number, "b")


PART = ["part", ["step"]]


async def creates(number: int) -> list[str]:
    tasks = [
        asyncio.create_task(part(number, "a")),
        asyncio.create_task(part(number, "b"), name="second half"),
    ]
    return [await task for task in tasks]


def test_create_task(traced: Callable[..., Trace]) -> None:
    trace = traced(creates, expect=["a1", "b1"])
    assert application(trace) == [["served", ["creates", PART, PART]]]
    assert links(trace) == [
        ("task", "part", "exact", "creates"),
        ("task", "second half", "exact", "creates"),
    ]
    first, second = every(trace, "part")
    waited(first, PAUSE_S)
    assert first.start_ns < second.start_ns < first.start_ns + first.wall_ns, "they run in parallel"
    assert one(trace, "creates").wall_ns < first.wall_ns + second.wall_ns


def test_names_are_not_recorded_where_values_are_not(traced: Callable[..., Trace]) -> None:
    trace = traced(creates, expect=["a1", "b1"], args=False)
    assert links(trace) == [("task", "part", "exact", "creates")] * 2


async def names_a_secret(number: int) -> str:
    return await asyncio.create_task(part(number, "a"), name="password=hunter2000")


def test_names_are_redacted(traced: Callable[..., Trace]) -> None:
    trace = traced(names_a_secret, expect="a1")
    assert "hunter2000" not in "\n".join(render(trace))


async def groups(number: int) -> list[str]:
    async with asyncio.TaskGroup() as group:  # type: ignore[attr-defined, unused-ignore]
        tasks = [group.create_task(part(number, letter)) for letter in "ab"]
    return [task.result() for task in tasks]


@pytest.mark.skipif(sys.version_info < (3, 11), reason="TaskGroup came with 3.11")
def test_task_group(traced: Callable[..., Trace]) -> None:
    trace = traced(groups, expect=["a1", "b1"])
    (tree,) = application(trace)
    assert tree == ["served", ["groups", PART, PART]]
    assert {(kind, name, link) for kind, name, link, _ in links(trace)} == {("task", "part", "exact")}


async def gathers(number: int) -> list[str]:
    return list(await asyncio.gather(part(number, "a"), part(number, "b")))


def test_gather(traced: Callable[..., Trace]) -> None:
    trace = traced(gathers, expect=["a1", "b1"])
    assert application(trace) == [["served", ["gathers", PART, PART]]]
    assert links(trace) == [("task", "part", "exact", "gather")] * 2


async def waits_for(number: int) -> str:
    try:
        await asyncio.wait_for(part(number, "never"), PAUSE_S / 4)
    except (TimeoutError, asyncio.TimeoutError):
        pass
    return await asyncio.wait_for(part(number, "a"), 10)


def test_wait_for(traced: Callable[..., Trace]) -> None:
    trace = traced(waits_for, expect="a1")
    assert application(trace) == [["served", ["waits_for", ["part"], PART]]]
    first, _second = every(trace, "part")
    assert first.raised is not None
    assert first.raised["type"] == "asyncio.exceptions.CancelledError"
    for link in links(trace):  # since 3.12 it awaits in the task of its caller
        assert link == ("task", "part", "exact", "wait_for")


def meets(number: int, gate: threading.Barrier) -> str:
    gate.wait(30)
    return step(number, "m")


async def to_thread(number: int) -> list[str]:
    gate = threading.Barrier(2)
    both = (asyncio.to_thread(meets, number, gate), asyncio.to_thread(meets, number, gate))
    return list(await asyncio.gather(*both))


def test_to_thread(traced: Callable[..., Trace]) -> None:
    trace = traced(to_thread, expect=["m1", "m1"])
    assert application(trace) == [["served", ["to_thread", ["meets", ["step"]], ["meets", ["step"]]]]]
    for node in every(trace, "meets"):
        branch = branch_of(trace, node)
        assert branch.kind == "thread"
        assert branch.name.startswith(("asyncio_", "uvloop_")), branch.name
    first, second = every(trace, "meets")
    assert first.start_ns < second.start_ns + second.wall_ns, "they run in parallel"
    assert second.start_ns < first.start_ns + first.wall_ns


async def one_thread(number: int) -> str:
    return await asyncio.to_thread(blocks, number)


def test_one_to_thread_is_exact(traced: Callable[..., Trace]) -> None:
    trace = traced(one_thread, expect="b1")
    assert [(kind, link, parent) for kind, _, link, parent in links(trace)] == [
        ("thread", "exact", "to_thread")
    ]


async def copies_its_context(number: int) -> str:
    loop = asyncio.get_running_loop()
    found = await loop.run_in_executor(None, copy_context().run, blocks, number)
    await loop.run_in_executor(None, blocks, number)  # without a Context: nobody's
    return found


def test_an_executor_with_a_context(traced: Callable[..., Trace]) -> None:
    trace = traced(copies_its_context, expect="b1")
    assert application(trace) == [["served", ["copies_its_context", ["blocks", ["step"]]]]]
    ((kind, name, link, _),) = links(trace)
    assert (kind, name[-2:], link) == ("thread", "_0", "exact")


called_late: list[str] = []


async def schedules(number: int) -> str:
    loop = asyncio.get_running_loop()
    loop.call_soon(step, number, "soon")
    loop.call_later(PAUSE_S / 4, step, number, "later")
    late = loop.create_future()
    late.add_done_callback(lambda _: called_late.append(step(number, "too late")))
    _kept.add(late)
    return await part(number, "a")


def test_timers_are_inferred_and_end_with_the_trace(traced: Callable[..., Trace]) -> None:
    trace = traced(schedules, expect="a1")
    assert called_late == ["too late1"]
    called_late.clear()
    assert sorted(node.args["letter"] for node in every(trace, "step")) == ["a", "later", "soon"]
    assert [link[:3] for link in links(trace)] == [("callback", "step", "inferred")] * 2


async def gathers_again(number: int) -> list[str]:
    task = asyncio.create_task(part(number, "a"))
    await asyncio.sleep(PAUSE_S / 4)
    found = await asyncio.gather(task, part(number, "b"))
    return list(found)


def test_a_task_that_runs_already_is_not_started_again(traced: Callable[..., Trace]) -> None:
    trace = traced(gathers_again, expect=["a1", "b1"])
    assert [link[2:] for link in links(trace)] == [("exact", "gathers_again"), ("exact", "gather")]
    assert trace.unstarted == 0


async def nested(number: int) -> str:
    return await asyncio.create_task(creates_one(number))


async def creates_one(number: int) -> str:
    return await asyncio.create_task(part(number, "a"))


def test_tasks_of_tasks(traced: Callable[..., Trace]) -> None:
    trace = traced(nested, expect="a1")
    assert application(trace) == [["served", ["nested", ["creates_one", PART]]]]
    assert [link[2:] for link in links(trace)] == [("exact", "nested"), ("exact", "creates_one")]


async def forgets(number: int) -> str:
    step(number, "first")
    started = asyncio.Event()
    task = asyncio.create_task(goes_on(number, started))
    _kept.add(task)
    await started.wait()
    _kept.add(asyncio.create_task(goes_on(number, started)))
    return step(number, "last")


async def goes_on(number: int, started: asyncio.Event) -> None:
    started.set()
    step(number, "before")
    await part(number, "hidden")
    step(number, "after")


def test_what_outlives_the_root_is_shown_as_running(traced: Callable[..., Trace]) -> None:
    trace = traced(forgets, expect="last1")
    assert trace.status == "complete"
    assert application(trace) == [
        ["served", ["forgets", ["step"], ["goes_on", ["step"], ["part"]], ["step"]]]
    ]
    assert one(trace, "goes_on").open
    assert not trace.roots[0].open
    text = "\n".join(render(trace))
    assert "1 branch still running" in text
    assert "1 branch not begun" in text
    assert trace.unstarted == 1
    line = next(line for line in text.splitlines() if ".goes_on(" in line)
    assert "still waiting when the trace ended" in line


def test_a_trace_without_such_branches_does_not_mention_them(traced: Callable[..., Trace]) -> None:
    text = "\n".join(render(traced(creates, expect=["a1", "b1"])))
    assert "still running" not in text
    assert "not begun" not in text
