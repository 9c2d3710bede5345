"""The threads and tasks of a process as lines of text: what is stuck first, what is alike together."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

from tracepatch_shared.limits import INNER_FRAMES
from tracepatch_shared.showing import escape

from .durations import milliseconds
from .words import listed, many

if TYPE_CHECKING:
    from ..standing import AgentStacks, Frame, Stack, TaskStack, ThreadStack, WaitsFor

_T = TypeVar("_T")

_STATES = {"running": 0, "ready": 1, "new": 2, "waiting": 3}
_LIBRARY = re.compile(r".*?/(?:site-packages|dist-packages|lib(?:64)?/python3\.\d+)/(?=[^/])")
_WIDEST = 44


def draw(stacks: AgentStacks) -> Iterator[str]:
    """Yield the lines of one process, without line ends."""
    agent = stacks.agent
    head = [f"{agent.service}@{agent.host} pid {agent.pid}", f"Python {agent.python}"]
    head += [many(stacks.threads_total, "thread")]
    head += [many(stacks.tasks_total, "task")] if stacks.tasks_total else []
    yield escape(" · ".join([*head, f"read in {milliseconds(stacks.took_ns)}"]))
    shown = {task.name for task in stacks.tasks if task.state == "running"}
    for thread in _alike(stacks.threads, _thread_key):
        yield ""
        yield from _thread(thread, shown)
    names = {thread.ident: thread.name for thread in stacks.threads}
    several = len({task.thread for task in stacks.tasks}) > 1
    groups = _alike(stacks.tasks, _task_key)
    groups.sort(key=lambda group: (_STATES.get(group[0].state, 4), -len(group), _natural(group[0].name)))
    for group in groups:
        yield ""
        yield from _task(group, names if several else {})
    missing = sum(stacks.not_shown.values())
    left = stacks.tasks_total - len(stacks.tasks) - missing
    if missing:
        yield ""
        kinds = listed([f"×{count} {escape(name)}" for name, count in stacks.not_shown.items()])
        yield f"{many(missing, 'more task')} not shown: {kinds}; --limit shows more"
    if left > 0 and (stacks.tasks or missing):
        yield ""
        yield f"{many(left, 'task')} not chosen by --task"
    for note in stacks.notes:
        yield escape(f"({note})")


def place(frame: Frame) -> str:
    """Return file and line, the file from its library's folder on."""
    return escape(f"{_LIBRARY.sub('', frame.file)}:{frame.line}")


def _thread(group: Sequence[ThreadStack], shown: set[str]) -> Iterator[str]:
    thread = group[0]
    parts = [_title("thread", [one.name or str(one.ident) for one in group])]
    if thread.daemon:
        parts.append("daemon")
    if thread.loop:
        parts.append(f"loop {_short(thread.loop) if thread.loop.count('.') > 1 else escape(thread.loop)}")
    if thread.task is not None:
        parts.append(f"runs task '{escape(thread.task)}'")
    if thread.idle:
        parts.append(f"idle ({escape(thread.idle)})")
    yield " · ".join(parts)
    if thread.idle is None and thread.task not in shown:
        yield from _frames(thread)


def _task(group: Sequence[TaskStack], threads: dict[int, str]) -> Iterator[str]:
    task = group[0]
    parts = [
        _title("task" if task.kind == "asyncio" else f"{escape(task.kind)} task", [one.name for one in group])
    ]
    if not task.cls.endswith((".Task", "._PyTask")):
        parts.append(_short(task.cls))
    parts.append(escape(task.state) if task.waits_for is None else f"waits for {_waits(task.waits_for)}")
    if task.cancelling:
        parts.append("being cancelled")
    if threads.get(task.thread or 0):
        parts.append(f"in thread {escape(threads[task.thread or 0])}")
    if task.awaited_by:
        names = listed([f"'{escape(name)}'" for name in task.awaited_by])
        parts.append(f"awaited by {names}")
    yield " · ".join(parts)
    yield from _frames(task)


def _waits(waits: WaitsFor) -> str:
    what = (
        escape(waits.call or "") if waits.count else escape(waits.call or _short(waits.type or "something"))
    )
    if not waits.count:
        return what
    names = listed([f"'{escape(name)}'" for name in waits.tasks], waits.count)
    return f"{what}{': ' if what else ''}{'tasks' if waits.count > 1 else 'task'} {names}"


def _frames(stack: Stack) -> Iterator[str]:
    frames = stack.frames
    width = min(_WIDEST, max((len(frame.function) for frame in frames), default=0))
    cut = len(frames) - INNER_FRAMES if stack.left_out else -1
    number = 0
    while number < len(frames):
        if number == cut:
            yield f"    … {many(stack.left_out, 'frame')} not shown"
        frame = frames[number]
        same = number + 1
        while same < len(frames) and frames[same] == frame and same != cut:
            same += 1
        again = f"  ×{same - number}" if same - number > 1 else ""
        yield f"    {escape(frame.function):<{width}}  {place(frame)}{again}"
        number = same


def _title(what: str, names: Sequence[str]) -> str:
    if len(names) == 1:
        return f"{what} '{escape(names[0])}'"
    names = sorted(names, key=_natural)
    return f"×{len(names)} {what}s '{escape(names[0])}' … '{escape(names[-1])}'"


def _natural(name: str) -> list[tuple[int, str]]:
    """Return a key that puts `Task-9` before `Task-10`."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]


def _short(name: str) -> str:
    """Return the last part of a type's name."""
    return escape(name.rpartition(".")[2])


def _alike(items: Sequence[_T], key: Callable[[_T], object]) -> list[list[_T]]:
    groups: dict[object, list[_T]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return list(groups.values())


def _thread_key(thread: ThreadStack) -> object:
    return (
        (thread.idle, thread.daemon)
        if thread.idle == "executor"
        else thread.ident
        if thread.task
        else (thread.frames, thread.left_out, thread.daemon, thread.idle, thread.loop)
    )


def _task_key(task: TaskStack) -> object:
    return (
        task.frames,
        task.left_out,
        task.kind,
        task.cls,
        task.state,
        task.thread,
        task.cancelling,
        task.waits_for,
        task.awaited_by,
    )
