"""Which of what enters at entries a probe wants: requests, jobs and other kinds of work.

An entry may call another one of its kind: an application that is mounted in another, a class that inherits its call.
What enters is judged where it does so first, so that it is counted once and its tree begins there.

Concurrency: filled by the agent thread (or a thread that imports); the rest runs on application threads inside
callbacks, about 5 µs a request.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from inspect import CO_OPTIMIZED
from types import CodeType, CoroutineType, FrameType
from typing import Any

from tracepatch_shared.targets import Target

from . import pyversion
from .arrival import Arrival
from .frameworks import Reader
from .resolve import Function, original_of
from .starts import coroutine_of
from .walk import defining_module, own_qualname

MAX_FRAMES = 200
"""How far up another entry is looked for."""


class Entries:
    """The entries at which one probe waits."""

    def __init__(self, targets: Iterable[Target]) -> None:
        self._wanted: dict[str, list[Target]] = {}
        for target in targets:
            self._wanted.setdefault(target.kind, []).append(target)
        self._readers: dict[int, Reader] = {}

    def add(self, function: Function) -> None:
        """Take a function in if it is an entry."""
        if function.reader is not None:
            self._readers[id(function.code)] = function.reader

    def waits_for(self, kind: str) -> bool:
        """Tell whether a target is of this kind."""
        return kind in self._wanted

    def clear(self) -> None:
        """Forget all of them."""
        self._readers.clear()

    def __contains__(self, code: CodeType) -> bool:
        return id(code) in self._readers

    def announces(self, code: CodeType) -> bool:
        """Tell whether what enters here begins later."""
        return self._readers[id(code)].announces

    def displaces(self, code: CodeType) -> bool:
        """Tell whether what enters here ends what came before it on this thread, and has no root any more."""
        return self._readers[id(code)].arrival.displaces

    def coming(self, code: CodeType, frame: FrameType) -> CoroutineType[Any, Any, Any] | list[Function]:
        """Return what this call announces: the coroutine of a task, or functions at which work enters."""
        reader = self._readers[id(code)]
        if reader.needs and not any(name in sys.modules for name in reader.needs):
            return []
        found = self._read(reader, code, frame)
        if type(found) is not list:
            return coroutine_of(found) or []
        return [
            Function(
                own_qualname(function) or function.__code__.co_name,
                defining_module(function),
                original_of(function.__code__),
                [function],
                reader=Reader(reader.arrival, read),
            )
            for function, read in found
        ]

    def arrival(self, code: CodeType, frame: FrameType) -> Arrival | None:
        """Return what enters with this frame; None where nothing does, or it has entered before."""
        reader = self._readers[id(code)]
        if reader.arrival.outermost and self._has_entered(reader.arrival, frame):
            return None
        found: Arrival | None = self._read(reader, code, frame)
        return found

    @staticmethod
    def _read(reader: Reader, code: CodeType, frame: FrameType) -> Any:
        values = frame.f_locals
        found = reader.read(values)
        if pyversion.MONITORING and not pyversion.LIVE_LOCALS and code.co_flags & CO_OPTIMIZED:
            values.clear()  # the frame keeps this copy (3.12)
        return found

    def _has_entered(self, arrival: type[Arrival], frame: FrameType) -> bool:
        back = frame.f_back
        for _ in range(MAX_FRAMES):
            if back is None:
                break
            above = self._readers.get(id(original_of(back.f_code)))
            if above is not None and above.arrival is arrival:
                return True
            back = back.f_back
        return False

    def wants(self, arrival: Arrival) -> bool:
        """Tell whether a target names what has entered."""
        return any(arrival.matches(target) for target in self._wanted.get(arrival.kind, ()))
