"""Faults for the recorder, to see that the comparison finds each of them.

A fault replaces one method of the recorder (or of its core) while it is installed; `install` fails where the recorder
has no such method any more, so that no fault is quietly without effect.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tracepatch.codes import SUSPENDS
from tracepatch.cores import core
from tracepatch.recording import Recording, current

from .source import EAGER

Fault = Callable[[], tuple[type, str, Callable[..., Any]]]

FAULTS: dict[str, Fault] = {}


@contextmanager
def installed(name: str) -> Iterator[None]:
    """Have the recorder do one thing wrong."""
    owner, attribute, made = FAULTS[name]()
    inherited = attribute not in vars(owner)
    original = getattr(owner, attribute)
    setattr(owner, attribute, made(original))
    try:
        yield
    finally:
        if inherited:
            delattr(owner, attribute)
        else:
            setattr(owner, attribute, original)


def _fault(name: str, attribute: str, owner: type | None = Recording) -> Any:
    def register(made: Callable[..., Any]) -> Callable[..., Any]:
        FAULTS[name] = lambda: (type(core()) if owner is None else owner, attribute, made)
        return made

    return register


def _same_code(recording: Any, frame_id: int) -> list[int]:
    node = recording.open.get(frame_id)
    if node is None:
        return [frame_id]
    return [other.frame_id for other in recording.open.values() if other.entry.code is node.entry.code]


@_fault("popped by name", "leave")
def _popped_by_name(original: Any) -> Any:
    return lambda self, frame_id: original(self, _same_code(self, frame_id)[-1])


@_fault("a node keyed by its code", "leave")
def _keyed_by_code(original: Any) -> Any:
    return lambda self, frame_id: original(self, _same_code(self, frame_id)[0])


@_fault("an ended frame is not forgotten", "leave")
def _not_forgotten(original: Any) -> Any:
    def leave(self: Any, frame_id: int) -> Any:
        node = self.open.get(frame_id)
        found = original(self, frame_id)
        if node is not None:
            self.open[frame_id] = node
        return found

    return leave


@_fault("a resume is ignored", "resume")
def _ignored_resume(original: Any) -> Any:
    def resume(self: Any, frame_id: int, frame: Any = None) -> None:
        node = self.open.get(frame_id)
        if node is None or node.saved is None:
            original(self, frame_id, frame)

    return resume


@_fault("a yield is ignored", "suspend")
def _ignored_yield(original: Any) -> Any:
    def suspend(self: Any, frame_id: int, at: int = -1) -> Any:
        node = self.open.get(frame_id)
        return False if node is not None and not node.entry.coroutine else original(self, frame_id, at)

    return suspend


@_fault("a cancellation is lost", "leave_raised")
def _lost_cancellation(original: Any) -> Any:
    def leave_raised(self: Any, frame_id: int, raised: Any) -> Any:
        return None if raised[0].endswith("CancelledError") else original(self, frame_id, raised)

    return leave_raised


@_fault("an unwind is ignored", "leave_raised")
def _ignored_unwind(original: Any) -> Any:
    def leave_raised(self: Any, frame_id: int, raised: Any) -> Any:
        node = self.open.get(frame_id)
        return original(self, frame_id, raised) if node is self.root_node else None

    return leave_raised


@_fault("one stack for all tasks", "suspend")
def _shared_stack(original: Any) -> Any:
    def suspend(self: Any, frame_id: int, at: int = -1) -> Any:
        node = self.open.get(frame_id)
        return True if node is not None and node.entry.coroutine else original(self, frame_id, at)

    return suspend


@_fault("a generator's context leaks", "_on_yield" if hasattr(core(), "_on_yield") else "_leaves", None)
def _leaked_context(original: Any) -> Any:
    def yields(self: Any, *args: Any) -> Any:
        before = current.get()
        result = original(self, *args)
        if before is not None and not before.done and current.get() is None:
            current.set(before)
        return result

    return yields


@_fault("a branch hangs below the root", "spawning")
def _wrong_parent(original: Any) -> Any:
    def spawning(self: Any, frame_id: int, name: str = "") -> None:
        original(self, frame_id, name)
        if frame_id in self.spawned:
            self.spawned[frame_id] = self.spawned[frame_id]._replace(node=self.root_node)

    return spawning


@_fault("a branch has no exact parent", "spawning")
def _no_parent(original: Any) -> Any:
    return lambda self, frame_id, name="": None


@_fault("a trace goes on after its root", "finish")
def _goes_on(original: Any) -> Any:
    return lambda self: None


@_fault("what was caught counts as raised", "leave_by_return")
def _caught_counts(original: Any) -> Any:
    def leave_by_return(self: Any, frame_id: int, value: object) -> Any:
        raised = [event for event in list(self.events)[-1:] if len(event) == 6]
        if raised:
            return self.leave_raised(frame_id, raised[0][4:])
        return original(self, frame_id, value)

    return leave_by_return


if EAGER:

    @_fault("an eager task is a plain call", "start")
    def _eager_call(original: Any) -> Any:
        def start(self: Any, entry: Any, frame: Any) -> Any:
            back = frame.f_back
            if entry.coroutine and self.runs_here() and (back is None or not back.f_code.co_flags & SUSPENDS):
                entry = copy.copy(entry)
                entry.coroutine = False
            return original(self, entry, frame)

        return start


@_fault("a value is that of the call before", "leave_by_return")
def _old_value(original: Any) -> Any:
    values: list[object] = [None]

    def leave_by_return(self: Any, frame_id: int, value: object) -> Any:
        values.append(value)
        return original(self, frame_id, values.pop(0))

    return leave_by_return
