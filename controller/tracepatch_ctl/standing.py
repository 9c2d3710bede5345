"""What `stacks` answers, checked: the threads and tasks of one process at one moment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tracepatch_shared.errors import MessageError
from tracepatch_shared.limits import MAX_STACKS
from tracepatch_shared.messages import Message
from tracepatch_shared.messages import field as checked

from .reports import Agent, texts

MAX_CODES = 1_000_000


@dataclass(frozen=True)
class Frame:
    """A function, and the line at which it stands."""

    function: str
    file: str
    line: int


@dataclass(frozen=True, kw_only=True)
class Stack:
    """Frames, outermost first; `left_out` of the middle ones are not among them."""

    frames: tuple[Frame, ...]
    left_out: int


@dataclass(frozen=True, kw_only=True)
class WaitsFor:
    """What a task waits for: the call into a library that says it, the type of the object, and tasks by name.

    `count` of tasks are waited for; at most a few are in `tasks`.
    """

    call: str | None
    type: str | None
    tasks: tuple[str, ...]
    count: int


@dataclass(frozen=True, kw_only=True)
class TaskStack(Stack):
    """One task. `state` is `running`, `waiting`, `ready` (about to go on) or `new` (not begun)."""

    name: str
    kind: str
    """The library: `asyncio` or `trio`."""
    cls: str
    """The type of the task."""
    coroutine: str
    state: str
    thread: int | None
    """The thread that runs it, or its loop."""
    loop: str | None
    cancelling: bool
    waits_for: WaitsFor | None
    awaited_by: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class ThreadStack(Stack):
    """One thread."""

    ident: int
    native_id: int | None
    name: str
    daemon: bool | None
    main: bool
    loop: str | None
    """The type of the event loop that it runs."""
    task: str | None
    """The name of the task that it runs."""
    idle: str | None
    """What it waits in where it has nothing to do: `executor`, `event loop`."""


@dataclass(frozen=True, kw_only=True)
class AgentStacks:
    """All of one process. `not_shown` has the numbers of tasks that are missing, by coroutine."""

    agent: Agent
    threads: tuple[ThreadStack, ...]
    threads_total: int
    tasks: tuple[TaskStack, ...]
    tasks_total: int
    not_shown: dict[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    took_ns: int = 0


def stacks_from_wire(agent: Agent, message: Message) -> AgentStacks:
    """Return what an agent answered; raise `MessageError` for anything malformed."""
    codes = []
    for entry in _list(message, "codes", MAX_CODES):
        if type(entry) is not list or len(entry) < 2 or not all(type(part) is str for part in entry[:2]):
            raise MessageError("stacks: a code must be a function and a file")
        codes.append((entry[0], entry[1]))
    left = checked(message, "not_shown", dict, {})
    if not all(type(name) is str and type(count) is int for name, count in left.items()):
        raise MessageError("stacks: not_shown must be numbers by name")
    return AgentStacks(
        agent=agent,
        threads=tuple(_thread(entry, codes) for entry in _list(message, "threads", MAX_STACKS)),
        threads_total=checked(message, "threads_total", int, 0),
        tasks=tuple(_task(entry, codes) for entry in _list(message, "tasks", MAX_STACKS)),
        tasks_total=checked(message, "tasks_total", int, 0),
        not_shown=left,
        notes=texts(message, "notes"),
        took_ns=checked(message, "took_ns", int, 0),
    )


def _thread(entry: Any, codes: Sequence[tuple[str, str]]) -> ThreadStack:
    wire = _map(entry, "thread")
    return ThreadStack(
        ident=checked(wire, "ident", int),
        native_id=checked(wire, "native_id", int, None),
        name=checked(wire, "name", str, ""),
        daemon=checked(wire, "daemon", bool, None),
        main=checked(wire, "main", bool, False),
        loop=checked(wire, "loop", str, None),
        task=checked(wire, "task", str, None),
        idle=checked(wire, "idle", str, None),
        frames=_frames(wire, codes),
        left_out=checked(wire, "left_out", int, 0),
    )


def _task(entry: Any, codes: Sequence[tuple[str, str]]) -> TaskStack:
    wire = _map(entry, "task")
    waits = checked(wire, "waits_for", dict, None)
    return TaskStack(
        name=checked(wire, "name", str, ""),
        kind=checked(wire, "kind", str, ""),
        cls=checked(wire, "class", str, ""),
        coroutine=checked(wire, "coroutine", str, ""),
        state=checked(wire, "state", str),
        thread=checked(wire, "thread", int, None),
        loop=checked(wire, "loop", str, None),
        cancelling=checked(wire, "cancelling", bool, False),
        waits_for=None if waits is None else _waits_for(_map(waits, "waits_for")),
        awaited_by=texts(wire, "awaited_by"),
        frames=_frames(wire, codes),
        left_out=checked(wire, "left_out", int, 0),
    )


def _waits_for(wire: Message) -> WaitsFor:
    return WaitsFor(
        call=checked(wire, "call", str, None),
        type=checked(wire, "type", str, None),
        tasks=texts(wire, "tasks"),
        count=checked(wire, "count", int, 0),
    )


def _frames(wire: Message, codes: Sequence[tuple[str, str]]) -> tuple[Frame, ...]:
    frames = []
    for entry in _list(wire, "frames", MAX_STACKS):
        if type(entry) is not list or len(entry) < 2 or not all(type(part) is int for part in entry[:2]):
            raise MessageError("stacks: a frame must be a code and a line")
        if not 0 <= entry[0] < len(codes):
            raise MessageError(f"stacks: there is no code {entry[0]}")
        frames.append(Frame(*codes[entry[0]], entry[1]))
    return tuple(frames)


def _list(message: Message, name: str, most: int) -> list[Any]:
    found: list[Any] = checked(message, name, list, [])
    if len(found) > most:
        raise MessageError(f"stacks: {name} has {len(found)} entries, more than {most}")
    return found


def _map(entry: object, what: str) -> Message:
    if type(entry) is not dict:
        raise MessageError(f"stacks: a {what} must be a map, not {type(entry).__name__}")
    return {"type": what, **entry} if "type" not in entry else {**entry}
