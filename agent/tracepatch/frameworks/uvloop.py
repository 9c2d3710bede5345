"""uvloop, whose own `create_task` is compiled: what asyncio calls it from tells, too. Direct calls of it are not seen."""

from __future__ import annotations

from collections.abc import Mapping

ENTRIES = (
    "asyncio.tasks:create_task",
    "asyncio.tasks:ensure_future",
    "asyncio.taskgroups:TaskGroup.create_task",
)
NEEDS = ("uvloop", "winloop", "rloop")


def coming(arguments: Mapping[str, object]) -> object:
    """Read the coroutine of `(coro, *, name)` or `(coro_or_future)`."""
    return arguments.get("coro_or_future") if "coro_or_future" in arguments else arguments.get("coro")
