"""Long work of the agent's thread in slices, between which the application's threads get the GIL.

The interpreter takes the GIL from a thread after 5 ms, and an event loop wants it at every turn: without slices each of
its turns would wait so long.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter

from . import primitives

SLICE_S = 0.001
PAUSE_S = 0.0002


class Slices:
    """When the present slice is over."""

    __slots__ = ("_began_s", "_clock")

    def __init__(self, clock: Callable[[], float] = perf_counter) -> None:
        self._clock = clock
        self._began_s = clock()

    def breathe(self) -> None:
        """Let other threads run if the slice is over, and begin another."""
        if self._clock() - self._began_s > SLICE_S:
            primitives.Flag().wait(PAUSE_S)
            self._began_s = self._clock()
