"""Tasks some of which are worth keeping."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
from collections.abc import Iterator


class Missing(LookupError):
    pass


def leaf(value: str) -> str:
    return value


def refuse() -> None:
    raise ValueError("no")


def refuse_with(error: Exception) -> None:
    raise error


def work(what: str, seconds: float = 0.0) -> str:
    if seconds:
        time.sleep(seconds)
    if what == "fail":
        refuse()
    if what == "missing":
        raise Missing(what)
    if what == "caught":
        try:
            refuse()
        except ValueError:
            pass
    return leaf(what)


async def serve(what: str, seconds: float, busy: float = 0.0) -> str:
    await asyncio.sleep(seconds)
    until = time.perf_counter() + busy
    while time.perf_counter() < until:
        pass
    return leaf(what)


def context() -> contextvars.Context:
    """Return a copy of the Context in which this runs, as a task that it starts would keep it."""
    return contextvars.copy_context()


def many(calls: int, seconds: float = 0.0) -> None:
    for _ in range(calls):
        leaf("x")
    time.sleep(seconds)


def blocked(inside: threading.Event, release: threading.Event) -> None:
    inside.set()
    release.wait(10)


def steps(what: str) -> Iterator[int]:
    """Call as often as it is told, and stand still in between."""
    calls = 1
    while True:
        for _ in range(calls):
            leaf(what)
        sent = yield calls
        if sent is None:
            return what  # type: ignore[return-value]
        calls = sent


def deep(levels: int) -> str:
    """Catch, at the top, what is raised at the bottom."""
    if not levels:
        raise Missing("deep")
    if levels == 3:
        try:
            return deep(levels - 1)
        except LookupError:
            return leaf("caught")
    return deep(levels - 1)


async def failing(how: str) -> None:
    await asyncio.sleep(0)
    if how == "task":
        raise Missing("in a task")
    await asyncio.to_thread(deep, 1)


async def branches(what: str) -> str:
    """Let a branch fail, and go on."""
    if what != "none":
        await asyncio.gather(failing(what), return_exceptions=True)
    return leaf(what)
