"""asyncio: where tasks are made; on uvloop `loop.create_task` itself is compiled, and only the functions above it tell."""

from __future__ import annotations

from collections.abc import Mapping

ENTRIES = (
    "asyncio.base_events:BaseEventLoop.create_task",
    "asyncio.tasks:create_task",
    "asyncio.tasks:ensure_future",
    "asyncio.taskgroups:TaskGroup.create_task",
)


def coming(arguments: Mapping[str, object]) -> object:
    """Read the coroutine of `(coro, *, name)` or `(coro_or_future)`."""
    return arguments.get("coro_or_future") if "coro_or_future" in arguments else arguments.get("coro")
