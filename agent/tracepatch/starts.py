"""The start of a task of an event loop, as plain data, and which task it is that starts with a frame.

A task is recorded from its start, so waiting costs its loop nothing: that a task is made is noticed where asyncio and trio
make them, and only what its coroutine runs first is waited for (`Core.expect`). What the name is, is asked then.

Concurrency: application threads, inside callbacks; `fresh_and_running` on the agent thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import BuiltinFunctionType, CoroutineType, FrameType, GetSetDescriptorType
from typing import Any, ClassVar

from tracepatch_shared.targets import Target, without_locals

from . import pyversion
from .arrival import Arrival
from .codes import argument_names
from .handoff import fresh, given_name, type_of
from .objects import class_dict, name_text
from .tasks import Asyncio, Trio, Unlisted, references
from .walk import type_name

EAGER_FRAMES = 6
"""Between what makes an eager task and its coroutine: a factory, maybe of the application's."""

_coroutine_name: Callable[[Any], Any] = CoroutineType.__dict__["__qualname__"].__get__


class TaskStart(Arrival):
    """A task that begins, with the arguments of its coroutine."""

    __slots__ = ("_frame", "coroutine", "name")

    kind: ClassVar[str] = "task"
    known: ClassVar[tuple[str, ...]] = ("name", "coroutine")
    called: ClassVar[str] = "a task"
    open_names: ClassVar[bool] = True
    outermost: ClassVar[bool] = False

    def __init__(self, name: str, coroutine: str, frame: FrameType | None = None) -> None:
        """The frame that begins is read where a condition asks for it."""
        self.name = name
        self.coroutine = coroutine
        self._frame = frame

    def names(self) -> dict[str, Any]:
        """Return the values of `known`, and the coroutine's arguments; one that is called like those is `arg.NAME`."""
        given: dict[str, Any] = {}
        frame = self._frame
        if frame is not None:
            values = frame.f_locals
            given = {key: values[key] for key in argument_names(frame.f_code) if key in values}
            if pyversion.MONITORING and not pyversion.LIVE_LOCALS:
                values.clear()  # the frame keeps this copy (3.12)
        return {**given, "name": self.name, "coroutine": self.coroutine, "arg": given}

    def matches(self, target: Target) -> bool:
        names = (self.name, self.coroutine, without_locals(self.coroutine))
        return any(map(target.matches_name, names))

    def outcome(self) -> None:
        return None

    def task(self, shown: Callable[[str], str]) -> dict[str, Any]:
        return {"kind": "task", "name": shown(self.name) or "…", "coroutine": self.coroutine}


def start_of(frame: FrameType, stepped: object = None) -> TaskStart | None:
    """Return the task whose coroutine begins with this frame; None where it is none's, but is awaited or called.

    `stepped` is the task that is about to begin, where that is known; the one that is current on this thread otherwise.
    """
    task: Any = _current() if stepped is None else stepped
    kind = type_of("_asyncio", "Task")
    if task is not None and type(task) is kind:
        coroutine = task.get_coro()  # a method in C of a type in C, as `get_name` below
        name = None
    else:
        name, coroutine = _brief(task)
    if type(coroutine) is not CoroutineType or coroutine.cr_frame is not frame:
        return None
    if name is None:
        name = name_text(task.get_name())
        if name.startswith("Task-"):
            name = _given_name(frame, coroutine) or name
    return TaskStart(name, name_text(_coroutine_name(coroutine)), frame)


def _given_name(frame: FrameType, coroutine: object) -> str:
    """Return the name that an eager task gets when it has run up to its first suspension (3.12); else nothing."""
    back = frame.f_back
    for _ in range(EAGER_FRAMES):
        if back is None:
            break
        if back.f_code.co_name == "create_task":
            values = back.f_locals
            name = given_name(values) if values.get("coro") is coroutine else None
            if pyversion.MONITORING and not pyversion.LIVE_LOCALS:
                values.clear()
            if type(name) is str:
                return name_text(name)
        back = back.f_back
    return ""


_functions: list[Callable[[], object]] = []
"""What `_asyncio` has to tell the running loop and the current task, once it is loaded."""


def _current() -> object:
    if not _functions:
        found = [type_of("_asyncio", name) for name in ("_get_running_loop", "current_task")]
        if all(type(function) is BuiltinFunctionType for function in found):
            _functions.extend(found)
    if _functions and _functions[0]() is not None:
        return _functions[1]()
    context = type_of("trio._core._run", "GLOBAL_RUN_CONTEXT")
    return None if context is None else getattr(context, "task", None)  # trio's own, local to the thread


def _brief(task: object) -> tuple[str, Any]:
    for library in (Asyncio(), Trio()):
        brief = None if task is None else library.brief(task)
        if brief is not None:
            return brief.name, brief.coroutine
    return "", None


def stepped_by(callback: object) -> object:
    """Return the task whose next step a loop's handle calls; None for any other callback."""
    if type_name(callback) != "TaskStepMethWrapper":
        return None
    owner = class_dict(type(callback)).get("__self__")
    return owner.__get__(callback) if type(owner) is GetSetDescriptorType else None


def coroutine_of(item: object) -> CoroutineType[Any, Any, Any] | None:
    """Return what is about to be made a task, if it is a coroutine that has not begun."""
    return item if type(item) is CoroutineType and fresh(item) else None


def fresh_and_running(
    threads: Iterable[int], wanted: Callable[[TaskStart], bool]
) -> tuple[list[CoroutineType[Any, Any, Any]], int]:
    """Return the coroutines of all tasks that have not begun, and how many tasks that are wanted run already."""
    waiting: list[CoroutineType[Any, Any, Any]] = []
    running = 0
    idents = list(threads)
    for library in (Asyncio(), Trio()):
        try:
            found = references(library, idents)
        except Unlisted:
            continue
        for reference in found:
            task = reference()
            brief = None if task is None else library.brief(task)
            if brief is None or type(brief.coroutine) is not CoroutineType:
                continue
            if fresh(brief.coroutine):
                waiting.append(brief.coroutine)
            elif wanted(TaskStart(brief.name, name_text(_coroutine_name(brief.coroutine)))):
                running += 1
    return waiting, running
