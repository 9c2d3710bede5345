"""trio: a task is made when its nursery starts it."""

from __future__ import annotations

from collections.abc import Mapping

ENTRIES = ("trio._core._run:Task.__init__",)


def coming(arguments: Mapping[str, object]) -> object:
    """Read the coroutine of `(self, *, parent_nursery, coro, runner, name, context)`."""
    return arguments.get("coro")
