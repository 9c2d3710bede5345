"""The runner model: which node is on top, in any interleaving of tasks, threads and generators.

Within a trace a *runner* is a stack of nodes that one thread works on at a time; `Runners.current[thread]` is the one
that runs there. A runner begins at a driver boundary: the first traced frame on a thread with no current runner, or a
coroutine that starts under a caller that is neither a coroutine nor a generator (an event loop, `send()`, an eager
task; not an `await`). It leaves when its root yields and comes back when its root is resumed or thrown into.

Below a root, coroutines nest strictly, so their own suspensions need no attention, nor does an asynchronous generator's
`await`; a generator takes its part of the stack with it when it yields an item and puts it back when it is resumed, on
whichever runner is current then. A node is found by the identity of its frame, never by name or code. No exit event can
be relied on: a frame whose identity comes again is dead, and an exit that does not match the top closes what lies above
as lost.

This module knows no interpreter: every core feeds it (START, RETURN or UNWIND, YIELD, RESUME or THROW; frame; thread),
and anything with `f_back` and `f_code` will do for a frame, so that a list of events can be replayed.

Events for the stream are appended to `events` as tuples `(kind, runner, time_ns, ...)`; appending is atomic, and per
runner the order is right because one thread at a time works on it. `Writer` turns them into records.

Concurrency: called on application threads inside interpreter callbacks; no lock, nothing blocks. Frames are kept by
`id()` only, never by reference.
"""

from __future__ import annotations

from _thread import get_native_id
from collections import deque
from collections.abc import Callable, Sequence
from inspect import CO_ASYNC_GENERATOR
from time import perf_counter_ns
from types import CodeType
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from tracepatch_shared.records import BRANCH, LOST, REENTER, RESUME, SUSPEND, YIELD

from . import strand
from .codes import LIBRARY, SKIPPED, SUSPENDS, Entry
from .frame_ids import frame_id as id_of

if TYPE_CHECKING:
    from .cores._native import Log


class Frame(Protocol):
    """What the model reads of a frame."""

    @property
    def f_back(self) -> Any: ...
    @property
    def f_code(self) -> CodeType: ...


class Node:
    """One call while it is open.

    What most nodes never need has its value in the class: three of these are made in the time of one that sets all.
    """

    elided = 0
    number = -1
    """Given by the stream's writer."""
    visible = True
    saved: list[Node] | None = None
    """What a generator that has yielded took off its stack: itself and all above it."""
    holder: Node | None = None
    """The generator that took this node with it."""
    roams = False
    """It has once yielded an item to another: it is no runner's root, even where it is alone on a stack."""
    along: Node | None = None
    """The generator that waits for the items of this one, and that came back with it as something was thrown in."""
    delegate = False
    """The root, a generator, waited for its items when something was thrown in there."""

    def __init__(self, entry: Entry, frame_id: int, runner: Runner) -> None:
        self.entry = entry
        self.frame_id = frame_id
        self.runner = runner


class Runner:
    """A stack of nodes; shown as a branch of the trace once it has a visible node."""

    __slots__ = (
        "entered", "kind", "link", "name", "native", "number", "outer", "parent", "running", "shown", "stack", "thread", "thrown",
        "visited",
    )  # fmt: skip

    def __init__(self, kind: str, name: str, parent: Node | None, link: str) -> None:
        self.kind = kind
        self.name = name
        self.parent = parent
        self.link = link
        self.stack: list[Node] = []
        self.outer: Runner | None = None
        self.running = False
        self.shown = False
        self.thrown = False
        """It was woken up by a throw, from the inside out: its root has not gone on, so a yield of any of its coroutines
        suspends it."""
        self.visited: Node | None = None
        """An asynchronous generator that was thrown into while the runner waits, maybe by a task that closes it."""
        self.number = -1
        self.thread = 0
        """The strand on which it ran last."""
        self.native = get_native_id()
        """The thread in which it began."""
        self.entered = False
        """It began in a Context that was not the trace's, and was made so for its time."""


