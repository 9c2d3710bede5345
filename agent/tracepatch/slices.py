"""Long work of the agent's thread in slices, between which the application's threads get the GIL.

The interpreter takes the GIL from a thread after 5 ms, and an event loop wants it at every turn: without slices each of
its turns would wait so long. A thread that computes keeps it for 5 ms each time, so that slices are longer beside one.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter

from . import primitives

SLICE_S = 0.001
PAUSE_S = 0.0002
SHARE_S = 0.004
"""A slice that comes after another thread has computed for its whole turn: it gets the GIL back as fast as it gave it."""


class Slices:
    """When the present slice is over."""

    __slots__ = ("_began_s", "_clock", "_slice_s")

    def __init__(self, clock: Callable[[], float] = perf_counter) -> None:
        self._clock = clock
        self._began_s = clock()
        self._slice_s = SLICE_S

    def breathe(self) -> None:
        """Let other threads run if the slice is over, and begin another."""
        ended_s = self._clock()
        if ended_s - self._began_s > self._slice_s:
            primitives.Flag().wait(PAUSE_S)
            self._began_s = self._clock()
            self._slice_s = SHARE_S if self._began_s - ended_s > SHARE_S else SLICE_S
