"""asyncio: where its loops make tasks, whoever asks for one."""

from __future__ import annotations

from collections.abc import Mapping

ENTRIES = ("asyncio.base_events:BaseEventLoop.create_task",)


def coming(arguments: Mapping[str, object]) -> object:
    """Read the coroutine of `(self, coro, *, name, context)`."""
    return arguments.get("coro")
