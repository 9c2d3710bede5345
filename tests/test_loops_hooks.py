"""What a trace leaves on a loop's thread while it waits, and afterwards: nothing that the others would notice."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import trio
import uvloop

from loops_helpers import check
from tracepatch import pyversion
from tracepatch.cores import core
from tracepatch.recording import current
from tracing_helpers import bench


async def served(number: int, suspended: Any) -> str:
    await suspended
    return step(number, "s")


def step(number: int, letter: str) -> str:
    return f"{letter}{number}"


def look() -> tuple[Any, Any, Any]:
    """Return what a bystander sees."""
    return (sys.gettrace(), sys.getprofile(), current.get())


class Loop:
    """One kind of loop: how it runs, starts a task, and waits."""

    def __init__(self, name: str) -> None:
        self.name = name

    def run(self, main: Callable[[], Any]) -> None:
        if self.name == "trio":
            trio.run(main)
            return
        loop = uvloop.new_event_loop() if self.name == "uvloop" else asyncio.new_event_loop()
        try:
            loop.run_until_complete(main())
        finally:
            loop.close()

    def event(self) -> Any:
        return trio.Event() if self.name == "trio" else asyncio.Event()

    async def turn(self) -> None:
        """Let everybody else run."""
        for _ in range(5):
            await (trio.lowlevel.checkpoint() if self.name == "trio" else asyncio.sleep(0))

    async def beside(self, work: Callable[[], Any], others: Callable[[], Any]) -> None:
        """Run two tasks."""
        if self.name == "trio":
            async with trio.open_nursery() as nursery:
                nursery.start_soon(work)
                nursery.start_soon(others)
        else:
            await asyncio.gather(work(), others())


@pytest.fixture(params=["asyncio", "uvloop", "trio"])
def loop(request: pytest.FixtureRequest) -> Iterator[Loop]:
    yield Loop(request.param)


def test_a_bystander_on_the_thread_of_a_waiting_trace(loop: Loop) -> None:
    seen: dict[str, tuple[Any, Any, Any]] = {}

    async def main() -> None:
        event = loop.event()

        async def traced() -> None:
            assert await served(1, event.wait()) == "s1"

        async def bystander() -> None:
            await loop.turn()
            seen["while it waits"] = look()
            assert step(100, "other") == "other100"
            with pytest.raises(ZeroDivisionError):
                fails()
            event.set()
            await loop.turn()
            step(100, "another")
            seen["after its end"] = look()

        await loop.beside(traced, bystander)
        seen["at the end"] = look()

    def fails() -> float:
        number = 0
        return 1 / number

    with bench() as made:
        made.arm(f"{__name__}:served")
        loop.run(main)
        trace = made.trace()
    assert check(trace) == 1
    hook, profile, recording = seen["while it waits"]
    assert (profile, recording) == (None, None)
    if pyversion.MONITORING or loop.name == "asyncio":
        assert hook is None
    assert seen["after its end"] == seen["at the end"] == (None, None, None)


def test_a_trace_that_ends_while_it_waits_leaves_with_the_next_call(loop: Loop) -> None:
    seen: list[tuple[Any, Any, Any]] = []

    async def main() -> None:
        event = loop.event()

        async def traced() -> None:
            assert await served(1, event.wait()) == "s1"

        async def bystander() -> None:
            await loop.turn()
            made.tracing.expire(2**62)
            assert made.tracing.live == 1, "its stream has not been taken yet"
            step(100, "other")
            seen.append(look())
            event.set()

        await loop.beside(traced, bystander)
        seen.append(look())

    with bench() as made:
        made.arm(f"{__name__}:served", limits={"max_duration_s": 0.001})
        loop.run(main)
        trace = made.trace()
    assert (trace.status, trace.reason) == ("tripped", "max_duration_s")
    assert trace.roots[0].open
    assert seen == [(None, None, None)] * 2


@pytest.mark.skipif(pyversion.MONITORING, reason="nothing stays on a thread from 3.12 on")
def test_the_reason_for_the_core_says_on_which_loops_its_hook_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("uvloop", "trio", "gevent", "eventlet"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    alone = f"sys.monitoring needs Python 3.12, this is {pyversion.TEXT}" if core().name == "profile" else ""
    assert core().reason == alone
    monkeypatch.setitem(sys.modules, "trio", trio)
    stays = "on trio the hook stays on the thread while a trace records there"
    assert core().reason == "; ".join(filter(None, (alone, stays)))
