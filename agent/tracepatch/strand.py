"""What runs one call at a time: a thread, or under gevent or eventlet a greenlet.

Greenlets of one thread take turns inside calls, so that a stack of calls belongs to a greenlet there, and what is kept
per thread elsewhere is kept per greenlet. Other uses of greenlets (SQLAlchemy's, below a coroutine) switch like calls
and need no such care. The libraries are found through `sys.modules`, never imported.
"""

from __future__ import annotations

import sys
from _thread import get_ident
from collections.abc import Callable
from types import FrameType
from typing import Any


def greenlets() -> bool:
    """Tell whether greenlets take turns in this process."""
    return "gevent" in sys.modules or "eventlet" in sys.modules


def identity() -> Callable[[], int]:
    """Return a function that tells strands apart: of two that exist, each has its own number."""
    if not greenlets():
        return get_ident
    current: Callable[[], Any] = sys.modules["greenlet"].getcurrent
    return lambda: id(current())


def here() -> int:
    """Return the number of the calling strand."""
    return identity()()


def outermost(frame: FrameType) -> FrameType:
    """Return the frame below all others of a thread, or of the greenlet that runs on it."""
    while frame.f_back is not None:
        frame = frame.f_back
    return frame
