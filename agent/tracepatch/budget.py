"""What recording costs everybody else, second by second: candidates are passed over first, then the probe ends.

Concurrency: `add` is called by the agent thread; `used_up` by application threads in triggers, which only read.
"""

from __future__ import annotations

from collections import deque
from typing import Final

THROTTLED: Final = 0.8
"""Candidates are passed over for the rest of a second when so much of its budget is used up: those that record go on."""
WINDOW: Final = 5
"""Seconds that are looked back on."""
MOST: Final = 3
"""Seconds among these that may not pass the budget."""

_SECOND_NS = 1_000_000_000


class Tax:
    """Nanoseconds that recording took from other tasks, of the present second and of the last ones."""

    def __init__(self) -> None:
        self._second = 0
        self._spent_ns = 0.0
        self._past: deque[tuple[int, float]] = deque(maxlen=WINDOW)

    def add(self, spent_ns: float, now_ns: int) -> None:
        """Take in what was spent since the last time."""
        second = now_ns // _SECOND_NS
        if second != self._second:
            self._past.append((self._second, self._spent_ns))
            self._second, self._spent_ns = second, 0.0
        self._spent_ns += spent_ns

    @property
    def share(self) -> float:
        """The part of a core that others have paid in the present second so far."""
        return self._spent_ns / _SECOND_NS

    def used_up(self, budget: float, now_ns: int) -> bool:
        """Tell whether no further candidate may begin in this second; `budget` is a part of a core."""
        return self._spent_ns > THROTTLED * budget * _SECOND_NS and now_ns // _SECOND_NS == self._second

    def passed(self, budget: float, now_ns: int) -> bool:
        """Tell whether others have paid more than the budget in three of the last five seconds."""
        since = now_ns // _SECOND_NS - WINDOW
        seconds = [*list(self._past), (self._second, self._spent_ns)]
        return sum(second > since and spent > budget * _SECOND_NS for second, spent in seconds) >= MOST
