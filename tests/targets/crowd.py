"""Two hundred tasks that do everything at once; each passes its own number everywhere."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator


def note(task: int, what: str) -> int:
    return task


def numbers(task: int, count: int) -> Iterator[int]:
    for _ in range(count):
        yield note(task, "generator")


async def consume(task: int, items: Iterator[int]) -> int:
    """Take from a generator that another task made and began."""
    total = 0
    for item in items:
        await asyncio.sleep(0)
        total += item
    return total


def blocking(task: int) -> int:
    return note(task, "thread")


def fails(task: int) -> None:
    note(task, "before the exception")
    raise LookupError(task)


async def leaf(task: int, delay: float) -> int:
    await asyncio.sleep(delay)
    return note(task, "leaf")


async def handler(task: int) -> int:
    note(task, "begin")
    items = numbers(task, 4)
    next(items)
    await asyncio.sleep((task % 7) / 1000)
    results = await asyncio.gather(
        leaf(task, 0.001), leaf(task, 0.002), consume(task, items), asyncio.to_thread(blocking, task)
    )
    try:
        fails(task)
    except LookupError:
        note(task, "caught")
    note(task, "end")
    return sum(results)


async def crowd(count: int) -> list[int]:
    return await asyncio.gather(*(handler(task) for task in range(count)))