class Start(NamedTuple):
    """What is known of a runner before it begins: the node that started it, whether that is certain, a given name."""

    node: Node | None
    link: str
    name: str = ""
    thread: int = 0
    """Where it was said, of what is handed to another thread."""


Event = tuple[Any, ...]


class Events(deque):  # type: ignore[type-arg]
    """Events that wait to be written."""

    pending = 0
    """Calls that the native core has recorded, and `_calls` does not count so far."""
    text_bytes = 0
    """What texts weigh that it keeps to know them again."""


class Runners:
    """All runners of one trace."""

    __slots__ = (
        "_calls", "_clock", "_max_depth", "_watch", "current", "events", "handed", "here", "last", "lost", "mixed", "node", "open", "returned_root", "root", "spawned",
    )  # fmt: skip

    def __init__(
        self,
        *,
        max_depth: int,
        watch: Callable[[CodeType], None],
        clock: Callable[[], int] = perf_counter_ns,
        log: Log | None = None,
    ) -> None:
        """`watch` is told each code whose yields and resumes must be reported from now on.

        `log` is the native core's, which writes events where they happen; without it they wait as they are.
        """
        self.events: Any = Events() if log is None else log
        self.here = strand.identity()
        """Tells apart what runs one call at a time; the key of `current`."""
        self.current: Any = {} if log is None else log.current
        self.open: Any = {} if log is None else log.open
        self.node: Any = Node if log is None else log.node
        self.spawned: dict[int, Start] = {}
        self.handed: dict[int, list[Start]] = {}
        self.mixed: set[int] = set()
        """Codes that several threads were given at the same time: which is which is not known."""
        self.root: Runner | None = None
        self.returned_root: Node | None = None
        """The root of a trace that goes on after it: what comes then hangs below it."""
        self.last: Runner | None = None
        self._calls = 0
        self.lost = 0
        self._max_depth = max_depth
        self._watch = watch
        self._clock = clock

    @property
    def calls(self) -> int:
        """Calls that were recorded (any thread)."""
        return self._calls + int(self.events.pending)

    def start(self, entry: Entry, frame: Frame) -> Node | None:
        """A frame begins: return its node when it is to be recorded as a call."""
        frame_id = id_of(frame)
        self.reused(frame_id)
        thread = self.here()
        runner = self.current.get(thread)
        if entry.coroutine and runner is not None:
            back = frame.f_back
            if back is None or not back.f_code.co_flags & SUSPENDS:
                return self._branch(entry, frame_id, thread, runner)
        if runner is None:
            return self._branch(entry, frame_id, thread, None)
        stack = runner.stack
        if not stack:  # lost while it was current on another thread
            return self._branch(entry, frame_id, thread, None)
        top = stack[-1]
        action = entry.action
        if action == SKIPPED or (entry.library and top.entry.library) or len(stack) >= self._max_depth:
            top.elided += 1
            return None
        node: Node = self.node(entry, frame_id, runner)
        if not runner.shown:
            handed = self._take_handed(entry, thread) if runner.link == "inferred" else None
            if handed is not None:
                runner.kind, runner.parent, runner.link = "thread", handed.node, handed.link
                runner.name = self._thread_name() or runner.name
            self._show(runner)
        stack.append(node)
        self.open[frame_id] = node
        entry.recorded = True
        if entry.suspends and not entry.coroutine:
            self._watch(entry.code)
        return node

    def reused(self, frame_id: int) -> None:
        """Another frame has this identity now: the one that was followed is dead."""
        stale = self.open.get(frame_id)
        if stale is not None:
            self._lose(stale)

    def resumed_elsewhere(self, frame_id: int) -> None:
        """Another task goes on with this frame: where and whether it ends is not seen from here on."""
        node = self.open.get(frame_id)
        if node is not None and node.saved is not None:
            self._lose(node)

    def host(self, entry: Entry, frame: Frame, runner: Runner | None = None) -> None:
        """Begin a runner, by default the root, with a frame that runs already: it is no node, but its yields count."""
        if runner is None:
            runner = self.root = Runner("root", entry.code.co_name, None, "exact")
        self._step_in(runner, self.here())
        node = self.node(entry, id_of(frame), runner)
        node.visible = False
        runner.stack.append(node)
        self.open[node.frame_id] = node
        entry.recorded = True
        if entry.suspends:
            self._watch(entry.code)

    def leave(self, frame_id: int) -> Node | None:
        """A frame has returned or was unwound: return its node when it was recorded, the runner adjusted."""
        node: Node | None = self.open.pop(frame_id, None)
        if node is None:
            return None
        if node.saved is not None:
            self._reenter(node)
        elif node.holder is not None:
            self._reenter(node.holder)
        runner = node.runner
        stack = runner.stack
        while stack:
            top = stack.pop()
            if top is node:
                break
            self.open.pop(top.frame_id, None)
            self._report_lost(top)
        if not stack:
            self.last = runner
            self._step_out(runner)
        elif runner.visited is node:
            self._visit_ends(runner)
        return node

    def suspend(self, frame_id: int, at: int = -1) -> bool:
        """A frame has yielded, at this instruction; return whether that suspended a runner."""
        node = self.open.get(frame_id)
        if node is None or node.saved is not None:
            return False
        runner = node.runner
        stack = runner.stack
        entry = node.entry
        # An asynchronous generator that awaits stays where it is; one that is visited goes with its visitor.
        awaits = entry.coroutine or (
            entry.items is not None and at not in entry.items and runner.visited is not node
        )
        if (stack and stack[0] is node and not node.roams) or (runner.thrown and awaits):
            self._wait(runner)
            return True
        if awaits:
            return False
        for index in range(len(stack) - 1, -1, -1):
            if stack[index] is node:
                node.roams = True
                node.saved = stack[index:]
                del stack[index:]
                for item in node.saved:
                    item.holder = node
                if node.visible:
                    self.events.append((YIELD, runner, self._clock(), node))
                if runner.visited is node:
                    self._visit_ends(runner)
                break
        outer, node.along = node.along, None
        if outer is not None:  # the item is its item, too
            self.suspend(outer.frame_id)
        if runner.thrown and node.delegate:
            self._wait(runner)
            return True
        return False

    def resume(self, frame_id: int, frame: Frame | None = None) -> None:
        """A frame goes on after a yield, or something is thrown into it; the frame says who makes it do so."""
        node = self.open.get(frame_id)
        if node is None:
            return
        runner = node.runner
        stack = runner.stack
        if runner.running:
            if stack and stack[0] is node:
                runner.thrown = False
        elif node.saved is None or (node.entry.code.co_flags & CO_ASYNC_GENERATOR and self._is_driven(frame)):
            runner.visited = node if node.saved is not None else None
            self._continue(runner, node)
        if node.saved is not None:
            self._reenter(node)
        elif node.holder is not None:
            self._reenter(node.holder)

    def _is_driven(self, frame: Frame | None) -> bool:
        """Tell whether no coroutine waits for what an asynchronous generator does now: a task that closes it, begun here."""
        if self.here() not in self.current:
            return True
        if frame is None:
            return False
        back = frame.f_back
        return back is None or not back.f_code.co_flags & SUSPENDS

    def come_along(self, frame_id: int, outer_id: int) -> None:
        """Something is thrown into a generator by way of another that waits for its items, and may not be told."""
        node = self.open.get(frame_id)
        outer = self.open.get(outer_id)
        if node is not None and outer is not None and outer.saved is not None and node.saved is not None:
            self.resume(outer_id)
            node.along = outer

    def resume_inside(self, delegates: Sequence[int]) -> None:
        """Something is thrown into the root, a generator, by way of what it delegates to; the innermost frame is first."""
        runner = self.root
        if runner is None or runner.running:
            return
        self._continue(runner, None)
        for frame_id in reversed(delegates):
            node = self.open.get(frame_id)
            if node is not None:
                node.delegate = True
                if node.saved is not None:
                    self._reenter(node)

    def thrown_into(self, frame: Frame, entry_of: Callable[[Any], Entry]) -> bool:
        """Something is thrown into a frame that goes on; return whether that woke a runner up which has no node of it.

        It was passed over, like one library function below another. Where it catches that, the trace hook of 3.10 and
        3.11 is not told that what is above it goes on. So from here on it, and all between it and the runner's top, are
        nodes that do not show.
        """
        between = [frame]
        above = frame.f_back
        while above is not None and above.f_code.co_flags & SUSPENDS and id_of(above) not in self.open:
            between.append(above)
            above = above.f_back
        top = None if above is None else self.open.get(id_of(above))
        if top is None or self.here() in self.current:
            return False
        runner = top.runner
        if runner.running or top.saved is not None or not runner.stack or runner.stack[-1] is not top:
            return False
        self._continue(runner, None)
        for step in reversed(between):
            node = self.node(entry_of(step), id_of(step), runner)
            node.visible = False
            runner.stack.append(node)
            self.open[node.frame_id] = node
            self._watch(step.f_code)
        return True

    def _continue(self, runner: Runner, node: Node | None) -> None:
        """The runner goes on with its root, or, thrown into from the inside out, with the innermost of its frames."""
        stack = runner.stack
        self._step_in(runner, self.here())
        runner.thrown = not stack or stack[0] is not node
        if runner.thrown:
            holder = None if node is None else node.holder
            for item in (*stack, *(holder.saved or () if holder is not None else ())):
                if item.entry.coroutine:
                    self._watch(item.entry.code)
        if runner.shown:
            self.events.append((RESUME, runner, self._clock()))

    def _visit_ends(self, runner: Runner) -> None:
        """The runner waits on."""
        runner.visited = None
        self._wait(runner)

    def _wait(self, runner: Runner) -> None:
        if runner.running:
            self._step_out(runner)
            if runner.shown:
                self.events.append((SUSPEND, runner, self._clock()))

    def spawning(self, frame_id: int, name: str = "") -> None:
        """The current top node starts a task whose coroutine has this frame."""
        runner = self.current.get(self.here())
        if runner is not None:
            start = starter(runner, name)
            known = self.spawned.get(frame_id)
            if known is not None:
                for above in reversed(runner.stack):
                    if above is known.node:
                        return  # what starts the task calls the next: the first of them is right
                    if above.entry.spawn is None:
                        break  # an earlier coroutine that never ran was at this address
            self.spawned[frame_id] = start

    def handing(self, code: CodeType) -> None:
        """The current top node has this code run by another thread."""
        runner = self.current.get(self.here())
        if runner is not None:
            waiting = self.handed.setdefault(id(code), [])
            if waiting:
                self.mixed.add(id(code))
            waiting.append(starter(runner)._replace(thread=self.here()))

    def runs_here(self) -> bool:
        """Tell whether a runner of this trace is current on the calling thread."""
        return self.here() in self.current

    def open_nodes(self) -> list[Node]:
        """Return the visible nodes whose end was not seen (any thread; a moment's view)."""
        return [node for node in list(self.open.values()) if node.visible]

    def _branch(self, entry: Entry, frame_id: int, thread: int, outer: Runner | None) -> Node | None:
        if self.root is None:
            runner = Runner("root", "", None, "exact")
            self.root = runner
        else:
            runner = self._begin_runner(entry, frame_id, thread, outer)
        visible = runner is self.root or entry.action not in (LIBRARY, SKIPPED)
        node: Node = self.node(entry, frame_id, runner)
        if not visible:
            node.visible = False
        runner.name = runner.name or entry.code.co_name
        self._step_in(runner, thread)
        if visible:
            self._show(runner)
        runner.stack.append(node)
        self.open[frame_id] = node
        entry.recorded = True
        if entry.suspends:
            self._watch(entry.code)
        return node if visible else None

    def _begin_runner(self, entry: Entry, frame_id: int, thread: int, outer: Runner | None) -> Runner:
        start = self.spawned.pop(frame_id, None)
        if not entry.coroutine:
            start = None  # a coroutine's that stood at this address
        kind = "task" if entry.coroutine else "callback"
        if start is None:
            start = self._take_handed(entry, thread)
            if start is not None:
                kind = "thread"
        if start is None:
            nearest = self._nearest(outer)
            start = Start(nearest, "inferred")
            if (
                kind == "callback"
                and outer is None
                and nearest is not None
                and nearest.runner.thread != thread
            ):
                kind = "thread" if nearest.runner.native != get_native_id() else "greenlet"
        name = self._thread_name() if kind == "thread" else start.name
        return Runner(kind, name, start.node, start.link)

    def _take_handed(self, entry: Entry, thread: int) -> Start | None:
        """Return who had this code run by another thread than said so; of several that did, the first, uncertain."""
        key = id(entry.code)
        waiting = self.handed.get(key)
        if not waiting or waiting[0].thread == thread or self._called_by_loop():
            return None
        start = waiting.pop(0)
        if key in self.mixed:
            start = start._replace(link="inferred")
            if not waiting:
                self.mixed.discard(key)
        return start

    def _thread_name(self) -> str:
        """Return the name of the calling thread, where it is known."""
        return ""

    def _called_by_loop(self) -> bool:
        """Tell whether an event loop runs on the calling thread: what begins there is its callback."""
        return False

    def _nearest(self, outer: Runner | None) -> Node | None:
        candidates = [outer, self.last, self.root]
        for runner in candidates:
            if runner is not None and runner.stack:
                node = _visible(runner)
                if node is not None:
                    return node
        return self.returned_root

    def _show(self, runner: Runner) -> None:
        runner.shown = True
        self.events.append((BRANCH, runner, self._clock()))

    def _step_in(self, runner: Runner, thread: int) -> None:
        runner.outer = self.current.get(thread)
        self.current[thread] = runner
        runner.thread = thread
        runner.running = True

    def _step_out(self, runner: Runner) -> None:
        thread = self.here()
        if self.current.get(thread) is runner:
            if runner.outer is None:
                del self.current[thread]
            else:
                self.current[thread] = runner.outer
        runner.outer = None
        runner.running = False
        self.last = runner

    def _reenter(self, node: Node) -> None:
        saved = node.saved
        node.saved = None
        runner = self.current.get(self.here())
        if runner is None:
            # Nobody runs here (closed by the collector, or handed to a callback): it comes back where it was.
            runner = node.runner
        for item in saved or ():
            item.holder = None
            item.runner = runner
            runner.stack.append(item)
        if node.visible:
            if not runner.shown:
                self._show(runner)
            self.events.append((REENTER, runner, self._clock(), node))

    def _lose(self, node: Node) -> None:
        """The node's frame is dead although no exit was seen; so is all that was above it."""
        dead = node.saved
        if dead is None:
            stack = node.runner.stack
            if node not in stack:
                dead = [node]
            else:
                index = stack.index(node)
                dead = stack[index:]
                del stack[index:]
                if not stack:
                    self._step_out(node.runner)
        for item in reversed(dead):
            self.open.pop(item.frame_id, None)
            self._report_lost(item)

    def _report_lost(self, node: Node) -> None:
        self.lost += 1
        if node.visible:
            self.events.append((LOST, node.runner, self._clock(), node))


def starter(runner: Runner, name: str = "") -> Start:
    """Return who starts what the runner starts now; below nothing that is shown, who started the runner itself."""
    for node in reversed(runner.stack):
        if node.visible:
            return Start(node, "exact", name)
    return Start(runner.parent, runner.link, name)


def _visible(runner: Runner) -> Node | None:
    for node in reversed(runner.stack):
        if node.visible:
            return node
    return runner.parent
