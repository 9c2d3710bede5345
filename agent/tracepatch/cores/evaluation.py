"""The `native` core for 3.10 and 3.11: `profile` with the straight path in C (cores/native/).

While a trace is live the interpreter's evaluation hook (PEP 523) looks at the frames that begin on the threads that the
trace hook is on. An ordinary function of a traced task is recorded there, without the trace hook being told, and runs
with tracing masked; whatever is not as ordinary comes to the trace hook as without this (native/hook.c). Under gevent and
eventlet the trace hook does it all: a greenlet that goes on has the mask of the one before it.

Concurrency: the evaluation hook is the whole interpreter's; it is put in and taken out by whoever has the core's turn.
"""

from __future__ import annotations

from types import CodeType
from typing import Any

from ..codes import Entry
from ..recording import Recording, current
from ..strand import greenlets
from . import _native
from .logs import new_log
from .profile import ProfileCore

_SWITCHES = frozenset(("switch", "throw"))
"""What a function calls that hands its thread to another greenlet (SQLAlchemy's, below a coroutine): that one takes the
mask along, so it has to be none."""


class _Item:
    def __getitem__(self, key: int) -> int:
        return key


def _index(item: _Item) -> None:
    for _ in range(100):
        item[0]


_index(_Item())  # from here on 3.11 runs what it has specialized
if _native.evaluations(_index, _Item()) not in (101, -1):  # early 3.11: it enters `__getitem__` directly
    raise ImportError("this interpreter calls functions that its evaluation hook is not told of")


class EvaluationCore(ProfileCore):
    """See the module; one object per process."""

    name = "native"
    log = staticmethod(new_log)

    def __init__(self) -> None:
        super().__init__()
        self._not_used = ""
        """Why the trace hook does it all."""
        self._evaluates: dict[str, Any] = {
            "trace_hook": self._call_hook,
            "variable": current,
            "parked": self._parking.parked,
            "leaving": self._unwinding.leaving,
            "returned": self._returned,
            "raised": self._raised,
            "arrived": self._unwinding.arrived,
            "contain": self._contain,
        }
        _native.prepare(**self._evaluates)

    def _why(self) -> str:
        return self._not_used and f"profile does the work of native: {self._not_used}"

    def prepare(self, entry: Entry) -> None:
        super().prepare(entry)
        if not _SWITCHES.isdisjoint(entry.code.co_names):
            entry.simple = entry.plain = False

    def _prepare_loop(self) -> None:
        super()._prepare_loop()
        if greenlets():
            _native.stop()
            self._not_used = "greenlets take turns"
        else:
            self._not_used = "" if _native.start() else "another tool evaluates the interpreter's frames"

    def _forget(self) -> None:
        _native.stop()
        super()._forget()

    def _put_on(self) -> None:
        _native.put_on()
        super()._put_on()

    # ---- ends of frames that the trace hook is not told of, on application threads ----------------------------------

    def _returned(self, recording: Recording, code: CodeType, frame_id: int, value: object) -> None:
        entry = recording.known(id(code))
        if recording.done:
            self._pass()
        elif entry is not None and recording.returned(entry, frame_id, value):
            self._left(recording)

    def _raised(
        self,
        recording: Recording,
        code: CodeType,  # noqa: ARG002
        frame_id: int,
        exception: BaseException,
    ) -> None:
        if recording.done:
            self._pass()
        elif recording.follows(frame_id):
            recording.leave_raised(frame_id, recording.raised(exception))
            self._left(recording)
