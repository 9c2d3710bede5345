"""What the soaked tasks do: everything at once, each with its own number in every call and every result."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Executor


def note(task: int) -> int:
    return task


def numbers(task: int, count: int) -> Iterator[int]:
    for _ in range(count):
        yield note(task)


async def stream(task: int, count: int) -> AsyncIterator[int]:
    for _ in range(count):
        await asyncio.sleep(0)
        yield note(task)


async def consume(task: int, items: Iterator[int]) -> int:
    """Take from a generator that another task made and began."""
    for item in items:
        await asyncio.sleep(0)
        assert item == task
    return task


def blocking(task: int) -> int:
    return note(task)


def elsewhere(task: int) -> int:
    """Run in a thread that does not carry the Context: in no trace of whoever handed it over."""
    return task


def fails(task: int) -> int:
    note(task)
    raise LookupError(task)


async def leaf(task: int, delay_s: float) -> int:
    await asyncio.sleep(delay_s)
    return note(task)


async def hangs(task: int) -> int:
    """Be cancelled, and look back."""
    try:
        await asyncio.sleep(60)
    finally:
        note(task)
    return task


async def times_out(task: int) -> int:
    with contextlib.suppress(asyncio.TimeoutError):
        await asyncio.wait_for(hangs(task), 0.001)
    return task


async def late(task: int) -> int:
    """Outlive the task that started it."""
    await asyncio.sleep(0.01)
    return note(task)


async def handler(task: int, pool: Executor) -> int:
    note(task)
    items = numbers(task, 4)
    next(items)
    results = await asyncio.gather(
        leaf(task, 0),
        leaf(task, 0.002),
        consume(task, items),
        asyncio.to_thread(blocking, task),
        times_out(task),
    )
    try:
        fails(task)
    except LookupError:
        note(task)
    async for item in stream(task, 3):
        results.append(item)
    given_up = numbers(task, 2)
    results.append(next(given_up))
    given_up.close()
    results.append(await asyncio.get_running_loop().run_in_executor(pool, elsewhere, task))
    started = asyncio.create_task(late(task))
    assert results == [task] * len(results), results
    del started
    return note(task)
