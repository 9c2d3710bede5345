"""Which of the tasks that match become candidates: `--sample 1/N` and `--rate N/s`.

Concurrency: `admits` runs on application threads inside the trigger, without a lock. A token of the rate is the time
at which it was used last; `deque.popleft` and `append` are atomic, so never more tasks are admitted than there are
tokens in a window. `+=` on the counters is not, as everywhere in `probe`.
"""

from __future__ import annotations

from collections import deque
from math import ceil
from random import Random
from time import perf_counter_ns

from .missing import Missing


class Admission:
    """Decides in the trigger, before a permit or a slot is looked for."""

    def __init__(self, *, sample: int = 1, rate: float | None = None) -> None:
        """Admit every `sample`-th task on average, and of these at most `rate` a second."""
        self.sampled_out = 0
        self.rate_limited = 0
        self._sample = sample
        # Not the module's functions: the application may have seeded those, and counts on what comes next.
        self._random = Random().random
        tokens = 0 if rate is None else ceil(rate)
        self._tokens: deque[int] | None = None if rate is None else deque([0] * tokens)
        self._count = tokens
        self._window_ns = 0 if rate is None else round(tokens / rate * 1e9)
        self._missing = Missing()

    def admits(self, *, free: bool, now_ns: int | None = None) -> bool:
        """Return whether this task may become a candidate; one for which nothing is `free` uses up no token."""
        if self._sample > 1 and self._random() * self._sample >= 1.0:
            self.sampled_out += 1
            return False
        tokens = self._tokens
        if tokens is None or not free:
            return True
        now = perf_counter_ns() if now_ns is None else now_ns
        try:
            used = tokens.popleft()
        except IndexError:  # other threads hold all of them just now
            self.rate_limited += 1
            return False
        if used and now - used < self._window_ns:
            tokens.appendleft(used)
            self.rate_limited += 1
            return False
        tokens.append(now)
        return True

    def make_up(self) -> None:
        """Put back tokens that were taken when a signal handler raised (agent thread)."""
        if self._tokens is not None:
            lost = self._missing.lost(self._count - len(self._tokens))
            self._tokens.extend([perf_counter_ns()] * lost)
