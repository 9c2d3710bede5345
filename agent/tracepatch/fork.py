"""What happens when the process forks: the child gets a fresh, dormant agent of its own.

Nothing inherited from libzmq is used or closed through libzmq in the child: its threads are not there, and a send on an
inherited socket seems to succeed. The inherited objects are kept, untouched, so that no finaliser runs. Only the
descriptors of the parent's Unix socket are closed, or `connect()` to a killed parent would still be answered by its
children.

Hooks run for `os.fork` and what is built on it. A server that forks in C without Python's hooks is noticed by the pid
that no longer fits, on the next `start` or wake-up.

Concurrency: the hook runs on the only thread of the child, before the application goes on; it takes no lock of the
parent's time, logs nothing and never raises.
"""

from __future__ import annotations

import os
import socket
import stat
import sys
from collections.abc import Callable, Iterable
from typing import Any

from . import containment

MAX_DESCRIPTORS = 65_536
"""Descriptors looked at where /proc does not list the open ones."""

_children: list[Callable[[], None]] = []
_registered = False
_inherited: list[object] = []
"""Objects around libzmq's state of the parent: never touched again, never finalised."""


def in_child(restart: Callable[[], None]) -> None:
    """Have `restart` called in every fork child from now on."""
    global _registered
    if restart not in _children:
        _children.append(restart)
    if not _registered and hasattr(os, "register_at_fork"):
        _registered = True
        os.register_at_fork(after_in_child=_after)


def not_in_child(restart: Callable[[], None]) -> None:
    """Undo `in_child`."""
    if restart in _children:
        _children.remove(restart)


def _after() -> None:
    for restart in list(_children):
        try:
            restart()
        except BaseException as error:  # noqa: BLE001 - nothing of ours may end the child
            try:
                containment.note(error)
            except Exception:  # noqa: BLE001
                pass


def keep(inherited: object) -> None:
    """Keep an object of the parent's alive and unused for the rest of this process."""
    _inherited.append(inherited)


def close_sockets(path: str) -> int:
    """Close every descriptor of a Unix socket that is bound to `path` or was accepted there; return how many.

    About 3 µs per open socket.
    """
    closed = 0
    for descriptor in _descriptors():
        try:
            if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
                continue
            found = socket.socket(fileno=descriptor)
        except OSError:
            continue
        try:
            ours = found.family == socket.AF_UNIX and found.getsockname() == path
        except OSError:
            ours = False
        finally:
            found.detach()
        if ours:
            os.close(descriptor)
            closed += 1
    return closed


def _descriptors() -> Iterable[int]:
    for folder in ("/proc/self/fd", "/dev/fd"):
        try:
            return [int(name) for name in os.listdir(folder)]
        except (OSError, ValueError):
            continue
    try:
        most = os.sysconf("SC_OPEN_MAX")
    except (OSError, ValueError):
        most = 1024
    return range(3, min(most, MAX_DESCRIPTORS))


def at_multiprocessing_exit(owner: object, close: Callable[[Any], None]) -> None:
    """Have `close(owner)` called when a child of `multiprocessing` ends: those skip `atexit`.

    To be called in the child's fork hook: `multiprocessing` drops the finalisers of the parent after it.
    """
    util = sys.modules.get("multiprocessing.util")
    if util is not None:
        util.register_after_fork(
            owner, lambda owner: util.Finalize(None, close, args=(owner,), exitpriority=0)
        )
