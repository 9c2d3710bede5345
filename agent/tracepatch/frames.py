"""Where a thread stands, and where a coroutine that nobody runs now: its frames, read without holding any of them.

A frame or an awaited object that is kept while the application runs on would have its last reference dropped here, and
the application's destructors run on the agent's thread. So each read is one call into C: iterators of `itertools` and
`operator` walk, read and drop the frames before the interpreter can give the GIL away, which also makes a thread's
stack one moment's. All that is read are fields that C code answers: of frames, coroutines, generators, and of the
interpreter's own helpers between them, whose only way on is what they refer to (`gc.get_referents`).

Concurrency: any thread; the application's threads are never stopped. A chain of coroutines is read step by step and
checked afterwards: one that went on meanwhile is read again.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from itertools import accumulate, chain, filterfalse, repeat, starmap, takewhile, zip_longest
from operator import attrgetter, itemgetter, truth
from types import AsyncGeneratorType, CodeType, CoroutineType, FrameType, GeneratorType
from typing import Any, NamedTuple

from .frame_ids import frame_id as id_of
from .objects import qualname_of, running_name

MAX_FRAMES = 2_000
"""Frames of one stack that are looked at."""

MAX_STEPS = 3 * MAX_FRAMES
"""Steps of one chain, the interpreter's helpers among them."""

TRIES = 3
"""How often a chain that goes on while it is read is read."""

RUNNING = "running"
WAITING = "waiting"
NEW = "new"
DONE = "done"


class Frame(NamedTuple):
    """One frame of a stack; `name` is its qualified name where that is known without a search."""

    frame_id: int
    code: CodeType
    line: int
    name: str


class Chain(NamedTuple):
    """The frames of a coroutine and of all that it awaits, outermost first; `end` is what the innermost one awaits."""

    state: str
    frames: list[Frame]
    end: Any


_read = attrgetter("f_code", "f_lineno")
_list: Any = list
_ONCE: tuple[tuple[()], ...] = ((),)


def stack(ident: int) -> list[Frame]:
    """Return the frames of a thread, outermost first; empty when it has ended, or does not hold still."""
    for _ in range(TRIES):
        both: tuple[Iterator[Any], ...] = (map(id_of, walk(ident)), map(_read, walk(ident)))
        try:
            # list(map(list, ...)) is one call: no thread runs between its first step and its last. Up to 3.11 the
            # collector may, and what it calls.
            ids, found = list(map(_list, both))
        except KeyError:
            return []
        if len(ids) == len(found):
            return [
                Frame(frame_id, code, line or code.co_firstlineno, getattr(code, "co_qualname", code.co_name))
                for frame_id, (code, line) in zip(reversed(ids), reversed(found), strict=True)
            ]
    return []


def walk(ident: int) -> Iterator[FrameType]:
    """Return an iterator that walks a thread's stack from its top, all of it in C."""
    top = map(itemgetter(ident), starmap(sys._current_frames, _ONCE))
    return takewhile(truth, accumulate(chain(top, repeat("f_back", MAX_FRAMES)), getattr))


class _Kind:
    """How the steps of one type are read."""

    def __init__(self, prefix: str, awaits: str) -> None:
        self.frame = attrgetter(f"{prefix}_frame")
        started = f"{prefix}_suspended" if sys.version_info >= (3, 11) else f"{prefix}_running"
        self.facts = attrgetter(
            f"{prefix}_code",
            f"{prefix}_frame.f_lineno",
            f"{prefix}_frame.f_lasti",
            f"{prefix}_running",
            started,
        )
        self.running = attrgetter(f"{prefix}_running")
        self.awaits = attrgetter(awaits)

    def read(self, step: Any) -> tuple[int, tuple[CodeType, int, int, bool, bool], Any]:
        """Return frame id, facts and what it awaits; raise `AttributeError` when it has ended."""
        # What a running one awaits is not asked: 3.10 would look at a stack that is in use.
        one = (step,)
        found: tuple[int, tuple[CodeType, int, int, bool, bool], Any] = next(
            zip_longest(
                map(id_of, map(self.frame, one)),
                map(self.facts, one),
                map(self.awaits, filterfalse(self.running, one)),
            )
        )
        return found


class _AsyncGenerators(_Kind):
    """`ag_running` is true all the time between two values, also while what it awaits is waited for: it is not asked."""

    def __init__(self) -> None:
        super().__init__("ag", "ag_await")
        self.facts = attrgetter("ag_code", "ag_frame.f_lineno", "ag_frame.f_lasti")

    def read(self, step: Any) -> tuple[int, tuple[CodeType, int, int, bool, bool], Any]:
        one = (step,)
        frame_id, (code, line, last), awaited = next(
            zip(map(id_of, map(self.frame, one)), map(self.facts, one), map(self.awaits, one), strict=True)
        )
        return frame_id, (code, line, last, False, True), awaited


_KINDS: tuple[tuple[type, _Kind], ...] = (
    (CoroutineType, _Kind("cr", "cr_await")),
    (GeneratorType, _Kind("gi", "gi_yieldfrom")),
    (AsyncGeneratorType, _AsyncGenerators()),
)
_BETWEEN = frozenset(
    ("coroutine_wrapper", "async_generator_asend", "async_generator_athrow", "anext_awaitable", "FutureIter")
)
"""Types of the interpreter that stand between two steps and tell nobody what they stand for."""


def awaits(root: Any) -> Chain:
    """Return the chain that begins with a coroutine or generator."""
    found = _walk(root)
    for _ in range(TRIES):
        again = _walk(root)
        if again[1] == found[1]:
            break
        found = again
    (state, frames, end), _ = found
    return Chain(state, frames, end)


def _walk(root: Any) -> tuple[tuple[str, list[Frame], Any], list[tuple[int, int]]]:
    """Return state, frames and end of a chain, and what shows whether it went on meanwhile."""
    frames: list[Frame] = []
    marks: list[tuple[int, int]] = []
    state = ""
    step = root
    for _ in range(MAX_STEPS):
        if len(frames) == MAX_FRAMES:
            break
        kind = _kind(step)
        if kind is None:
            onward = _beyond(step)
            if onward is None:
                break
            step = onward
            continue
        try:
            frame_id, (code, line, last, running, begun), awaited = kind.read(step)
        except (AttributeError, StopIteration):
            return (state or DONE, frames, None), marks
        name = running_name(step)
        frames.append(Frame(frame_id, code, line or code.co_firstlineno, name))
        marks.append((frame_id, last))
        if running:
            return (state or RUNNING, frames, None), marks
        if not state:
            new = last < 0 if sys.version_info < (3, 11) else not begun
            state = NEW if new else WAITING
        if awaited is None:
            return (state, frames, None), marks
        step = awaited
    return (state or DONE, frames, step), marks


def _kind(step: Any) -> _Kind | None:
    cls = type(step)
    for known, kind in _KINDS:
        if cls is known:
            return kind
    return None


def _beyond(step: Any) -> Any:
    """Return what one of the interpreter's helpers stands for; None where `step` is no such."""
    name = qualname_of(type(step))
    if type(name) is not str or name not in _BETWEEN:
        return None
    for item in gc.get_referents(step):
        if item is not None and type(item) is not type:
            return item
    return None


def is_step(value: Any) -> bool:
    """Tell whether this is a coroutine or generator of the interpreter's own types."""
    return _kind(value) is not None
