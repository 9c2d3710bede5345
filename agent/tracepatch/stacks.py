"""What every thread and every task of this process is doing now: the answer to `stacks` (docs/protocol.md).

Read by the agent's thread beside the application: nothing is armed, no event is set, no code of the application runs.
No variables are read, only which function stands at which line. The work is done in slices (`slices`), between which
the application's threads get the GIL; it ends after `MAX_S` and at `MAX_BYTES`, and what is left out is counted.

Of many tasks the first of each kind come first: the one that differs from ten thousand others is what is looked for.
"""

from __future__ import annotations

import os
import sys
from _thread import get_ident
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from itertools import chain, islice, starmap
from operator import itemgetter
from time import perf_counter, perf_counter_ns
from typing import Any

from tracepatch_shared.limits import INNER_FRAMES, OUTER_FRAMES, STACKS

from . import frames
from .frames import NEW, RUNNING, WAITING, Frame
from .objects import name_text, running_name
from .redaction import DEFAULT, RedactionPolicy, Redactor
from .slices import Slices
from .tasks import (
    MAX_NAMES,
    Asyncio,
    Brief,
    Facts,
    Reference,
    Thread,
    Trio,
    Unlisted,
    described,
    module_fields,
    references,
    threads,
)

READY = "ready"

MAX_S = 3.0
MAX_BYTES = 4 << 20
"""About what the answer weighs at the most."""
MAX_TASKS = 200_000
"""Tasks that are counted."""
MAX_KINDS = 20
"""Kinds of tasks that are named of those that are not shown."""
MAX_FILE = 500

_OURS = os.path.dirname(os.path.abspath(__file__)) + os.sep
_IDLE = (
    ("concurrent/futures/thread.py", ("_worker",), "executor", False),
    ("anyio/_backends/_asyncio.py", ("WorkerThread.run", "run"), "executor", True),
    ("trio/_core/_thread_cache.py", ("WorkerThread._work", "_work"), "executor", False),
    ("asyncio/base_events.py", ("BaseEventLoop._run_once", "_run_once"), "event loop", True),
    ("trio/_core/_run.py", ("run", "unrolled_run"), "event loop", True),
    ("asyncio/runners.py", ("Runner.run", "run"), "event loop", False),
    ("uvloop/__init__.py", ("run",), "event loop", False),
)
"""Where threads wait that have nothing to do: the file, the function, what to call it, and whether it waits in a
function that it calls (of `_BELOW_IDLE`) or itself."""
_BELOW_IDLE = (
    "queue.py",
    "threading.py",
    "selectors.py",
    "trio/_core/_io_epoll.py",
    "trio/_core/_io_kqueue.py",
)
"""Files of the functions that those call to wait."""


