"""The border between our code and the application: no bug of ours passes it, no exception of theirs is kept.

Wherever agent code runs on an application's thread (interpreter callbacks, fork and exit hooks, `start`), and
around the agent thread's own work, the same construct stands:

    try:
        ...                                 or        with contained():
    except BaseException as error:                         ...
        take(error)

`take` notes an exception of ours and swallows it; the agent thread reports it once, in the log, and disarms
everything. One that is not ours is raised again: a signal handler of the application may run, and raise, while a
callback of ours runs (Celery's soft time limit, gunicorn's timeout, Ctrl-C), and its exception belongs to the
application.

Concurrency: `take` runs on any thread, inside callbacks, with no lock, no log and no I/O. The first problem since
the last `report` is kept; a race between two threads loses one of the two, which is fine.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from inspect import CO_VARARGS
from itertools import pairwise
from types import FrameType, TracebackType
from typing import Final

MAX_FRAMES: Final = 20
"""Innermost frames that a report shows."""

_OURS: Final = ("tracepatch", "tracepatch_shared", "msgpack", "zmq")


_LIBRARY: Final = os.path.dirname(os.__file__) + os.sep
_NOT_LIBRARY: Final = tuple(f"{os.sep}{name}{os.sep}" for name in ("site-packages", "dist-packages"))


class Problem:
    """An exception of ours, as text: no reference to a frame, a traceback or a value.

    Its own message is left out: it may hold a value of the application, such as the key of a KeyError, and a log is no
    place for secrets.
    """

    __slots__ = ("kind", "where")

    def __init__(self, error: BaseException) -> None:
        self.kind = type(error).__name__
        self.where = _places(error.__traceback__)

    def __str__(self) -> str:
        return f"{self.kind} at" + "".join(f"\n  {place}" for place in self.where)


class _State:
    """What `take` leaves for the agent thread: one per process."""

    problem: Problem | None = None
    overflows: int = 0
    """RecursionErrors inside callbacks: the application was at its own limit, nothing is wrong with us."""
    wake: Callable[[], None] | None = None


_state = _State()


def take(error: BaseException) -> None:
    """Swallow and note an exception of ours, raise any other again. To be called inside `except BaseException`."""
    if type(error) is RecursionError:  # first: there may be no room for another call
        _state.overflows += 1
        return
    if not ours(error):
        raise error
    try:
        note(error)
        wake = _state.wake
        if wake is not None:
            wake()
    except Exception:  # noqa: BLE001 - at the recursion limit or out of memory; the problem shows again
        return


def note(error: BaseException) -> None:
    """Note an exception whatever it is: for the agent thread, where no handler of the application runs."""
    if _state.problem is None:
        _state.problem = Problem(error)


class contained:  # noqa: N801 - reads as a statement: `with contained():`
    """Context manager around code of ours that is not hot; see `take`."""

    __slots__ = ()

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        if error is None or not ours(error):
            return False
        take(error)
        return True


def report() -> Problem | None:
    """Return the problem noted since the last call, and forget it; agent thread."""
    problem = _state.problem
    if problem is not None:
        _state.problem = None
    return problem


def on_problem(wake: Callable[[], None] | None) -> None:
    """Say what wakes the agent thread when a problem was noted; None when no agent runs."""
    _state.wake = wake


def ours(error: BaseException) -> bool:
    """Return whether an exception comes from a bug of ours rather than from a signal handler or another tool.

    Ours are only `Exception`s of types that we can raise, with no frame of other code in their traceback: capture
    runs no user code, so such a frame can only belong to a handler. `PyThreadState_SetAsyncExc` leaves no frame,
    but a type of its own.
    """
    if not isinstance(error, Exception) or isinstance(error, TimeoutError):
        return False  # nothing of ours can time out: a deadline of the application's, set from another thread
    module = type.__getattribute__(type(error), "__module__")
    if not isinstance(module, str):
        return False
    package = module.partition(".")[0]
    if package not in _OURS and package not in sys.stdlib_module_names:
        return False
    traceback = error.__traceback__
    while traceback is not None:
        if not _trusted(traceback.tb_frame.f_code.co_filename):
            return False
        traceback = traceback.tb_next
    return True


def of_handler(error: BaseException) -> bool:
    """Return whether a signal handler raised it, for where code of the application's runs and may raise as well.

    A handler is known by what it is given: a number and the frame that it interrupts. What another thread sets
    (`PyThreadState_SetAsyncExc`) leaves no such trace.
    """
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        interrupted, traceback = traceback.tb_frame, traceback.tb_next
        given = _given(traceback.tb_frame)
        if any(frame is interrupted and type(number) is int for number, frame in pairwise(given)):
            return True
    return False


def _given(frame: FrameType) -> tuple[object, ...]:
    code = frame.f_code
    count = code.co_argcount
    rest = bool(code.co_flags & CO_VARARGS)
    if count + rest == 0:
        return ()
    values = frame.f_locals
    given = tuple(values.get(name) for name in code.co_varnames[:count])
    others = values.get(code.co_varnames[count + code.co_kwonlyargcount]) if rest else ()
    return (*given, *others) if type(others) is tuple else given


def _trusted(file: str) -> bool:
    if file.startswith("<frozen "):
        return True
    for name in _OURS:
        module = sys.modules.get(name)
        path = getattr(module, "__file__", None)
        if path and file.startswith(os.path.dirname(path) + os.sep):
            return True
    return file.startswith(_LIBRARY) and not any(part in file for part in _NOT_LIBRARY)


def _places(traceback: TracebackType | None) -> tuple[str, ...]:
    places: list[str] = []
    while traceback is not None:
        code = traceback.tb_frame.f_code
        places.append(f"{code.co_filename}:{traceback.tb_lineno} {code.co_name}")
        traceback = traceback.tb_next
    return tuple(places[-MAX_FRAMES:])
