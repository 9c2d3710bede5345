"""Signals as requests: Ctrl-C disarms, and what came is still shown."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Interruption:
    """Signals that end the session: the first one asks, a second one breaks off."""

    def __init__(self) -> None:
        self.signal = 0
        """The signal that came, 0 for none."""

    @contextmanager
    def watching(self) -> Iterator[Interruption]:
        """Take over SIGINT, SIGTERM and SIGHUP; only in the main thread, elsewhere nothing changes."""
        names = [name for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
        before: dict[int, Any] = {}
        if threading.current_thread() is threading.main_thread():
            for name in names:
                number = getattr(signal, name)
                if signal.getsignal(number) is not signal.SIG_IGN:  # nohup stays in force
                    before[number] = signal.signal(number, self._take)
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _take(self, number: int, _frame: object) -> None:
        if self.signal:
            raise KeyboardInterrupt
        self.signal = number
