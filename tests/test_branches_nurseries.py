"""Branches of trio's nurseries and threads, and of anyio's task groups and threads on each backend."""

from __future__ import annotations

import sys
import threading
import time
from typing import Any

import anyio
import anyio.to_thread
import pytest
import trio

from loops_helpers import application, branch_of, check, every, links, one
from tracepatch_shared.render import render
from tracepatch_shared.trace import Trace
from tracing_helpers import bench

PAUSE_S = 0.03

BACKENDS = {
    "asyncio": ("asyncio", {}),
    "uvloop": ("asyncio", {"use_uvloop": True}),
    "trio": ("trio", {}),
}


async def served(number: int, work: Any) -> Any:
    return await work(number)


def step(number: int, letter: str) -> str:
    return f"{letter}{number}"


async def part(number: int, letter: str) -> None:
    await anyio.sleep(PAUSE_S)
    step(number, letter)


def blocks(number: int) -> str:
    time.sleep(PAUSE_S)
    return step(number, threading.current_thread().name)


def traced(backend: str, work: Any) -> Trace:
    name, options = BACKENDS[backend]
    with bench() as made:
        made.arm(f"{__name__}:served")
        anyio.run(served, 1, work, backend=name, backend_options=options)
        trace = made.trace()
    assert check(trace) == 1
    return trace


PART = ["part", ["step"]]


async def in_nursery(number: int) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(part, number, "a")
        nursery.start_soon(part, number, "b", name="second half")


def test_a_nursery() -> None:
    trace = traced("trio", in_nursery)
    (tree,) = application(trace)
    assert tree == ["served", ["in_nursery", PART, PART]]
    assert sorted(links(trace)) == [
        ("task", "part", "exact", "start_soon"),
        ("task", "second half", "exact", "start_soon"),
    ]
    first, second = every(trace, "part")
    assert first.start_ns < second.start_ns + second.wall_ns, "they run in parallel"
    assert second.start_ns < first.start_ns + first.wall_ns


async def starts_in_nursery(number: int) -> None:
    async with trio.open_nursery() as nursery:
        assert await nursery.start(tells_when_ready, number) == "ready1"


async def tells_when_ready(number: int, *, task_status: Any) -> None:
    await trio.sleep(PAUSE_S)
    task_status.started(step(number, "ready"))
    await trio.sleep(PAUSE_S)


def test_nursery_start() -> None:
    trace = traced("trio", starts_in_nursery)
    assert application(trace) == [["served", ["starts_in_nursery", ["tells_when_ready", ["step"]]]]]
    ((kind, name, link, _),) = links(trace)
    assert (kind, name, link) == ("task", "tells_when_ready", "exact")


async def in_trios_thread(number: int) -> None:
    await trio.to_thread.run_sync(blocks, number)


def test_trios_thread() -> None:
    trace = traced("trio", in_trios_thread)
    assert application(trace) == [["served", ["in_trios_thread", ["blocks", ["step"]]]]]
    branch = branch_of(trace, one(trace, "blocks"))
    assert (branch.kind, branch.link) == ("thread", "exact")
    assert branch.name == one(trace, "blocks").returned[: -len("1")]


async def in_group(number: int) -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(part, number, "a")
        group.start_soon(part, number, "b", name="second half")


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_task_group(backend: str) -> None:
    trace = traced(backend, in_group)
    for node in every(trace, "part"):
        own = [child.function for child in node.children if child.branch == node.branch]
        assert own[-2:] == ["sleep", "step"]
    if backend == "uvloop" and sys.version_info >= (3, 14):
        # Its tasks begin without a sign.
        assert [(kind, link) for kind, _, link, _ in links(trace)] == [("task", "inferred")] * 2
        return
    assert application(trace) == [["served", ["in_group", PART, PART]]]
    found = links(trace)
    assert [(kind, link, parent) for kind, _, link, parent in found] == [("task", "exact", "start_soon")] * 2
    # uvloop names a task only when it is there.
    named = {"_run_coro"} if backend == "uvloop" else {"part", "second half"}
    assert {name.rpartition(".")[2] for _, name, _, _ in found} == named


async def in_anyios_thread(number: int) -> None:
    await anyio.to_thread.run_sync(blocks, number)


@pytest.mark.parametrize("backend", BACKENDS)
def test_anyios_thread(backend: str) -> None:
    trace = traced(backend, in_anyios_thread)
    assert application(trace) == [["served", ["in_anyios_thread", ["blocks", ["step"]]]]]
    branch = branch_of(trace, one(trace, "blocks"))
    assert (branch.kind, branch.link) == ("thread", "exact")
    assert branch.name == one(trace, "blocks").returned[: -len("1")]
    assert links(trace)[0][3] == "run_sync"


def test_a_task_of_an_outer_nursery_outlives_the_trace() -> None:
    async def goes_on(number: int, begun: trio.Event) -> None:
        begun.set()
        await part(number, "hidden")

    async def forgets(number: int) -> None:
        begun = trio.Event()
        outer.start_soon(goes_on, number, begun)
        await begun.wait()

    async def main() -> None:
        nonlocal outer
        async with trio.open_nursery() as outer:
            await served(1, forgets)

    outer: Any = None
    with bench() as made:
        made.arm(f"{__name__}:served")
        trio.run(main)
        trace = made.trace()
    assert application(trace) == [["served", ["forgets", ["goes_on", ["part"]]]]]
    assert one(trace, "part").open
    assert "1 branch still running" in "\n".join(render(trace))