class Stacks:
    """One look at this process. Agent thread only; not used twice."""

    def __init__(
        self,
        *,
        task: str | None = None,
        thread: str | None = None,
        limit: int = STACKS,
        redaction: RedactionPolicy = DEFAULT,
        clock: Callable[[], float] = perf_counter,
    ) -> None:
        """`task` and `thread` are globs for names; a task is also chosen by its coroutine's."""
        self._task_glob = task
        self._thread_glob = thread
        self._limit = limit
        self._redactor = Redactor(redaction)
        self._clock = clock
        self._began = clock()
        self._breathe = Slices(clock).breathe
        self._bytes = 0
        self._codes: list[list[Any]] = []
        self._numbers: dict[tuple[int, str], int] = {}
        self._kept: list[Any] = []
        self._texts: dict[str, str] = {}
        self._asyncio = Asyncio()
        self._trio = Trio()
        self._stacks: dict[int, list[Frame]] = {}
        self._awaiting: dict[int, list[str]] = {}
        self._libraries = _libraries()
        self._end = ""
        """Why nothing more is read."""
        self.notes: list[str] = []

    def to_wire(self) -> dict[str, Any]:
        """Return the fields of the answer."""
        began_ns = perf_counter_ns()
        own = get_ident()
        idents = [ident for ident in chain.from_iterable(starmap(sys._current_frames, ((),))) if ident != own]
        known = threads()
        places = {ident: place for place, ident in enumerate(known)}
        idents.sort(key=lambda ident: places.get(ident, len(places)))
        for ident in idents:
            self._breathe()
            self._stacks[ident] = [
                frame for frame in frames.stack(ident) if not frame.code.co_filename.startswith(_OURS)
            ]
        total, shown, left = self._tasks(idents)
        stacks = self._threads(shown, known)
        self._say_what_is_not_seen()
        return {
            "threads": stacks,
            "threads_total": len(idents),
            "tasks": shown,
            "tasks_total": total,
            "codes": self._codes,
            "not_shown": left,
            "notes": self.notes,
            "took_ns": perf_counter_ns() - began_ns,
        }

    # ---- tasks --------------------------------------------------------------------------------------------------

    def _tasks(self, idents: list[int]) -> tuple[int, list[dict[str, Any]], dict[str, int]]:
        """Return how many tasks there are, those that are shown, and how many of each kind are not."""
        ranks: Counter[str] = Counter()
        chosen: list[tuple[int, int, str, Reference, Asyncio | Trio]] = []
        total = 0
        for reference, library in self._references(idents):
            brief = library.brief(reference())
            if brief is None:
                continue
            total += 1
            coroutine = _coroutine_name(brief)
            if brief.waits_on is not None:
                self._note_waiter(brief)
            if self._task_glob is None or any(
                fnmatchcase(self._text(name), self._task_glob) for name in (brief.name, coroutine)
            ):
                chosen.append((ranks[coroutine], len(chosen), coroutine, reference, library))
                ranks[coroutine] += 1
            del brief
        chosen.sort(key=itemgetter(0, 1))
        shown: list[dict[str, Any]] = []
        for _, _, coroutine, reference, library in chosen:
            if len(shown) >= self._limit or not self._room():
                break
            task = self._task(reference(), library)
            ranks[coroutine] -= 1
            if task is None:
                total -= 1
            else:
                shown.append(task)
        left = {self._text(name): count for name, count in ranks.most_common(MAX_KINDS) if count > 0}
        rest = sum(ranks.values()) - sum(left.values())
        if rest > 0:
            left["…"] = rest
        return total, shown, left

    def _references(self, idents: list[int]) -> Iterator[tuple[Reference, Asyncio | Trio]]:
        found: list[tuple[Reference, Asyncio | Trio]] = []
        for library in (self._asyncio, self._trio):
            try:
                found += [(reference, library) for reference in references(library, idents)]
            except Unlisted as error:
                self.notes.append(f"the tasks of {library.kind} are not shown: {error}")
        if len(found) > MAX_TASKS:
            self.notes.append(f"{len(found) - MAX_TASKS} tasks more than the {MAX_TASKS} that are counted")
        for one in found[:MAX_TASKS]:
            self._breathe()
            yield one

    def _note_waiter(self, brief: Brief) -> None:
        """Remember for each future, and for each one gathered in it, who waits for it."""
        for future in (brief.waits_on, *self._asyncio.gathered(brief.waits_on)):
            self._breathe()
            names = self._awaiting.setdefault(id(future), [])
            if len(names) < MAX_NAMES:
                names.append(brief.name)

    def _task(self, task: Any, library: Asyncio | Trio) -> dict[str, Any] | None:
        """Return TASK; None for one that ended meanwhile."""
        brief = library.brief(task)
        if brief is None or brief.coroutine is None:
            return None
        facts = library.facts(task)
        state, found, end = frames.awaits(brief.coroutine)
        thread = self._asyncio.thread_of(facts.loop)
        if state == RUNNING and found:
            thread, found = self._on_thread(found, thread)
        elif state == WAITING and not (brief.waits_on is not None if facts.asleep is None else facts.asleep):
            state = READY
        elif state not in (WAITING, NEW):
            return None
        wire: dict[str, Any] = {
            "name": self._text(brief.name),
            "kind": library.kind,
            "class": self._text(described(task)),
            "coroutine": self._text(_coroutine_name(brief)),
            "state": state,
            "thread": thread,
            "loop": None if facts.loop is None else self._text(described(facts.loop)),
            "cancelling": facts.cancelling,
            "waits_for": self._waits_for(brief.waits_on, end, found) if state == WAITING else None,
            "awaited_by": self._waiters(task, library, facts),
            **self._shown(found),
        }
        self._bytes += 200 + sum(map(len, wire["awaited_by"]))
        return wire

    def _on_thread(self, found: list[Frame], thread: int | None) -> tuple[int | None, list[Frame]]:
        """Return where a running task runs, and its frames there, the calls that it makes included."""
        first = found[0].frame_id
        for ident, stack in self._stacks.items():
            for place, frame in enumerate(stack):
                if frame.frame_id == first and frame.code is found[0].code:
                    return ident, [found[0]._replace(line=frame.line), *stack[place + 1 :]]
        return thread, found

    def _waiters(self, task: Any, library: Asyncio | Trio, facts: Facts) -> list[str]:
        """Return the names of the tasks that wait for this one, its group's or nursery's among them."""
        waiters = list(islice(self._asyncio.waiters(task), MAX_NAMES)) if library is self._asyncio else []
        known = [library.brief(waiter) for waiter in (*waiters, facts.parent) if waiter is not None]
        names = [brief.name for brief in known if brief is not None] + self._awaiting.get(id(task), [])
        return [self._text(name) for name in islice(dict.fromkeys(names), MAX_NAMES)]

    def _waits_for(self, on: Any, end: Any, found: Sequence[Frame]) -> dict[str, Any]:
        """Return what a task waits for: the library's call that says it best, types, and tasks by name.

        `on` is the future that it waits for, `end` what its innermost coroutine awaits: the same, or what hides it.
        """
        wire: dict[str, Any] = {"call": self._call(found), "type": None, "tasks": [], "count": 0}
        if end is not None or on is not None:
            wire["type"] = self._text(described(on if end is None else end))
        if on is None:
            return wire
        gathered = self._asyncio.gathered(on)
        if gathered:
            wire["call"] = wire["call"] or "asyncio.gather"
        for future in gathered or [on]:
            self._breathe()
            brief = self._asyncio.brief(future)
            if brief is not None:
                wire["count"] += 1
                if wire["count"] <= MAX_NAMES:
                    wire["tasks"].append(self._text(brief.name))
        return wire

    def _call(self, found: Sequence[Frame]) -> str | None:
        """Return the outermost call into asyncio, trio or anyio after which no other code comes: `asyncio.Lock.acquire`."""
        best = None
        for frame in reversed(found):
            library = next(
                (name for name, folder in self._libraries if frame.code.co_filename.startswith(folder)), None
            )
            if library is None:
                break
            if best is None or not frame.name.endswith(("__aenter__", "__await__", "__iter__")):
                best = f"{library}.{frame.name.replace('_LockImpl', 'Lock')}"
        return None if best is None else self._text(best)

    # ---- threads ------------------------------------------------------------------------------------------------

    def _threads(self, tasks: Sequence[dict[str, Any]], known: Mapping[int, Thread]) -> list[dict[str, Any]]:
        running = {task["thread"]: task["name"] for task in tasks if task["state"] == RUNNING}
        loops = {
            task["thread"]: task["loop"] for task in tasks if task["loop"] and task["thread"] is not None
        }
        loops.update(self._unplaced(tasks, loops))
        wire: list[dict[str, Any]] = []
        for ident, stack in self._stacks.items():
            said = known.get(ident)
            name = said.name if said is not None else ""
            if not stack or (self._thread_glob is not None and not fnmatchcase(name, self._thread_glob)):
                continue
            if len(wire) >= self._limit or not self._room():
                break
            wire.append(
                {
                    "ident": ident,
                    "native_id": said.native_id if said is not None else None,
                    "name": self._text(name),
                    "daemon": said.daemon if said is not None else None,
                    "main": said is not None and said.main,
                    "loop": loops.get(ident) or _runs_loop(stack),
                    "task": running.get(ident),
                    "idle": None if ident in running else _idle(stack),
                    **self._shown(stack),
                }
            )
            self._bytes += 200
        return wire

    def _unplaced(self, tasks: Sequence[dict[str, Any]], placed: dict[Any, Any]) -> dict[int, str]:
        """Return the thread of a loop that does not say where it runs (uvloop's), where only one can be it."""
        loops = {task["loop"] for task in tasks if task["loop"] and task["thread"] is None}
        candidates = [
            ident
            for ident, stack in self._stacks.items()
            if ident not in placed and stack and _idle(stack) == "event loop"
        ]
        if len(loops) == 1 and len(candidates) == 1:
            return {candidates[0]: loops.pop()}
        return {}

    # ---- both ---------------------------------------------------------------------------------------------------

    def _shown(self, stack: Sequence[Frame]) -> dict[str, Any]:
        """Return the frames of a stack for the wire, outermost first, and how many in the middle are left out."""
        left = max(0, len(stack) - OUTER_FRAMES - INNER_FRAMES)
        kept = [*stack[:OUTER_FRAMES], *stack[OUTER_FRAMES + left :]] if left else stack
        self._bytes += 8 * len(kept)
        return {"frames": [[self._number(frame), frame.line] for frame in kept], "left_out": left}

    def _number(self, frame: Frame) -> int:
        """Return the number of a function in `codes`."""
        key = (id(frame.code), frame.name)
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = len(self._codes)
            self._kept.append(frame.code)  # its identity is the key
            entry = [self._text(frame.name), _file(frame.code.co_filename)]
            self._codes.append(entry)
            self._bytes += len(entry[0]) + len(entry[1]) + 8
        return number

    def _text(self, text: str) -> str:
        """Return text that may be shown; the same few come again and again."""
        known = self._texts.get(text)
        if known is None:
            known = self._texts[text] = self._redactor.redact(name_text(text), 200)[0]
        return known

    def _room(self) -> bool:
        """Take a breath; return whether there is room and time for more."""
        self._breathe()
        if self._bytes >= MAX_BYTES:
            self._end = f"more than the {MAX_BYTES >> 20} MiB that one answer may have"
        elif self._clock() - self._began >= MAX_S:
            self._end = f"more than was read in {MAX_S:g} s"
        return not self._end

    def _say_what_is_not_seen(self) -> None:
        if self._end:
            self.notes.append(f"this is not all: {self._end}; --task and --thread choose")
        if "gevent" in sys.modules or "greenlet" in sys.modules:
            self.notes.append("greenlets are not shown, but for the one that each thread runs now")


