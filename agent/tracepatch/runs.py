"""One run of a thread, or of a piece of work on a thread of a pool, as plain data.

Concurrency: made and asked on the thread that begins, inside callbacks; `running` on the agent thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextvars import Context
from functools import partial
from types import BuiltinMethodType
from typing import Any, ClassVar

from tracepatch_shared.targets import Target

from .arrival import Arrival, Failure
from .handoff import plain_function, type_of
from .objects import callable_name, class_module
from .recording import Recording, current
from .walk import defining_module, instance_dict

POOLS = ("concurrent.futures.thread", "anyio._backends._asyncio", "trio._core._thread_cache")
"""Modules whose threads serve whoever comes."""


class ThreadRun(Arrival):
    """A thread that begins, or work that begins on one."""

    __slots__ = ("_context", "_identity", "_sent", "function", "name")

    kind: ClassVar[str] = "thread"
    known: ClassVar[tuple[str, ...]] = ("name", "function")
    called: ClassVar[str] = "a thread's run"
    outermost: ClassVar[bool] = False

    def __init__(
        self,
        name: object,
        function: object,
        identity: int,
        *,
        arguments: object = (),
        context: object = None,
        sent: object = None,
    ) -> None:
        """`function` is what it runs, with these arguments, in this Context if that is not the thread's.

        `identity` is what its library names where the function raises, `sent` the object that was sent to this thread.
        """
        self.name = name if type(name) is str else ""
        inner, own = _unwrapped(function, arguments)
        found = plain_function(inner)
        self.function = "" if inner is None else callable_name(inner if found is None else found)
        self._identity = identity
        self._sent = id(sent)
        self._context = context if type(context) is Context else own

    def names(self) -> dict[str, Any]:
        return {"name": self.name, "function": self.function}

    def matches(self, target: Target) -> bool:
        return target.matches_name(self.name)

    def outcome(self) -> Failure:
        return Failure(self._identity)

    def task(self, shown: Callable[[str], str]) -> dict[str, Any]:
        return {"kind": "thread", "name": shown(self.name) or "…", "function": self.function}

    def is_followed(self, recordings: Iterable[Recording]) -> bool:
        carried = None if self._context is None else self._context.get(current)
        if carried is not None and not carried.done:
            return True
        return any(self._sent in recording.sent for recording in recordings)

    def began(self, recording: Recording) -> None:
        if self._context is not None:
            try:
                self._context.run(current.set, recording)
            except RuntimeError:
                pass  # another thread is in there


def _unwrapped(function: Any, arguments: object) -> tuple[Any, Context | None]:
    """Return what is run in the end, and the Context that it is run in where that is one's own `run`."""
    given: tuple[Any, ...] = arguments if type(arguments) is tuple else ()
    for _ in range(5):
        if type(function) is not partial:
            break
        given = (*function.args, *given)
        function = function.func
    if type(function) is BuiltinMethodType and type(function.__self__) is Context and given:
        return given[0], function.__self__
    return function, None


def serves_a_pool(thread: object) -> bool:
    """Tell whether a thread takes work from a pool: it has no run of its own."""
    module = class_module(type(thread))
    function = plain_function(instance_dict(thread).get("_target"))
    return (type(module) is str and module in POOLS) or (
        function is not None and defining_module(function) in POOLS
    )


def running(wanted: Callable[[ThreadRun], bool]) -> int:
    """Return how many threads that are wanted run already."""
    active = type_of("threading", "_active")
    found = list(active.values()) if type(active) is dict else []
    return sum(
        wanted(ThreadRun(instance_dict(thread).get("_name"), None, 0))
        for thread in found
        if not serves_a_pool(thread)
    )
