"""One trace while it records: the runner model, fed with captured values, within its limits.

The constant object that the ContextVar `current` holds in every Context of the task. Everything here runs on
application threads inside interpreter callbacks: values become plain data at once, in the order of the events, and
nothing of the user's is referred to when a callback returns. The agent thread takes the events out again (`drain`).

Cost: about 2 µs a call in pure Python, arguments and return value included (`make bench`).
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from sys import _getframe
from time import perf_counter_ns, time_ns
from types import CodeType, CoroutineType, FrameType, FunctionType, GeneratorType
from typing import TYPE_CHECKING, Any

from tracepatch_shared.limits import OPTIONS, Capture, Limits
from tracepatch_shared.records import CALL, COMPLETE, OPEN, RAISE, RETURN, TRIPPED

from . import pyversion
from .arrival import Outcome
from .codes import APPLICATION, HIDDEN, CodeTable, Entry, Scope
from .frame_ids import frame_id as id_of
from .handoff import (
    fresh,
    given_name,
    loop_runs,
    own_context,
    plain_function,
    receiver,
    run_with_context,
    thread_name,
    type_of,
)
from .objects import class_dict, mro_of
from .runners import Events, Frame, Node, Runner, Runners, Start, starter

if TYPE_CHECKING:
    from tracepatch_shared.traceparent import Traceparent

    from .capture import Capturer

current: ContextVar[Recording | None] = ContextVar("tracepatch", default=None)
"""The recording of this Context; a finished one (`done`) counts as none."""

_SNAPSHOT = pyversion.MONITORING and not pyversion.LIVE_LOCALS
"""`f_locals` is a copy that the frame keeps (3.12; before, the trace hook makes and needs it in any case)."""

EVENT_BYTES = 400
"""What one call weighs as Python tuples until the agent thread packs it, texts and containers not counted
(measured with tracemalloc: 380 to 450 on 3.10 to 3.14)."""

WAKE_CALLS = 400
"""The agent thread is woken to pack whenever as many calls more have been recorded."""

NATIVE_CALLS = 2_000
"""The same for the native core, which packs them itself: to send them."""

Logs = Callable[[int, "Capturer", CodeTable, bool, bool, bool], Any]
"""Makes the log of a recording: when it started, its capturer and its code, whether arguments are wanted, texts are interned,
and events of the root noted."""


class Recording(Runners):
    """The recorder of one task; `called`, `returned`, ... are fed by the cores.

    The straight path is written out once more in `called` and `returned`: an ordinary function that comes and goes on
    top of a runner. All else takes the model's own way (`start_frame`, `leave_by_return`), which also holds for it.
    """

    __slots__ = (
        "_arguments", "_at_once", "_body", "_capturer", "_codes", "_emit", "_look_at", "_max_bytes", "_max_calls", "_suspensions",
        "_wake", "_weight_seen", "delegates", "done", "ended_ns", "full", "known", "limits", "local", "on_end",
        "on_hand_off", "on_send", "option", "outer", "packed_bytes", "reason", "response", "root_node", "sent", "span",
        "started_at_ns", "started_ns", "status", "straight", "threads", "unstarted", "woken",
    )  # fmt: skip

    def __init__(
        self,
        *,
        limits: Limits,
        codes: CodeTable,
        capturer: Capturer,
        watch: Callable[[CodeType], None],
        wake: Callable[[], None],
        arguments: bool = True,
        outer: Recording | None = None,
        local: bool = False,
        threads: bool = False,
        log: Logs | None = None,
    ) -> None:
        """`outer` records on beside this one: a block within a block sees all that happens, each in its own tree.
        `local` is a recording without a probe; targets may begin theirs inside it.
        """
        self.started_ns = perf_counter_ns()
        written = log and log(self.started_ns, capturer, codes, arguments, not local, self.decided)
        super().__init__(max_depth=limits.max_depth, watch=watch, log=written)
        self.outer = outer
        self.local = local
        self.limits = limits
        self.done = False
        """Nothing is recorded any more; set once, by whoever ends the trace."""
        self.full = False
        """An ending limit has tripped: no new calls, but open nodes are followed to their end."""
        self.reason: str | None = None
        self.option: str | None = None
        self.status = OPEN
        self.started_at_ns = time_ns()
        self.ended_ns = 0
        self.root_node: Node | None = None
        self.packed_bytes = 0
        self._body = 0
        """The root has returned, and what it returned has this identity (of a generator: its frame) and is to be sent."""
        self.response: Outcome | None = None
        """The task has come in at an entry, and this is how it goes: the response to a request, as far as it is known."""
        self.span: Traceparent | None = None
        """The distributed trace and its span that were current when the root began."""
        self.unstarted = 0
        """Branches that were started and had not begun when the trace ended."""
        self.on_end: Callable[[Recording], None] | None = None
        self.on_hand_off: Callable[[Recording, FunctionType], None] | None = None
        self.on_send: Callable[[FunctionType], None] | None = None
        self.threads = threads
        self.sent: dict[int, tuple[weakref.ref[Any], Start]] = {}
        """id of a thread, or of a pool's work, that a node of this trace started and that has not begun -> which node."""
        self.straight = outer is None
        """Neither another recording nor a limit asks for more than the straight path."""
        self.delegates: list[int] = []
        """A traced generator's: frames that yielded last, each to the next by `yield from`."""
        self.woken: list[int] = []
        """A traced generator's: those of them by way of which something was thrown in."""
        self._max_calls = limits.max_calls
        self._max_bytes = limits.max_bytes
        self._codes = codes
        self.known = codes.get
        self._emit = self.events.append
        self._capturer = capturer
        self._arguments = arguments
        self._wake = wake
        self._weight_seen = 0
        self._at_once = WAKE_CALLS if written is None else NATIVE_CALLS
        self._look_at = min(self._at_once, limits.max_calls)
        """The number of calls at which the limits are looked at again."""
        self._suspensions = 0

    decided = False
    """Whether it is kept is decided when it ends (class)."""

    @property
    def native(self) -> bool:
        """Events are written where they happen."""
        return type(self.events) is not Events

    # ---- events, on application threads -------------------------------------------------------------------------

    def called(self, entry: Entry, frame: FrameType | None) -> bool:
        """Code that was met before begins in `frame`, by default the caller's caller; return whether its end matters."""
        if entry.plain and self.straight:
            runner = self.current.get(self.here())
            if runner is not None and runner.shown and (stack := runner.stack):
                if entry.library and stack[-1].entry.library:
                    stack[-1].elided += 1
                    return False
                frame = frame or _getframe(2)
                frame_id = id_of(frame)
                if self._calls < self._look_at and frame_id not in self.open and len(stack) < self._max_depth:
                    node = self.open[frame_id] = self.node(entry, frame_id, runner)
                    stack.append(node)
                    entry.recorded = True
                    self._begun(node, frame)
                    return True
        frame = frame or _getframe(2)
        return self.start_frame(frame.f_code, frame) is not None or self.follows(id_of(frame))

    def returned(self, entry: Entry, frame_id: int, value: object) -> bool:
        """A frame returned `value`; return whether that changed more than the top of a runner."""
        node = self.open.get(frame_id)
        if node is None or node.entry is not entry:
            if self.outer is None:
                return False
        elif entry.plain and self.straight:
            runner = node.runner
            stack = runner.stack
            if len(stack) > 1 and stack[-1] is node:
                now = perf_counter_ns()
                self.open.pop(frame_id, None)  # the agent thread may have made it forget meanwhile
                stack.pop()
                plain = self._capturer.returned(entry, value) if self._arguments else None
                self._emit((RETURN, runner, now, node, plain))
                return False
        self.leave_by_return(frame_id, value)
        return True

    def _begun(self, node: Node, frame: FrameType) -> None:
        """Record a call."""
        entry = node.entry
        self._calls += 1
        plain = None
        if self._arguments and entry.arguments:
            values = frame.f_locals
            plain = self._capturer.arguments(entry, values)
            if _SNAPSHOT and entry.optimized:
                values.clear()  # the frame keeps this copy: what the function deletes would live on
        self._emit((CALL, node.runner, perf_counter_ns(), node, plain))

    def start_frame(self, code: CodeType, frame: FrameType) -> Node | None:
        """As `called`; return the node when there is one."""
        outer = self.outer
        if outer is not None and not outer.done:
            outer.start_frame(code, frame)
        entry = self.known(id(code)) or self._codes.add(code, frame)
        if entry.tell is not None and self.response is not None:
            values = frame.f_locals
            entry.tell(self.response, values)
            if _SNAPSHOT and entry.optimized:
                values.clear()
        if entry.occurs is not None:
            entry.occurs(self, entry, frame)
        if self.full:
            return None
        if entry.action == HIDDEN:
            return None
        if entry.spawn is not None:
            self._note_spawn(frame, entry.spawn)
        if entry.serves_others:
            current.set(None)
            return None
        if entry.bare or entry.send is not None:
            self._note_send(entry, frame)
        if self.calls >= self._look_at and not self._goes_on():
            return None
        node = self.start(entry, frame)
        if self._body:
            self._body_ends(entry, frame)
        if entry.hand_off is not None and not entry.bare:
            self._hand_off(frame.f_locals.get(entry.hand_off))
        if node is not None:
            self._begun(node, frame)
        return node

    def leave_by_return(self, frame_id: int, value: object) -> Node | None:
        """The frame returned `value`; return its node when it was recorded."""
        outer = self.outer
        if outer is not None and not outer.done:
            outer.leave_by_return(frame_id, value)
        now = perf_counter_ns()
        node = self.leave(frame_id)
        if node is None:
            return None
        if node.visible:
            plain = self._capturer.returned(node.entry, value) if self._arguments else None
            self._emit((RETURN, node.runner, now, node, self._capturer.silenced(node.entry, plain)))
        elif node.runner.entered:
            self._left(node)
        if node is self.root_node and not self._body_follows(value):
            self.finish()
        return node

    def leave_by_raise(self, frame_id: int, exception: BaseException) -> Node | None:
        """The frame was unwound by `exception`."""
        if not self.follows(frame_id):
            return None
        return self.leave_raised(frame_id, self.raised(exception))

    def leave_raised(self, frame_id: int, raised: tuple[str, Any]) -> Node | None:
        """The frame was unwound by an exception of which this was captured."""
        outer = self.outer
        if outer is not None and not outer.done:
            outer.leave_raised(frame_id, raised)
        now = perf_counter_ns()
        node = self.leave(frame_id)
        if node is None:
            return None
        if node.visible:
            message = self._capturer.silenced(node.entry, raised[1])
            self._emit((RAISE, node.runner, now, node, raised[0], message))
        elif node.runner.entered:
            self._left(node)
        if self.returned_root is not None and self.response is not None and self._body_broke(node, raised[0]):
            self.response.view_raised()
        if node is self.root_node:
            self.finish()
        return node

    def suspend(self, frame_id: int, at: int = -1) -> bool:
        outer = self.outer
        if outer is not None and not outer.done:
            outer.suspend(frame_id, at)
        self._suspensions += 2  # and its resumption: a trace may yield for ever without a call
        if self._suspensions >= WAKE_CALLS:
            self._suspensions = 0
            was_full = self.full
            if self._weigh() and was_full:
                # What is open is followed to its end, but its yields and suspensions have no bound of their own.
                self.end(TRIPPED, "max_bytes")
                return False
        return super().suspend(frame_id, at)

    def resume(self, frame_id: int, frame: Frame | None = None) -> None:
        outer = self.outer
        if outer is not None and not outer.done:
            outer.resume(frame_id, frame)
        super().resume(frame_id, frame)

    def thrown_below(self, frame: FrameType) -> bool:
        """Something is thrown into a frame that is not followed; return whether it is from here on."""
        outer = self.outer
        if outer is not None and not outer.done:
            outer.thrown_below(frame)
        return not self.full and self.thrown_into(frame, self.entry)

    @property
    def first_root(self) -> Node | None:
        """The root, also when it has returned and the trace goes on."""
        return self.returned_root or self.root_node

    @property
    def traceparent(self) -> str | None:
        """The W3C's name of the distributed trace that this belongs to, with the span of this process where there is one."""
        span, inside = self.span, None if self.response is None else self.response.span
        if inside is not None and (span is None or span.trace_id == inside.trace_id):
            span = inside
        return None if span is None else str(span)

    @property
    def left(self) -> bool:
        """The root's frame has ended; if this is not done soon, a signal handler has raised just then."""
        return self.root_node is not None and not self.open

    def follows(self, frame_id: int) -> bool:
        """Tell whether the end of this frame matters."""
        outer = self.outer
        return frame_id in self.open or (outer is not None and outer.follows(frame_id))

    def _body_follows(self, body: object) -> bool:
        """The root has returned: tell whether its server still has to take the response out of what it returned (WSGI).

        It is over when that is: a generator when its frame ends, all else when the server calls its `close`.
        """
        if self.response is None or not self.response.goes_on or self.full:
            return False
        kind = type(body)
        if kind is GeneratorType:
            self._body = id_of(body.gi_frame)  # type: ignore[attr-defined]
        elif any(type(class_dict(owner).get("close")) is FunctionType for owner in mro_of(kind)):
            self._body = id(body)
        else:
            return False
        self.returned_root, self.root_node = self.root_node, None
        self.local = True  # the next request may come to this thread although nobody has closed this one's
        return True

    def _body_broke(self, node: Node, name: str) -> bool:
        """Tell whether an exception has left what the server takes the response from: a generator, or a `__next__`."""
        entry = node.entry
        gives = entry.code.co_name == "__next__" or (entry.suspends and not entry.coroutine)
        asked = node is self.root_node or (gives and not node.runner.stack)
        return asked and name not in ("StopIteration", "GeneratorExit")

    def _body_ends(self, entry: Entry, frame: FrameType) -> None:
        """A frame begins: when it ends so does the body, if it is that of the generator or of `close`."""
        if id_of(frame) != self._body:
            if not entry.closes:
                return
            values = frame.f_locals
            closed = id(values.get("self"))
            if _SNAPSHOT and entry.optimized:
                values.clear()
            if closed != self._body:
                return
            if self.response is not None:
                self.response.ends()
        self._body = 0
        self.root_node = self.open.get(id_of(frame))
        if self.root_node is None:  # passed over
            self.finish()

    def _left(self, node: Node) -> None:
        """A node has ended: where its runner, now empty, was let into a Context, that is nobody's again."""
        runner = node.runner
        if runner.entered and not runner.stack:
            current.set(None)

    def go_on(self) -> None:
        """The root, a generator, is resumed: record in the Context of whoever does so, beside what records there."""
        before = current.get()
        if before is not self:
            self.outer = None if before is None or before.done else before
            self.straight = self.outer is None and not self.full
            current.set(self)

    def restore(self) -> None:
        """This one ends, or its root yields: put back what this Context carried before, unless it carries another one by now."""
        if current.get() is self:
            outer = self.outer
            while outer is not None and outer.done:
                outer = outer.outer
            current.set(outer)

    def raised(self, exception: BaseException) -> tuple[str, Any]:
        """Return type name and captured message of an exception."""
        name, message = self._capturer.exception(exception)
        return (name, message if self._arguments else None)

    def entry(self, frame: FrameType) -> Entry:
        """Return what is known of the code that runs in a frame."""
        code = frame.f_code
        return self.known(id(code)) or self._codes.add(code, frame)

    # ---- ends ---------------------------------------------------------------------------------------------------

    def fill(self, limit: str) -> None:
        """Stop recording new calls because of an ending limit; the root is still followed to its end."""
        if not self.full:
            self.full = True
            self.straight = False
            self.reason = limit
            self.option = OPTIONS.get(limit)

    def finish(self) -> None:
        """The root has ended (application thread)."""
        if self.response is not None and self.returned_root is not None:
            self.response.ends()
        self.restore()  # first: once it is done, the agent thread makes it forget what was there before
        self.end(TRIPPED if self.full else COMPLETE, self.reason)

    def _report_lost(self, node: Node) -> None:
        super()._report_lost(node)
        if node is self.root_node:
            # Near the recursion limit the interpreter cannot enter a callback, and the root's exit is not seen.
            self.fill("interrupted")
            self.end(TRIPPED, self.reason)

    def end(self, status: str, reason: str | None) -> None:
        """Record nothing from now on; idempotent, any thread: of two that come together both may do it."""
        if self.done:
            return
        try:
            self.status = status
            self.reason = reason
            self.ended_ns = perf_counter_ns()
            self.unstarted = len(self.spawned) + sum(
                item() is not None for item, _ in list(self.sent.values())
            )
        finally:  # a signal handler may raise anywhere here, and perhaps nobody ends it a second time
            on_end = self.on_end
            self.done = True
            try:
                if on_end is not None:
                    on_end(self)
            finally:
                self._wake()

    def forget(self) -> None:
        """Let go of all but `done`: copies of the Context may keep this object for as long as they like."""
        for table in (self.events, self.open, self.current, self.spawned, self.handed, self.sent):
            table.clear()
        self.root = self.last = self.root_node = self.returned_root = None
        if self.outer is not None and self.outer.done:
            self.outer = None
        self.on_end = self.on_hand_off = self.on_send = None

    # ---- what waits to be packed --------------------------------------------------------------------------------

    @property
    def held_bytes(self) -> int:
        """Bytes that the events which wait for the agent thread weigh, estimated; written ones are counted."""
        if self.native:
            return len(self.events)
        return len(self.events) * (EVENT_BYTES // 2) + max(0, self._capturer.weight - self._weight_seen)

    def packed(self, count: int) -> None:
        """The agent thread has packed all events into `count` bytes that are now held instead."""
        self.packed_bytes += count
        self._weight_seen = self._capturer.weight

    def _goes_on(self) -> bool:
        """Look at the limits after so many calls; return whether new calls are recorded."""
        if self.calls >= self._max_calls:
            self.fill("max_calls")
            return False
        self._look_at = min(self.calls + self._at_once, self._max_calls)
        return not self._weigh()

    def _weigh(self) -> bool:
        """Wake the agent thread; return whether the trace holds more bytes than it may."""
        over: bool = self.held_bytes + self.packed_bytes + self.events.text_bytes > self._max_bytes
        if over:
            self.fill("max_bytes")
        self._wake()
        return over

    # ---- starts of other runners --------------------------------------------------------------------------------

    def _note_spawn(self, frame: FrameType, argument: str) -> None:
        values = frame.f_locals
        item: Any = values.get(argument)
        name = given_name(values)
        if type(item) is type_of("_asyncio", "Task"):
            name = item.get_name()  # methods in C of a type in C: no code of the application's
            item = item.get_coro()
        if type(item) is CoroutineType and fresh(item):
            shown = self.shown_name(name)
            automatic = shown.startswith("Task-") or shown.rpartition(".")[2] == item.cr_code.co_name
            self.spawning(id_of(item.cr_frame), "" if automatic else shown)

    def _note_send(self, entry: Entry, frame: FrameType) -> None:
        """A thread is started, or work given to a pool of threads."""
        values = frame.f_locals
        if entry.bare and not self.threads:
            self._hand_off(run_with_context(values.get("fn"), values.get("args")))
        elif entry.send is not None and self.threads:
            item = values.get("self")
            function = receiver(item, entry.send, entry.module)
            runner = self.current.get(self.here())
            if function is not None and runner is not None and self.on_send is not None:
                self.sent[id(item)] = (weakref.ref(item), starter(runner))
                self.on_send(function)

    def _hand_off(self, item: Any) -> None:
        function = plain_function(item)
        if function is not None:
            self.handing(function.__code__)
            if self.on_hand_off is not None:
                self.on_hand_off(self, function)

    def receive(self, item: object, frame: FrameType) -> bool:
        """Begin a branch if `item`, which begins to run in `frame` on this thread, was sent by a node of this trace."""
        sent = self.sent.pop(id(item), None)
        if sent is None or sent[0]() is not item or self.done or self.full:
            return False
        start = sent[1]
        entry = self.entry(frame)
        runner = Runner(
            "thread", self.shown_name(thread_name(item)) or entry.code.co_name, start.node, start.link
        )
        runner.entered = True
        self.host(entry, frame, runner)
        return True

    def _called_by_loop(self) -> bool:
        return loop_runs()

    def _thread_name(self) -> str:
        return self.shown_name(thread_name())

    def shown_name(self, text: object) -> str:
        """Return a name that the application gave, as it may be shown."""
        if not self._arguments or type(text) is not str or not text:
            return ""
        return self._capturer.name(text)


def receive(recordings: Iterable[Recording], frame: FrameType) -> Recording | None:
    """Begin the branches of a thread, or of a pool's work, that runs from `frame` on; return whose Context it is now."""
    waiting = [recording for recording in recordings if recording.sent]
    if not waiting:
        return None
    values = frame.f_locals
    item = values.get("self")
    found = [recording for recording in waiting if recording.receive(item, frame)]
    if not pyversion.LIVE_LOCALS:
        values.clear()  # the frame keeps this copy, and a pool's work lets go of itself
    for recording in found:
        if not any(other.outer is recording for other in found):
            current.set(recording)
            context = own_context(item)
            if context is not None:
                context.run(current.set, recording)
            return recording
    return None


def recorded_ns(prepare: Callable[[Entry], None]) -> float:
    """Return nanoseconds that one event (half a call, with two small arguments) takes to record, measured now."""
    from .capture import Capturer
    from .redaction import Redactor

    rounds = 25  # few: the first probe to be armed waits for this
    frame = sys._getframe()
    codes = CodeTable(Scope())
    entry = codes.put(Entry(frame.f_code, __name__, APPLICATION))
    prepare(entry)
    recording = Recording(
        limits=Limits(),
        codes=codes,
        capturer=Capturer(Capture(), Redactor()),
        watch=lambda _code: None,
        wake=lambda: None,
    )
    recording.host(entry, frame)
    recording.open.clear()
    best = float("inf")
    for _ in range(8):
        began = perf_counter_ns()
        for number in range(rounds):
            recording.start_frame(frame.f_code, frame)
            recording.leave_by_return(id_of(frame), number)
        best = min(best, (perf_counter_ns() - began) / (2 * rounds))
    return best
