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
"""Asked whenever a block begins; each may begin to record it."""


class job:  # noqa: N801 - the name that users write
    """A named block: `with job("import-users", user=42):`, `async with`, or `@job("import-users")`.

    A probe with a target `job:import-*` records what is called inside; conditions of `--where` may ask for the fields. An
    exception that leaves the block makes the job a failed one. Whatever is given, nothing here raises.
    """

    __slots__ = ("_nested", "_others", "_stay", "fields", "name")

    def __init__(self, name: str, /, **fields: Any) -> None:
        self.name = name
        self.fields = fields
        self._stay: Stay | None = None

    def __enter__(self) -> job:
        if waiting or self._stay is not None:
            self._enter(sys._getframe(1))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._stay is not None:
            self._leave(_host(sys._getframe(1)), failed=error is not None)

    async def __aenter__(self) -> job:
        if waiting or self._stay is not None:
            self._enter(sys._getframe(1))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._stay is not None:
            self._leave(_host(sys._getframe(1)), failed=error is not None)

    def __call__(self, function: FunctionT) -> FunctionT:
        """Return `function` so that each call of it is such a block."""
        from .wrapping import wrapped

        return wrapped(function, self._call)

    def _enter(self, frame: FrameType) -> None:
        stay = self._stay
        if stay is None:
            self._nested = self._others = 0
            self._stay = _begun(self, frame)
        elif stay.is_here():
            self._nested += 1  # the same object, inside itself
        else:
            self._others += 1  # another task's, that has the same object

    def _leave(self, frame: FrameType, *, failed: bool) -> None:
        stay = self._stay
        if stay is None:
            return
        if self._others and not stay.is_here():
            self._others -= 1
            return
        if self._nested:
            self._nested -= 1
            return
        self._stay = None
        stay.end(frame, failed=failed)

    def _call(self, frame: FrameType) -> _Call:
        return _Call(job(self.name, **self.fields), frame)


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
