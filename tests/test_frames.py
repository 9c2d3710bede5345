"""Stacks of threads and chains of coroutines, in this process: every step that an await can go through."""

from __future__ import annotations

import gc
import sys
import threading
import types
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from processes import wait_for
from tracepatch import frames
from tracepatch.frame_ids import frame_id


class Pause:
    """What an event loop's future is to a coroutine: an object that is awaited and yields itself once."""

    def __await__(self):
        yield self


class Told:
    """An awaitable written in Python whose way on is another coroutine."""

    def __await__(self):
        return plain().__await__()


class Stop:
    """An iterator of the application: what stands behind it is not known."""

    def __await__(self) -> Stop:
        return self

    def __iter__(self) -> Stop:
        return self

    def __next__(self) -> str:
        return "waiting"


async def plain() -> None:
    await Pause()


async def through_iterator() -> None:
    await Stop()


@types.coroutine
def based_on_generator():
    yield from plain().__await__()


async def values():
    await plain()
    yield 1


async def through_values() -> None:
    async for _ in values():
        pass


async def through_anext() -> None:
    await anext(values(), None)


async def through_athrow() -> None:
    async def patient():
        try:
            yield 1
        finally:
            await plain()

    generator = patient()
    await anext(generator)
    await generator.aclose()


async def through_object() -> None:
    await Told()


async def through_generator() -> None:
    await based_on_generator()


@pytest.mark.parametrize(
    ("function", "names"),
    [
        (plain, ["plain", "Pause.__await__"]),
        (through_values, ["through_values", "values", "plain", "Pause.__await__"]),
        (through_anext, ["through_anext", "values", "plain", "Pause.__await__"]),
        (through_object, ["through_object", "plain", "Pause.__await__"]),
        (
            through_athrow,
            ["through_athrow", "through_athrow.<locals>.patient", "plain", "Pause.__await__"],
        ),
        (through_generator, ["through_generator", "based_on_generator", "plain", "Pause.__await__"]),
        (through_iterator, ["through_iterator"]),
    ],
)
def test_the_whole_chain(function: Callable[[], Any], names: list[str]) -> None:
    coroutine = function()
    coroutine.send(None)
    found = frames.awaits(coroutine)
    assert (found.state, [frame.name for frame in found.frames]) == (frames.WAITING, names)
    assert type(found.end) is (Stop if function is through_iterator else type(None))
    assert {frame.code.co_filename for frame in found.frames} == {__file__}
    lines = [frame.line for frame in found.frames]
    assert all(frame.code.co_firstlineno < line for frame, line in zip(found.frames, lines, strict=True)), (
        "each at the line of its await, not at its beginning"
    )
    assert found.frames[0].frame_id == frame_id(coroutine.cr_frame)
    coroutine.close()


def test_states() -> None:
    seen = []

    async def looks_at_itself() -> None:
        seen.append(frames.awaits(coroutine))

    coroutine = looks_at_itself()
    new = frames.awaits(coroutine)
    assert (new.state, [frame.name.rpartition(".")[2] for frame in new.frames]) == (
        frames.NEW,
        ["looks_at_itself"],
    )
    with pytest.raises(StopIteration):
        coroutine.send(None)
    (running,) = seen
    assert (running.state, len(running.frames), running.end) == (frames.RUNNING, 1, None)
    assert frames.awaits(coroutine) == (frames.DONE, [], None)
    assert frames.awaits(object()).frames == []


def test_the_stack_of_a_thread() -> None:
    gate = threading.Lock()
    gate.acquire()
    inside = threading.Event()

    def outer() -> None:
        inner()

    def inner() -> None:
        inside.set()
        gate.acquire()

    thread = threading.Thread(target=outer)
    thread.start()
    inside.wait()
    found = wait_for(lambda: [f for f in frames.stack(thread.ident) if f.code.co_filename == __file__][:2])
    assert [frame.code.co_name for frame in found] == ["outer", "inner"]
    line = inner.__code__.co_firstlineno + 2
    wait_for(lambda: frames.stack(thread.ident)[-1].line == line)
    assert found[-1].frame_id == frame_id(_top(thread.ident))
    gate.release()
    thread.join()
    assert frames.stack(thread.ident) == []


def _top(ident: int) -> Any:
    return sys._current_frames()[ident]


def test_nothing_of_a_stack_is_kept() -> None:
    class Thing:
        pass

    def holds(thing: Thing) -> weakref.ref[Thing]:
        frames.stack(threading.get_ident())
        return weakref.ref(thing)

    async def waits(thing: Thing) -> None:
        await Pause()

    gc.disable()
    try:
        thing = Thing()
        awaited = weakref.ref(thing)
        coroutine = waits(thing)
        coroutine.send(None)
        del thing
        gone = holds(Thing())
        assert gone() is None
        found = frames.awaits(coroutine)
        coroutine.close()
        del coroutine
        assert awaited() is None
        assert found.frames
    finally:
        gc.enable()


def test_a_deep_chain_is_bounded() -> None:
    async def deep(depth: int) -> None:
        await (deep(depth - 1) if depth else Pause())

    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(10_000)
    try:
        coroutine = deep(3_000)
        coroutine.send(None)
        assert len(frames.awaits(coroutine).frames) == frames.MAX_FRAMES
        coroutine.close()
    finally:
        sys.setrecursionlimit(limit)