def _coroutine_name(brief: Brief) -> str:
    coroutine = brief.coroutine
    return running_name(coroutine) if frames.is_step(coroutine) else described(coroutine)


def _file(name: str) -> str:
    return name if len(name) <= MAX_FILE and name.isascii() else name_text(name[-MAX_FILE:])


def _libraries() -> list[tuple[str, str]]:
    """Return name and folder of the libraries whose calls say what a task waits for."""
    found = []
    for name in ("asyncio", "trio", "anyio"):
        file = module_fields(name).get("__file__")
        if type(file) is str:
            found.append((name, os.path.dirname(file) + os.sep))
    return found


def _idle(stack: Sequence[Frame]) -> str | None:
    """Return what a thread waits in that has nothing to do: `executor`, `event loop`; None for all others."""
    for place in range(len(stack) - 1, -1, -1):
        frame = stack[place]
        file = frame.code.co_filename
        for end, names, what, above in _IDLE:
            if file.endswith(end) and frame.name in names:
                return what if (place < len(stack) - 1) is above else None
        if not file.endswith(_BELOW_IDLE):
            return None
    return None


def _runs_loop(stack: Sequence[Frame]) -> str | None:
    """Return the library whose loop runs somewhere below on a stack."""
    for frame in stack:
        file, name = frame.code.co_filename, frame.code.co_name
        if name == "run_forever" and file.endswith("asyncio/base_events.py"):
            return "asyncio"
        if name == "run" and file.endswith("trio/_core/_run.py"):
            return "trio"
    return None
