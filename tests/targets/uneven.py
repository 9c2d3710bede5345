"""Code that leaves its frames in unusual ways."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from tracepatch.frame_ids import frame_id

from . import patience


def leaf(value: object) -> object:
    return value


async def waits() -> None:
    await asyncio.sleep(10)


async def waits_for(started: asyncio.Event, leave: asyncio.Event) -> None:
    started.set()
    await leave.wait()


async def items() -> AsyncIterator[int]:
    yield 1
    await waits()
    yield 2


async def cancelled_inside_an_async_generator() -> object:
    try:
        async for _ in items():
            pass
    except asyncio.CancelledError:
        return leaf("after")
    return None


async def falls_back() -> object:
    await asyncio.sleep(0.05)
    return leaf("fallback")


async def serves() -> object:
    try:
        await asyncio.sleep(10)
    except asyncio.CancelledError:
        pass
    return await falls_back()


async def goes_on_after_a_cancellation() -> object:
    asyncio.get_running_loop().call_later(0.02, leaf, "timer")
    return await serves()


async def goes_on_below_a_patient_library(again: bool) -> object:
    asyncio.get_running_loop().call_later(0.03, leaf, "timer")
    answer = await patience.patient(again=again)
    return leaf(answer)


async def child(number: int) -> int:
    return number


async def spawns(number: int) -> int:
    return await asyncio.create_task(child(number))


async def wastes() -> None:
    asyncio.ensure_future(child(-1)).cancel()
    await asyncio.sleep(0), await asyncio.sleep(0)


async def spawns_after_waste() -> None:
    for number in range(3):
        await wastes()
        await spawns(number)


def numbers(tag: str) -> Iterator[int]:
    for number in range(3):
        leaf(tag)
        yield number


async def ticks() -> AsyncIterator[int]:
    for number in range(3):
        await asyncio.sleep(0)
        leaf("traced")
        yield number


def many(count: int) -> int:
    return sum(1 for _ in range(count))


class Thing:
    pass


def drops(thing: Any) -> bool:
    gone = weakref.ref(thing)
    del thing
    return gone() is None


def apply(function: Callable[[int], None], count: int) -> None:
    function(count)


def takes_in_place_of(holder: list[Any]) -> list[int]:
    """Close a generator, and take from another whose frame lies at its address; from none when none comes to lie there."""
    address = frame_id(holder[-1].gi_frame)
    holder.pop().close()
    others: list[Any] = []
    while len(others) < 500:
        others.append(numbers("other"))
        next(others[-1])
        if frame_id(others[-1].gi_frame) == address:
            return list(others[-1])
    return []


def takes(items: Iterator[Any]) -> list[Any]:
    leaf("before")
    taken = list(items)
    leaf("after")
    return taken


def refuses_to_be_closed() -> Iterator[int]:
    leaf("first")
    with contextlib.suppress(GeneratorExit):
        yield 1
    yield 2
    leaf("last")


def takes_from_a_stranger(begin: Callable[[int], Iterator[int]]) -> list[int]:
    mine = refuses_to_be_closed()
    next(mine)
    address = frame_id(mine.gi_frame)  # type: ignore[attr-defined]
    del mine
    return list(contextvars.Context().run(begin, address))


def answers_inside() -> Iterator[int]:
    try:
        yield 0
    except ValueError:
        leaf("inside")


def delegates() -> Iterator[int]:
    yield from answers_inside()
    leaf("behind")
    yield 1
    leaf("end")


def throws_through_a_delegate() -> None:
    items = delegates()
    next(items)
    items.throw(ValueError())  # type: ignore[attr-defined]
    leaf("between")
    next(items, None)
