"""One function of every kind that a target can name."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any


def leaf(value: object) -> object:
    return value


def plain(value: object) -> object:
    return leaf(value)


class Thing:
    def method(self, value: object) -> object:
        return leaf(value)

    @staticmethod
    def static(value: object) -> object:
        return leaf(value)

    @classmethod
    def classy(cls, value: object) -> object:
        return leaf(value)

    @property
    def held(self) -> object:
        return leaf("held")


def with_wraps(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


def without_wraps(function: Callable[..., Any]) -> Callable[..., Any]:
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


@with_wraps
def wrapped(value: object) -> object:
    return leaf(value)


@without_wraps
def hidden(value: object) -> object:
    return leaf(value)


def maker(first: object) -> Callable[[object], object]:
    def closure(value: object) -> object:
        return leaf((first, value))

    return closure


def generator(count: int) -> Iterator[object]:
    for number in range(count):
        yield leaf(number)


async def coroutine(value: object) -> object:
    await asyncio.sleep(0)
    return leaf(value)


async def async_generator(count: int) -> AsyncIterator[object]:
    for number in range(count):
        await asyncio.sleep(0)
        yield leaf(number)


def recursive(depth: int) -> int:
    return depth and recursive(depth - 1)


def raises(value: object) -> None:
    leaf(value)
    raise ValueError(f"no {value}")


async def _collect(count: int) -> list[object]:
    return [item async for item in async_generator(count)]


CALLS: dict[str, Callable[[], object]] = {
    "plain": lambda: plain(1),
    "Thing.method": lambda: Thing().method(1),
    "Thing.static": lambda: Thing.static(1),
    "Thing.classy": lambda: Thing.classy(1),
    "Thing.held": lambda: Thing().held,
    "wrapped": lambda: wrapped(1),
    "hidden": lambda: hidden(1),
    "maker.closure": lambda: maker(1)(2),
    "generator": lambda: list(generator(3)),
    "coroutine": lambda: asyncio.run(coroutine(1)),
    "async_generator": lambda: asyncio.run(_collect(3)),
    "recursive": lambda: recursive(4),
}
