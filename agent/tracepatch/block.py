"""`job()`: a block, function or coroutine that `job:` targets match by its name.

    with tracepatch.job("import-users", user=42):
        ...

As long as nobody waits for jobs it does nothing but look whether somebody does; it needs no agent.

Concurrency: `waiting` is a list that the agent thread replaces as a whole; all else runs on the caller's thread.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from .wrapping import FunctionT

__all__ = ["job"]


class Stay(Protocol):
    """The recording of one block."""

    def is_here(self) -> bool:
        """Tell whether it records in the caller's Context."""

    def end(self, frame: FrameType, *, failed: bool) -> None: ...
    def pause(self) -> None: ...
    def resume(self) -> None: ...


Begin = Callable[["job", FrameType], "Stay | None"]

waiting: list[Begin] = []
"""Asked whenever a block begins; each may begin to record it. Replaced as a whole."""
heeded: list[None] = []
"""Empty where nobody waits and no block is recorded: all that a block looks at then. Only appended to and popped."""


def wait(begin: Begin) -> None:
    """Have blocks asked about from now on (agent thread)."""
    global waiting
    waiting = [*waiting, begin]
    heeded.append(None)


def wait_no_more(begin: Begin) -> None:
    """Undo `wait`; idempotent (agent thread)."""
    global waiting
    if begin in waiting:
        waiting = [other for other in waiting if other != begin]
        heeded.pop()


def after_fork_in_child() -> None:
    """Forget who waits: the child begins dormant."""
    global waiting
    waiting = []
    heeded.clear()


class job:  # noqa: N801 - the name that users write
    """A named block: `with job("import-users", user=42):`, `async with`, or `@job("import-users")`.

    A probe with a target `job:import-*` records what is called inside; conditions of `--where` may ask for the fields. An
    exception that leaves the block makes the job a failed one. Whatever is given, nothing here raises.
    """

    __slots__ = ("_held", "_nested", "_others", "fields", "name")
    _held: _Held
    """Missing as long as the block is not recorded: to set it would cost every block."""

    def __init__(self, name: str, /, **fields: Any) -> None:
        self.name = name
        self.fields = fields

    def __enter__(self) -> job:
        if heeded:
            self._enter(sys._getframe(1))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if heeded:
            self._leave(_host(sys._getframe(1)), failed=error is not None)

    async def __aenter__(self) -> job:
        if heeded:
            self._enter(sys._getframe(1))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if heeded:
            self._leave(_host(sys._getframe(1)), failed=error is not None)

    def __call__(self, function: FunctionT) -> FunctionT:
        """Return `function` so that each call of it is such a block."""
        from .wrapping import wrapped

        return wrapped(function, self._call)

    def _enter(self, frame: FrameType) -> None:
        held = getattr(self, "_held", None)
        if held is None:
            stay = _begun(self, frame)
            if stay is not None:
                self._nested = self._others = 0
                self._held = _Held(stay)
        elif held.stay.is_here():
            self._nested += 1  # the same object, inside itself
        else:
            self._others += 1  # another task's, that has the same object

    def _leave(self, frame: FrameType, *, failed: bool) -> None:
        held = getattr(self, "_held", None)
        if held is None:
            return
        if self._others and not held.stay.is_here():
            self._others -= 1
            return
        if self._nested:
            self._nested -= 1
            return
        del self._held
        held.stay.end(frame, failed=failed)

    def _call(self, frame: FrameType) -> _Call:
        return _Call(job(self.name, **self.fields), frame)


class _Held:
    """The recording of a block, for as long as the block has it."""

    __slots__ = ("stay",)

    def __init__(self, stay: Stay) -> None:
        self.stay = stay
        heeded.append(None)

    def __del__(self) -> None:
        if heeded:  # not after a fork
            heeded.pop()


class _Call:
    """One call of a decorated function."""

    __slots__ = ("_handled", "_stay")

    def __init__(self, fresh: job, frame: FrameType) -> None:
        self._stay = _begun(fresh, frame) if waiting else None
        self._handled = sys.exc_info()[1]
        """Its caller handles this one; it is not the call's own."""

    def end(self) -> None:
        stay = self._stay
        if stay is not None:
            error = sys.exc_info()[1]
            failed = error is not None and error is not self._handled and type(error) is not GeneratorExit
            stay.end(sys._getframe(1), failed=failed)
            self._handled = None

    def pause(self) -> None:
        if self._stay is not None:
            self._stay.pause()

    def resume(self) -> None:
        if self._stay is not None:
            self._stay.resume()


def _host(frame: FrameType) -> FrameType:
    """Return the frame that the block stands in: an `ExitStack` enters and leaves it on behalf of that."""
    while frame.f_back is not None and frame.f_globals.get("__name__") == "contextlib":
        frame = frame.f_back
    return frame


def _begun(block: job, frame: FrameType) -> Stay | None:
    host = _host(frame)
    for begin in waiting:
        stay = begin(block, host)
        if stay is not None:
            return stay
    return None
