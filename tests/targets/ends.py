"""Stacks that end, and generators that nobody ends."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import AsyncIterator, Iterator
from typing import Any


def depth(reached: int = 0) -> int:
    """Return how deep this function gets."""
    try:
        return depth(reached + 1)
    except RecursionError:
        return reached


def falls(_number: int = 0) -> None:
    falls(_number + 1)


def at_the_end() -> list[Any]:
    """Return how far recursion goes above here, that it can be caught, and that all goes on after it."""
    begun = depth()
    try:
        falls()
        caught = "nothing"
    except RecursionError as error:
        caught = str(error)
    return [begun, caught, depth(), sum(range(5))]


def deep() -> list[Any]:
    """The same with a small stack."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(400)
    try:
        return at_the_end()
    finally:
        sys.setrecursionlimit(limit)


def items(log: list[str], name: str) -> Iterator[int]:
    try:
        yield 1
        yield 2
    except GeneratorExit:
        log.append(f"{name} is closed")
        raise
    finally:
        log.append(f"{name} ends")


async def waits(log: list[str], name: str) -> None:
    try:
        await asyncio.sleep(10)
    finally:
        log.append(f"{name} ends")


async def streams(log: list[str], name: str) -> AsyncIterator[int]:
    try:
        yield 1
        await asyncio.sleep(0)
        yield 2
    finally:
        log.append(f"{name} ends")


def abandoned() -> list[str]:
    """What nobody ends is ended when it is dropped, or when the collector finds it."""
    log: list[str] = []
    generator = items(log, "a dropped generator")
    next(generator)
    del generator
    log.append("dropped")
    cycle: list[Any] = [items(log, "a generator in a cycle")]
    next(cycle[0])
    cycle.append(cycle)
    del cycle
    log.append("lost")
    gc.collect()
    log.append("collected")
    coroutine = waits(log, "a dropped coroutine")
    try:
        coroutine.send(None)
    except RuntimeError:
        log.append("no loop")  # asyncio.sleep asks for one
    del coroutine
    log.append("dropped")
    return log


def with_hooks() -> list[str]:
    """The hooks of asynchronous generators are called as ever."""
    log: list[str] = []
    before = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(
        firstiter=lambda generator: log.append(f"first {generator.__name__}"),
        finalizer=lambda generator: log.append(f"last {generator.__name__}"),
    )
    try:
        stream = streams(log, "an asynchronous generator")
        step = stream.__anext__()
        try:
            step.send(None)  # type: ignore[attr-defined]
        except StopIteration as item:
            log.append(f"item {item.value}")
        del stream, step
        log.append("dropped")
    finally:
        sys.set_asyncgen_hooks(*before)
    return log


def shut_down() -> list[str]:
    """A loop that ends closes what its tasks have left open."""
    log: list[str] = []

    async def main() -> None:
        left.append(streams(log, "left open"))
        await left[0].__anext__()
        task = asyncio.create_task(waits(log, "a task"))
        await asyncio.sleep(0)
        log.append(f"main ends, {task.done()}")

    left: list[Any] = []
    asyncio.run(main())
    log.append("loop ended")
    return log
