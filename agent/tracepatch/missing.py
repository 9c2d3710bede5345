"""Whether something is gone for good, or an application thread just holds it.

A trigger takes a slot, a permit or a token without a lock, and a signal handler of the application may raise right then.
Whoever counts from another thread sees what triggers hold just now as missing, too; on a busy target that is the case
at every third look. What is missing at each of many looks is lost.
"""

from __future__ import annotations

LOOKS = 20


class Missing:
    """Remembers what was missing at the last looks (agent thread)."""

    __slots__ = ("_least", "_looks")

    def __init__(self) -> None:
        self._least = 0
        self._looks = 0

    def lost(self, missing: int) -> int:
        """Take note of how many are missing now; return how many are lost and are to be put back."""
        self._least = missing if self._looks == 0 else min(self._least, missing)
        self._looks = 0 if self._least <= 0 else self._looks + 1
        if self._looks < LOOKS:
            return 0
        self._looks = 0
        return self._least
