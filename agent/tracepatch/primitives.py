"""Locks and threads of the operating system, also where gevent or eventlet replaced the standard ones.

Under gevent a patched thread is a greenlet: it gets no turn while the application computes, and zmq's blocking
poll would freeze the hub. The originals are found through `sys.modules`; neither library is ever imported.
"""

from __future__ import annotations

import _thread
import sys
from collections.abc import Callable
from typing import Any


def _original(name: str) -> Any:
    """Return `_thread`'s own attribute, whatever was patched over it; None when nothing was."""
    gevent = sys.modules.get("gevent.monkey")
    if gevent is not None and gevent.is_module_patched("_thread"):
        return gevent.get_original("_thread", name)
    eventlet = sys.modules.get("eventlet.patcher")
    if eventlet is not None and eventlet.is_monkey_patched("thread"):
        return getattr(eventlet.original("_thread"), name)
    return None


def patched() -> bool:
    """Return whether `threading` makes greenlets in this process."""
    return _original("start_new_thread") is not None


def lock() -> Any:
    """Return an unlocked native lock."""
    return (_original("allocate_lock") or _thread.allocate_lock)()


class Flag:
    """An event that is set once and can be waited for, on a native lock."""

    def __init__(self) -> None:
        self._lock = lock()
        self._lock.acquire()
        self._set = False

    def set(self) -> None:
        """Let every waiter go on; only the first call counts."""
        if not self._set:
            self._set = True
            self._lock.release()

    def wait(self, timeout_s: float) -> bool:
        """Return whether the flag was set within the time."""
        if not self._lock.acquire(True, timeout_s):
            return False
        self._lock.release()
        return True


def start_thread(name: str, run: Callable[[], None]) -> None:
    """Run a function on a native daemon thread."""
    start_new_thread = _original("start_new_thread")
    if start_new_thread is not None:
        start_new_thread(run, ())
        return
    import threading

    threading.Thread(target=run, name=name, daemon=True).start()
