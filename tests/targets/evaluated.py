"""What the evaluation hook of 3.10 and 3.11 has to get right."""

from __future__ import annotations

import asyncio
import cProfile
import sys
from collections.abc import Callable, Iterator
from contextvars import copy_context
from typing import Any


def plain(first: Any, second: Any = 2, *rest: Any, third: Any = 3, **named: Any) -> Any:
    def inner() -> Any:
        return first

    return inner()


def fails(depth: int) -> None:
    if depth:
        fails(depth - 1)
    raise ValueError("deep")


def catches() -> Any:
    try:
        fails(3)
    except ValueError as error:
        return plain(str(error))
    finally:
        plain(0)


def items(count: int) -> Iterator[Any]:
    for number in range(count):
        try:
            yield plain(number)
        except KeyError:
            yield "caught"


def iterates() -> Any:
    taken = items(3)
    next(taken)
    taken.send(None)
    taken.throw(KeyError("thrown"))
    taken.close()
    doubled = [plain(number) for number in range(2)]
    return sum(item for item in items(2)), doubled, list(map(plain, doubled)), sorted(doubled, key=plain)


async def awaits(depth: int) -> int:
    if depth:
        return await awaits(depth - 1)
    await asyncio.sleep(0)
    plain(1)
    return depth


async def breaks() -> None:
    await asyncio.sleep(0)
    raise OSError("broken")


async def gathers() -> None:
    try:
        await asyncio.gather(awaits(1), breaks())
    except OSError:
        plain(9)


class Box:
    def __init__(self) -> None:
        self.content = plain(1)

    def __getitem__(self, key: int) -> Any:
        return plain(key)

    def __del__(self) -> None:
        plain("gone")

    @property
    def size(self) -> Any:
        return plain("size")


def boxes() -> None:
    box = Box()
    for index in range(20):
        box[index]
    box.size
    del box


def everything() -> None:
    plain(1)
    catches()
    iterates()
    boxes()
    copy_context().run(plain, 5)
    asyncio.run(awaits(3))
    asyncio.run(gathers())


def many(count: int) -> None:
    for number in range(count):
        plain(number)


def descends(depth: int) -> int:
    return 0 if depth == 0 else 1 + descends(depth - 1)


def endless() -> None:
    endless()


def bottomless() -> str:
    try:
        endless()
    except RecursionError:
        return "caught"
    return "never"


def profiled(profile: cProfile.Profile) -> None:
    profile.enable()
    many(3)
    profile.disable()


def debugged(told: list[tuple[str, str]] | None) -> int:
    if told is None:
        return 0

    def debugger(frame: Any, event: str, _: object) -> Any:
        told.append((event, frame.f_code.co_name))
        return debugger

    sys.settrace(debugger)
    sys._getframe().f_trace = debugger
    descends(1)
    sys.settrace(None)
    return 1


def above(told: list[tuple[str, str]]) -> int:
    return debugged(None) + debugged(told)


def in_greenlet(parent: Any) -> int:
    return plain(goes_back(parent))


def goes_back(parent: Any) -> Any:
    return parent.switch("from below")


async def switches() -> Any:
    import greenlet

    below = greenlet.greenlet(in_greenlet)
    found = below.switch(greenlet.getcurrent())
    await asyncio.sleep(0)
    return found, below.switch("from above"), plain("last")


def calls(function: Callable[[], Any]) -> Any:
    return function()
