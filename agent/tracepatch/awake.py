"""How the agent's thread sleeps, and gets the GIL while it is awake.

A thread that wants the GIL asks for it only after nobody has let go of it for a switch interval, 5 ms. An event loop that
is never idle lets go of it more often, for a few microseconds each time, and has it back before the thread that waits has
woken up: such a process would not answer for seconds. So while the agent's thread is awake the interval is 0.1 ms, on 3.12
and newer.

The native core sets it as it wakes up (`cores/native/wait.c`). Without that core it is set as soon as the GIL is there,
which the first time may take long.

Agent thread only. What `sys.setswitchinterval` is told by others meanwhile stays.
"""

from __future__ import annotations

import errno
import os
import sys

import zmq

try:
    from .cores._native import rest as rest
    from .cores._native import wait as wait
except ImportError:  # there was no compiler when it was installed
    OURS_US = 103
    _theirs: list[int] = []
    _last: list[int] = []

    def wait(file: int, other: int, timeout_ms: int, /) -> None:
        """Sleep until one of two files can be read, for as long as it takes where the time is -1; raise `OSError` for none."""
        rest()
        found = zmq.zmq_poll([(file, zmq.POLLIN), (other, zmq.POLLIN)], timeout_ms)
        if sys.version_info >= (3, 12):  # see wait.c
            _hurry()
        if any(events & zmq.POLLERR for _, events in found):
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))

    def _hurry() -> None:
        now = _interval_us()
        if now > OURS_US:
            _last[:] = [now]
            _theirs.append(now)
            _set(OURS_US)
        elif now == OURS_US:
            _theirs.extend(_last)

    def rest() -> None:
        """Give back what was set."""
        while _theirs:
            theirs = _theirs.pop()
            if _interval_us() == OURS_US:
                _set(theirs)

    def _interval_us() -> int:
        return round(sys.getswitchinterval() * 1e6)

    def _set(interval_us: int) -> None:
        sys.setswitchinterval((interval_us + 0.25) / 1e6)  # what is behind the point is cut off
