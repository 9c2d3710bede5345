"""What others pay, second by second: candidates are passed over first, then the probe ends.

Two things cost them: recording, which reports their calls too, and the targets at which a probe waits, where each task is
looked at that is not recorded: its request is read, its condition evaluated.

Concurrency: `add` is called by the agent thread; `miss` and `used_up` by application threads in triggers, without a
lock: of two that miss at once one may go uncounted.
"""

from __future__ import annotations

from typing import Final

THROTTLED: Final = 0.8
"""Candidates are passed over for the rest of a second when so much of its budget is used up: those that record go on."""
WINDOW: Final = 5
"""Seconds that are looked back on."""
MOST: Final = 3
"""Seconds among these that may not pass the budget."""

_SECOND_NS = 1_000_000_000


class Tax:
    """Nanoseconds that were taken from other tasks, of the present second and of the last ones."""

    def __init__(self) -> None:
        self._recorded: dict[int, float] = {}
        """Second -> what recording has cost."""
        self._missed: dict[int, int] = {}
        """Second -> what looking at tasks has cost that were not recorded."""
        self._now_ns = 0
        self.missed_ns = 0

    def add(self, spent_ns: float, now_ns: int) -> None:
        """Take in what recording has cost since the last time."""
        self._now_ns = now_ns
        second = now_ns // _SECOND_NS
        self._recorded[second] = self._recorded.get(second, 0.0) + spent_ns
        for table in (self._recorded, self._missed):
            for old in [one for one in list(table) if one <= second - WINDOW]:
                table.pop(old, None)

    def miss(self, spent_ns: int, now_ns: int) -> None:
        """Take in what a task has cost that was looked at and is not recorded (any thread)."""
        second = now_ns // _SECOND_NS
        self._missed[second] = self._missed.get(second, 0) + spent_ns
        self.missed_ns += spent_ns

    def _paid_ns(self, second: int) -> float:
        return self._recorded.get(second, 0.0) + self._missed.get(second, 0)

    @property
    def share(self) -> float:
        """The part of a core that others have paid in the present second so far, or in the one before where that was more."""
        second = self._now_ns // _SECOND_NS
        return max(self._paid_ns(second), self._paid_ns(second - 1)) / _SECOND_NS

    def used_up(self, budget: float, now_ns: int) -> bool:
        """Tell whether no further candidate may begin in this second; `budget` is a part of a core."""
        return self._paid_ns(now_ns // _SECOND_NS) > THROTTLED * budget * _SECOND_NS

    def passed(self, budget: float, now_ns: int) -> bool:
        """Tell whether others have paid more than the budget in three of the last five seconds."""
        last = now_ns // _SECOND_NS
        seconds = range(last - WINDOW + 1, last + 1)
        return sum(self._paid_ns(second) > budget * _SECOND_NS for second in seconds) >= MOST
