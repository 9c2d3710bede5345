"""Whose turn it is to change what is inserted into functions: one at a time, and nobody of the application's waits long.

It is a dictionary that says who has it, no lock: a signal handler may raise right after a lock was taken, before anybody
knows that it was. Where one keeps a turn from being given back, whoever may wait for a second takes it over.

Concurrency: any thread. A holder has it for well under a millisecond; an application thread lets it go on, by waiting for
a native lock that nobody opens (`sleep` may be gevent's), and gives up after `BRIEFLY_S`.
"""

from __future__ import annotations

from collections.abc import Iterator
from time import perf_counter
from types import TracebackType
from typing import Final

from . import primitives

BRIEFLY_S: Final = 0.005
PATIENTLY_S: Final = 1.0
"""What takes so long has been forgotten."""
_GLANCE_S: Final = 0.0001


def glances(within_s: float) -> Iterator[None]:
    """Let others go on for a moment, again and again, for so many seconds."""
    until = perf_counter() + within_s
    closed = primitives.lock()
    closed.acquire()
    while perf_counter() < until:
        closed.acquire(True, _GLANCE_S)
        yield


class Turn:
    """Hold it with `with turn.held(within_s) as mine:`, and do nothing unless it is `mine`."""

    __slots__ = ("_holder",)

    def __init__(self) -> None:
        self._holder: dict[str, object] = {}

    def held(self, within_s: float = PATIENTLY_S) -> _Held:
        """Return what takes the turn for a block of code, within this time."""
        return _Held(self._holder, within_s)


class _Held:
    __slots__ = ("_holder", "_within_s")

    def __init__(self, holder: dict[str, object], within_s: float) -> None:
        self._holder = holder
        self._within_s = within_s

    def __enter__(self) -> bool:
        holder = self._holder
        if holder.setdefault("turn", self) is self:
            return True
        for _ in glances(self._within_s):
            if holder.setdefault("turn", self) is self:
                return True
        if self._within_s < PATIENTLY_S:
            return False
        holder["turn"] = self
        return True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        holder = self._holder
        if holder and holder["turn"] is self:
            del holder["turn"]
