"""The `profile` core: the interpreter's per-thread hook, for 3.10 and 3.11.

Waiting: the trigger is a call inserted at the start of the target's own bytecode (`prologue`), put back at disarm.
Recording: the hook is set on a thread only while a runner of a live trace is current there. A runner that waits on an
asyncio loop comes back inside a `Handle._run`, so that function carries an inserted call, too, while anything records:
it sets the hook when the handle's Context carries a live recording. On loops without one (uvloop, trio) the hook stays
on the thread until the trace ends, and `reason` says so. A function that is handed to another thread with the task's
Context (`asyncio.to_thread`, anyio, asgiref) gets an inserted call for the time of the trace.

The hook is `sys.settrace` with line events off, not `sys.setprofile`: the profile function is never told which
exception unwinds a frame, and it is called for every C function, too (docs/rationale.md has the measurements). Line
events are on in a frame only from the moment an exception reaches it until the next line runs, which tells a caught
exception from one that leaves.

Concurrency: hooks and inserted calls run on application threads and take no lock; injections are installed and removed
by whoever has the core's turn. A task that begins, and a hand-off, give up after 5 ms without it: the task is passed
over, the other thread's part of the trace is missing.
"""

from __future__ import annotations

import sys
import weakref
from _thread import get_ident, get_native_id
from collections.abc import Callable
from dis import opmap
from functools import partial
from inspect import CO_GENERATOR
from itertools import pairwise
from sys import _getframe, gettrace, settrace
from threading import gettrace as threading_gettrace
from time import perf_counter, sleep
from types import CodeType, CoroutineType, FrameType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

from tracepatch_shared.errors import Conflict, NotTraceable

from .. import pyversion
from ..codes import SUSPENDS, Entry
from ..containment import ours, take
from ..frame_ids import frame_id as id_of
from ..objects import mro_of
from ..recording import Recording, current, receive, recorded_ns
from ..starts import stepped_by
from ..strand import greenlets, here, outermost
from ..turn import BRIEFLY_S, PATIENTLY_S, Turn
from . import Trigger
from .parking import Parking
from .unwinding import Raised, Unwinding

if TYPE_CHECKING:
    from ..prologue import Injection
    from ..recording import Logs
    from ..resolve import Function

_RETURN_VALUE = opmap["RETURN_VALUE"]
_YIELDS = tuple(opmap[name] for name in ("YIELD_VALUE", "YIELD_FROM") if name in opmap)


_WITHOUT_HANDLES = ("uvloop", "trio", "gevent", "eventlet")
"""Libraries that go on with a task by other ways than a handle of asyncio's."""


PASS_S = 0.05
"""How long `clean` waits for threads to take the hook off: one that runs does so with its next call or return."""


class ProfileCore:
    """See the module; one object per process."""

    name = "profile"
    log: Logs | None = None

    def __init__(self) -> None:
        self._users: set[object] = set()
        self._turn = Turn()
        """Held by whoever inserts calls or takes them out, and by a recording that begins."""
        self._live: set[Recording] = set()
        self._outermost: dict[Recording, int] = {}
        """id of the frame below all others where a recording began, where there may be greenlets."""
        self._hooked: dict[int, int] = {}
        """Native id of each thread that the hook is on -> its ident, which under gevent is not the thread's."""
        self._unwinding = Unwinding()
        self._parking = Parking()
        self._targets: dict[tuple[int, int], Injection] = {}
        self._loop: Injection | None = None
        self._loader: Injection | None = None
        self._steps: Injection | None = None
        """In `Handle._run`, for tasks that have not begun; as long as there are none it calls what does nothing."""
        self._coming: dict[int, tuple[weakref.ref[CoroutineType[Any, Any, Any]], list[Trigger]]] = {}
        """id of a coroutine of which a task is made -> it, and whom its beginning concerns."""
        self._stepped: dict[int, object] = {}
        """Thread -> the task that is about to begin there."""
        self._entries: dict[int, Injection] = {}
        self._loaded: Callable[[Any], None] | None = None
        self._cost: tuple[float, float] | None = None
        self._sticky: dict[int, list[Recording]] = {}
        self._handles: dict[int, Raised | None] = {}
        # Made once: hooks are compared by identity, `==` could run code of another tool.
        self._call_hook, self._event_hook = self._make_hooks()
        self._first_hook = self._event_hook if pyversion.COPIED_LOCALS else self._on_first
        self._handle_hook = self._on_handle_event
        self._step_hook = self._first_step

    @property
    def reason(self) -> str:
        why = [self._why()]
        if not self._users and (carrying := self._carrying()):
            why.append(f"the hook is still on threads that wait ({carrying}), until they go on")
        loops = [name for name in _WITHOUT_HANDLES if name in sys.modules]
        if loops:
            why.append(f"on {' and '.join(loops)} the hook stays on the thread while a trace records there")
        return "; ".join(filter(None, why))

    def _why(self) -> str:
        """Return why this core and no better one."""
        return f"sys.monitoring needs Python 3.12, this is {pyversion.TEXT}"

    # ---- what is occupied ---------------------------------------------------------------------------------------

    def acquire(self, user: object) -> None:
        if not self._users:
            other = threading_gettrace()
            if other is not None:
                raise Conflict(f"{_described(other)} uses the interpreter's trace hook: end it first")
        self._users.add(user)

    def release(self, user: object) -> None:
        self._users.discard(user)
        with self._turn.held():
            if not self._users:  # nobody has come meanwhile: whoever does inserts after this turn
                self._remove_all()

    def _remove_all(self) -> None:
        self._coming.clear()
        for injection in [
            *self._targets.values(), *self._entries.values(), self._loop, self._loader, self._steps,
        ]:  # fmt: skip
            if injection is not None:
                injection.remove()
        self._targets.clear()
        self._entries.clear()
        self._loop = self._loader = self._steps = None
        self._forget()

    def clean(self) -> dict[str, Any]:
        if self._users:  # a block of `trace()` goes on, and what it needs stays
            return {
                "events": 0,
                "tool_id_freed": True,
                "hooks": 0,
                "hooked_threads": 0,
                "ok": not self._targets,
                "blocks": len(self._users),
            }
        until_s = perf_counter() + PASS_S
        while self._carrying() and perf_counter() < until_s:
            sleep(0.001)
        hooks = len(self._targets) + len(self._entries) + len(self._parking.parked)
        hooks += (self._loop is not None) + (self._loader is not None) + (self._steps is not None)
        return {
            "events": 0,
            "tool_id_freed": True,
            "hooks": hooks,
            "hooked_threads": self._carrying(),
            "ok": not hooks,
        }

    def _carrying(self) -> int:
        """Return how many threads the hook is on: a thread alone can take it off, which one that waits does later."""
        if greenlets() or not self._hooked:
            return len(self._hooked)
        alive = sys._current_frames()
        return sum(thread in alive for thread in list(self._hooked.values()))

    # ---- waiting ------------------------------------------------------------------------------------------------

    def aim(self, function: Function, trigger: Trigger) -> None:
        code = function.code

        def begins() -> None:
            recording = current.get()
            if recording is None or recording.done or recording.local:
                hooked = self._pause()
                try:
                    hooked = trigger(code, _getframe(1)) or hooked
                except BaseException as error:  # noqa: BLE001 - contained
                    take(error)
                finally:
                    if hooked and _getframe(1).f_trace is self._event_hook:
                        self._follow(_getframe(1))  # a block of `trace()` does, and its variables were read
                    self._go_on(hooked)

        with self._turn.held():
            self._targets[id(code), id(trigger)] = _inserted(function, begins)

    def unaim(self, function: Function, trigger: Trigger) -> None:
        with self._turn.held():
            injection = self._targets.pop((id(function.code), id(trigger)), None)
            if injection is not None:
                injection.remove()

    def expect(self, coroutine: CoroutineType[Any, Any, Any], trigger: Trigger) -> None:
        """Have the handle looked at that steps this coroutine: the code that it runs was taken when it was made."""
        self._look_at_steps()
        steps = self._steps
        if steps is None:
            return
        known = self._coming.get(id(coroutine))
        if known is not None and known[0]() is coroutine:
            if trigger not in known[1]:
                known[1].append(trigger)
            return
        key = id(coroutine)
        self._coming[key] = (weakref.ref(coroutine, lambda _: self._came(key)), [trigger])
        steps.switch(self._step_hook)

    def _look_at_steps(self) -> None:
        if self._steps is not None:
            return  # asked for each task that is made
        asyncio_events = sys.modules.get("asyncio.events")
        with self._turn.held(BRIEFLY_S) as mine:
            if mine and self._steps is None and type(asyncio_events) is ModuleType:
                steps = _inserted_in(vars(asyncio_events)["Handle"]._run, self._step_hook)
                steps.switch(None)
                self._steps = steps

    def _came(self, key: int) -> list[Trigger]:
        """A coroutine begins, or never will: return whom that concerns."""
        known = self._coming.pop(key, None)
        steps = self._steps
        if not self._coming and steps is not None:
            steps.switch(None)
            if self._coming:  # another thread's, meanwhile
                steps.switch(self._step_hook)
        return [] if known is None else known[1]

    def expect_none(self, trigger: Trigger) -> None:
        waiting = False
        for key, (_, triggers) in list(self._coming.items()):
            if trigger in triggers:
                triggers.remove(trigger)
            if triggers:
                waiting = True
            else:
                self._coming.pop(key, None)
        with self._turn.held():
            if self._steps is not None and not waiting:
                self._steps.remove()
                self._steps = None

    def stepped(self) -> object:
        return self._stepped.get(get_ident())

    def look_for_starts(self) -> list[str]:
        self._look_at_steps()
        unseen = [name for name in ("uvloop", "trio") if name in sys.modules]
        return [f"on {name} the start of a task cannot be seen before Python 3.12" for name in unseen]

    def _first_step(self) -> None:
        """A loop's handle begins to run while tasks are made that have not begun: it may step one of them."""
        hooked = self._pause()
        try:
            frame = _getframe(1)
            handle = frame.f_locals.get("self")
            task = stepped_by(handle._callback)  # type: ignore[union-attr]
            kind = vars(sys.modules["_asyncio"])["Task"]
            if not any(base is kind for base in mro_of(type(task))):
                return
            coroutine = kind.get_coro(task)  # a method in C of a type in C
            if id(coroutine) not in self._coming:
                return
            triggers = self._came(id(coroutine))
            first = coroutine.cr_frame if type(coroutine) is CoroutineType else None
            if first is None or gettrace() is not None:
                return  # a debugger or coverage has this thread
            begun = handle._context.run(self._begins_here, triggers, task, first)  # type: ignore[union-attr]
            if begun:
                first.f_trace = self._event_hook
                first.f_trace_lines = False
                self._handles[here()] = None
                frame.f_trace = self._handle_hook
                frame.f_trace_lines = False
                hooked = True
        except BaseException as error:  # noqa: BLE001 - contained
            take(error)
        finally:
            self._go_on(hooked)

    def _begins_here(self, triggers: list[Trigger], task: object, first: FrameType) -> bool:
        """Ask triggers in the Context of a task that is about to begin; return whether one records it."""
        recording = current.get()
        if recording is not None and not recording.done and not recording.local:
            return False
        self._stepped[get_ident()] = task
        try:
            return any(trigger(first.f_code, first) for trigger in triggers)
        finally:
            self._stepped.pop(get_ident(), None)

    def watch_imports(self, loaded: Callable[[Any], None] | None) -> None:
        self._loaded = loaded
        with self._turn.held():
            if loaded is None:
                if self._loader is not None:
                    self._loader.remove()
                    self._loader = None
            elif self._loader is None:
                # `_load_unlocked` says this as the last thing it does, when the module's body has run.
                self._loader = _inserted_in(
                    sys.modules["importlib._bootstrap"]._verbose_message, self._import_ends
                )

    def _import_ends(self) -> None:
        caller = _getframe(2)
        if caller.f_code.co_name == "_load_unlocked" and self._loaded is not None:
            hooked = self._pause()
            try:
                self._loaded(caller.f_locals.get("module"))
            except BaseException as error:  # noqa: BLE001 - contained
                take(error)
            finally:
                self._go_on(hooked)

    def _pause(self) -> bool:
        """Take the hook off this thread while code of ours runs that was called, not told: what it calls is nobody's."""
        hooked = gettrace() is self._call_hook
        if hooked:
            settrace(None)
            self._hooked.pop(get_native_id(), None)
        return hooked

    def _go_on(self, hooked: bool) -> None:
        if hooked and gettrace() is None:
            self._put_on()

    def _put_on(self) -> None:
        self._hooked[get_native_id()] = get_ident()
        settrace(self._call_hook)  # last: it is told of what we call, too

    def _take_off(self) -> None:
        if gettrace() is self._call_hook:
            settrace(None)
        self._hooked.pop(get_native_id(), None)  # also where another tool's has taken its place

    def watch(self, code: CodeType) -> None:
        pass

    def prepare(self, entry: Entry) -> None:
        entry.opcodes = entry.code.co_code
        entry.cells = bool(entry.code.co_freevars or entry.code.co_cellvars)
        if entry.suspends and pyversion.RESUME_OPCODE:
            resume = opmap["RESUME"]
            entry.first = next(
                (at for at in range(0, len(entry.opcodes), 2) if entry.opcodes[at] == resume), -1
            )

    # ---- recording ----------------------------------------------------------------------------------------------

    def begin(self, recording: Recording, code: CodeType, frame: FrameType) -> bool:  # noqa: ARG002 - the code inserted into runs
        if gettrace() is not None and gettrace() is not self._call_hook:
            return False  # a debugger or coverage has this thread
        if not self._users:
            return False  # released while the trigger was on its way
        recording.on_hand_off = self._hand_off
        recording.on_send = self._expect
        try:
            if "greenlet" in sys.modules:
                self._outermost[recording] = id(outermost(frame))
            if not self._goes_live(recording, BRIEFLY_S):
                return False
            current.set(recording)
            outer = recording.outer
            if outer is not None and outer.follows(id_of(frame)):
                recording.outer = None  # the hook of a block around this one has told it already
            root = recording.root_node = recording.start_frame(frame.f_code, frame)
            recording.outer = outer
            if root is not None:
                self._follow(frame)
        except BaseException:
            # A signal handler's: without its root the trace would go on with whatever this Context runs next.
            recording.done = True
            self._not_begun(recording)
            self._unhook()
            raise
        if root is None:
            self._not_begun(recording)
            return False
        return True  # the thread is hooked when the inserted call ends; what the trigger calls is nobody's

    def _goes_live(self, recording: Recording, within_s: float) -> bool:
        """Count a recording among those that `settle` leaves everything in place for; return whether that could be."""
        with self._turn.held(within_s) as mine:
            if mine:
                self._live.add(recording)
                self._prepare_loop()
        return mine

    def _not_begun(self, recording: Recording) -> None:
        recording.restore()
        self.ended(recording)

    def begin_inside(self, recording: Recording, frame: FrameType) -> None:
        other = gettrace()
        if other is not None and other is not self._call_hook:
            raise Conflict(f"{_described(other)} uses the interpreter's trace hook in this thread")
        recording.on_hand_off = self._hand_off
        recording.on_send = self._expect
        self._goes_live(recording, PATIENTLY_S)
        host = frame
        while (
            host.f_back is not None
            and host.f_code.co_flags & SUSPENDS
            and host.f_back.f_code.co_flags & SUSPENDS
        ):
            host = host.f_back
        recording.host(recording.entry(host), host)
        step: FrameType | None = frame
        while step is not None:
            step.f_trace = self._event_hook
            step.f_trace_lines = False
            step = None if step is host else step.f_back
        self._put_on()

    def end_inside(self, recording: Recording, frame: FrameType) -> None:
        self._live.discard(recording)
        outer = current.get()
        if outer is not None and outer in self._live and not outer.done:
            return  # the block around this one goes on, on the same frames
        step: FrameType | None = frame
        while step is not None and step.f_trace is self._event_hook:
            step.f_trace = None
            step.f_trace_lines = True  # a debugger may come
            step.f_trace_opcodes = False
            step = step.f_back
        self._unhook()
        self.settle()

    def ended(self, recording: Recording) -> None:
        self._live.discard(recording)
        self._outermost.pop(recording, None)

    def lost(self, recording: Recording) -> bool:
        """A signal handler that raises as a hook is entered takes it off the thread before any code of ours runs.

        Then a runner is current on a thread on which its frame is no more. A greenlet leaves its thread with all its
        frames when it switches, so with the library loaded the outermost frame has to be the one below the trace's
        beginning. Where greenlets take turns it is not known which of them runs.
        """
        if greenlets():
            return False
        running = [
            (thread, runner, stack[0])
            for thread, runner in list(recording.current.items())
            if (stack := list(runner.stack))  # its thread may be emptying it just now
        ]
        stacks = sys._current_frames() if running else {}
        for thread, runner, root in running:
            frame = stacks.get(thread)
            below = frame
            while frame is not None and not (
                id_of(frame) == root.frame_id and frame.f_code is root.entry.code
            ):
                below = frame
                frame = frame.f_back
            if "greenlet" in sys.modules and self._outermost.get(recording) != id(below):
                continue
            if frame is None and recording.current.get(thread) is runner and root in runner.stack:
                for native in [native for native, ident in list(self._hooked.items()) if ident == thread]:
                    self._hooked.pop(native, None)
                return True
        return False

    def settle(self) -> bool:
        self._live.difference_update([recording for recording in list(self._live) if recording.done])
        with self._turn.held():
            if self._live:
                self._prepare_loop()
                return True
            if self._loop is not None:
                self._loop.remove()
                self._loop = None
            for key in list(self._entries):
                self._entries.pop(key).remove()
            self._forget()
        return False

    def _forget(self) -> None:
        """Forget the frames of traces that have ended."""
        self._sticky.clear()
        self._outermost.clear()
        self._parking.clear()
        self._unwinding.clear()

    def _follow(self, frame: FrameType) -> None:
        """Follow a frame that has just begun, and whose variables an inserted call may have read."""
        frame.f_trace = self._first_hook
        frame.f_trace_lines = not pyversion.COPIED_LOCALS

    def _unhook(self) -> None:
        """Leave this thread, unless runners wait here for a loop that wakes them up without a handle."""
        thread = here()
        if thread in self._handles:
            return  # until the handle ends: it may throw into more frames of the task
        waiting = self._sticky.get(thread)
        if waiting is not None:
            if not all(recording.done for recording in waiting):
                return
            self._sticky.pop(thread, None)
        if greenlets() and any(recording.current for recording in list(self._live)):
            return  # in another greenlet of this thread
        self._take_off()

    def _prepare_loop(self) -> None:
        asyncio_events = sys.modules.get("asyncio.events")
        if self._loop is None and type(asyncio_events) is ModuleType:
            self._loop = _inserted_in(vars(asyncio_events)["Handle"]._run, self._handle_runs)

    def _handle_runs(self) -> None:
        """A loop's handle begins to run: hook this thread for it when its Context carries a live recording."""
        try:
            frame = _getframe(1)
            handle = frame.f_locals.get("self")
            recording = handle._context.get(current)  # type: ignore[union-attr]
            hook = gettrace()
            if recording is not None and not recording.done and (hook is None or hook is self._call_hook):
                self._handles[here()] = self._thrown_by(recording, handle)
                frame.f_trace = self._handle_hook
                frame.f_trace_lines = False
                self._put_on()
        except BaseException as error:  # noqa: BLE001 - contained
            take(error)

    def _on_handle_event(self, frame: FrameType, event: str, _value: object) -> Any:
        if event == "return":
            frame.f_trace = None
            frame.f_trace_lines = True
            self._handles.pop(here(), None)
            self._unwinding.arrived()
            self._leave_thread()
        return self._handle_hook

    @staticmethod
    def _thrown_by(recording: Recording, handle: Any) -> tuple[str, Any] | None:
        """Return what a handle that wakes a task up will throw into it: the exception of the future it waited for."""
        waited: Any = handle._args[0] if type(handle._args) is tuple and len(handle._args) == 1 else None
        kinds = vars(sys.modules["_asyncio"])
        if type(waited) is not kinds["Future"] and type(waited) is not kinds["Task"]:
            return ("asyncio.CancelledError", "") if not handle._args else None
        if (
            waited.cancelled()
        ):  # methods in C of types in C: no code of the application's runs, here and below
            return ("asyncio.CancelledError", "")
        exception = waited._exception
        return None if exception is None else recording.raised(exception)

    def _hand_off(self, recording: Recording, function: FunctionType) -> None:
        """This function is about to run in another thread with the task's Context."""

        def enters() -> None:
            live = current.get()
            if live is None or live.done or gettrace() is not None:
                return
            try:
                frame = _getframe(1)
                live.start_frame(frame.f_code, frame)
                self._follow(frame)
                self._put_on()
            except BaseException as error:  # noqa: BLE001 - contained
                take(error)

        code = function.__code__
        if self._enters_by(function, enters) and function.__code__ is not code:
            # The code object that will run there is the one with the call inserted.
            recording.handed[id(function.__code__)] = recording.handed.pop(id(code), [])

    def _enters_by(self, function: FunctionType, hook: Callable[[], None]) -> bool:
        """Have this called whenever the function begins, until no trace is live; return whether it will be."""
        if id(function) not in self._entries:
            with self._turn.held(BRIEFLY_S) as mine:
                if not mine:
                    return False
                if id(function) not in self._entries:  # another thread was not faster
                    try:
                        self._entries[id(function)] = _inserted_in(function, hook)
                    except NotTraceable:
                        return False  # its bytecode is unusual
        return True

    def _expect(self, function: FunctionType) -> None:
        """A thread, or a pool's work, will begin with this function in a Context of its own."""

        def begins() -> None:
            if gettrace() is not None and gettrace() is not self._call_hook:
                return
            hooked = self._pause()
            try:
                frame = _getframe(1)
                if receive(list(self._live), frame) is not None:
                    self._follow(frame)
                    hooked = True
            except BaseException as error:  # noqa: BLE001 - contained
                take(error)
            finally:
                self._go_on(hooked)

        self._enters_by(function, begins)

    # ---- the hook, on application threads -----------------------------------------------------------------------

    def _make_hooks(self) -> tuple[Any, Any]:
        """Return `settrace`'s global function, told that a frame begins or goes on, and the one that follows a frame.

        Around a call of a hook the interpreter copies the frame's variables out and back in, cells included: what
        another thread wrote into a shared cell meanwhile would be undone (bpo-30744). So the last thing a hook does is
        to have the copy made anew; from there to the copying back nothing lets another thread run. 3.11 copies only
        where a hook has read the variables; the one that follows a frame does not, so that what a function has dropped
        is gone.

        Closures with the straight path written out, as in the `monitoring` core: code that was met before, and a frame
        that neither suspends nor is unwound. All else is `_called` and `_followed`.
        """
        get = current.get
        parked = self._parking.parked
        raised = self._unwinding.raised
        caught = self._unwinding.caught
        copied = pyversion.COPIED_LOCALS

        def on_call(frame: FrameType, _event: str, _value: object) -> Any:
            code = frame.f_code
            recording = get()
            entry = None if recording is None else recording.known(id(code))
            if recording is None or entry is None or entry.suspends or recording.done or parked:
                try:
                    return self._called(frame, code)
                finally:
                    if code.co_freevars or code.co_cellvars:
                        frame.f_locals  # noqa: B018
            read = copied
            try:
                if not recording.called(entry, frame):
                    read = copied or not entry.plain
                    return None
                read = True
                frame.f_trace_lines = False
                return on_event
            except BaseException as error:  # noqa: BLE001 - contained
                read = True
                self._contain(error, recording)
                return None
            finally:
                if read and entry.cells:
                    frame.f_locals  # noqa: B018

        def on_event(frame: FrameType, event: str, value: Any) -> Any:
            recording = get()
            entry = None if recording is None or event != "return" else recording.known(id(frame.f_code))
            if recording is None or entry is None or entry.suspends or recording.done or raised or caught:
                code = frame.f_code
                try:
                    self._followed(frame, event, value)
                    return on_event
                finally:
                    if copied and (code.co_freevars or code.co_cellvars):
                        frame.f_locals  # noqa: B018
            try:
                if value is None and entry.opcodes[frame.f_lasti] != _RETURN_VALUE:
                    self._followed(frame, event, value)
                elif recording.returned(entry, id_of(frame), value):
                    self._left(recording)
            except BaseException as error:  # noqa: BLE001 - contained
                self._contain(error, recording)
            finally:
                if copied and entry.cells:
                    frame.f_locals  # noqa: B018
            return on_event

        return on_call, on_event

    def _on_first(self, frame: FrameType, event: str, value: Any) -> Any:
        """Something happens, on 3.11, in a frame whose arguments were read by an inserted call: its first line.

        The interpreter copies the variables around the next hook, once: better now, when there are but the arguments.
        """
        if event == "line":
            frame.f_trace_lines = False
        else:
            self._followed(frame, event, value)
        if frame.f_code.co_freevars or frame.f_code.co_cellvars:
            frame.f_locals  # noqa: B018
        return self._event_hook

    def _called(self, frame: FrameType, code: CodeType) -> Any:
        recording = current.get()
        try:
            if self._parking.parked:
                recording = self._resumed(frame, recording)
            if recording is None or recording.done:
                self._pass()
                return None
            if code.co_flags & SUSPENDS:
                if frame.f_trace is None:
                    recording.reused(
                        id_of(frame)
                    )  # never followed: what was followed at this address is dead
                if recording.follows(id_of(frame)):
                    if self._unwinding.on_its_way or self._handles.get(here()) is not None:
                        self._unwinding.resumed(frame)
                    if pyversion.RESUME_OPCODE:
                        _come_along(recording, frame)
                    recording.resume(id_of(frame), frame)
                    return self._event_hook
                if frame.f_lasti != recording.entry(frame).first:
                    return self._thrown(recording, frame)
            if len(self._live) > 1:
                for other in tuple(self._live):
                    if other is not recording:
                        other.reused(id_of(frame))  # a generator that ended where this one runs now
            if recording.start_frame(code, frame) is None and not recording.follows(id_of(frame)):
                return None
            frame.f_trace_lines = False
        except BaseException as error:  # noqa: BLE001 - contained
            self._contain(error, recording)
            return None
        return self._event_hook

    def _thrown(self, recording: Recording, frame: FrameType) -> Any:
        """A frame that is not followed goes on: with what was thrown into it, if nothing of its runner is told first."""
        if recording.runs_here() or not recording.thrown_below(frame):
            return None
        step: FrameType | None = frame
        while step is not None and recording.follows(id_of(step)) and step.f_trace is None:
            step.f_trace = self._event_hook
            step.f_trace_lines = False
            step = step.f_back
        self._unwinding.resumed(frame)
        return self._event_hook

    def _followed(self, frame: FrameType, event: str, value: Any) -> None:
        recording = current.get()
        if recording is None or recording.done:
            self._pass()
            return
        try:
            frame_id = id_of(frame)
            if event == "return":
                self._leaves(recording, frame, frame_id, value)
            else:
                self._unwinding.event(recording, frame, event, value)
        except BaseException as error:  # noqa: BLE001 - contained
            self._contain(error, recording)

    def _pass(self) -> None:
        """This thread goes on, and nothing is recorded any more."""
        if not self._live and get_native_id() in self._hooked:
            self._handles.pop(here(), None)  # its end will not be told any more
            self._take_off()

    def _contain(self, error: BaseException, recording: Recording | None) -> None:
        """An exception of the application's (a signal handler's) passes, and takes the hook off this thread with it."""
        if not ours(error):
            self._hooked.pop(get_native_id(), None)
            if recording is not None and not recording.done:
                recording.fill("interrupted")
                recording.finish()
                recording.restore()
        take(error)

    def _leaves(self, recording: Recording, frame: FrameType, frame_id: int, value: object) -> None:
        if not recording.follows(frame_id):
            self._unwinding.forget(frame_id)
            return
        entry = recording.entry(frame)
        opcodes = entry.opcodes
        at = frame.f_lasti
        if opcodes[at] == _RETURN_VALUE:
            self._unwinding.forget(frame_id)
            recording.leave_by_return(frame_id, value)
        elif (
            entry.suspends
            and self._yields(opcodes, at)
            and (value is not None or not self._unwinding.unwinds(frame_id))
        ):
            stepped_out = recording.suspend(frame_id, at)
            self._parking.yielded(recording, frame, suspended=stepped_out)
            if stepped_out and not recording.runs_here():
                self._suspended(recording)
            return
        else:
            raised = self._unwinding.leaves(recording, frame, self._handles.get(here()))
            recording.leave_raised(frame_id, raised)
        self._left(recording)

    def _left(self, recording: Recording) -> None:
        """A frame is gone: leave the Context if it was the root, and the thread if nothing that records runs here."""
        if recording.done:
            recording.restore()
        elif recording.returned_root is not None:
            self._stay(recording)  # its server goes on in frames that no hook is told of
        self._leave_thread()

    def _leave_thread(self) -> None:
        """Unhook this thread if nothing that records runs here: a block around, or the caller of a whole loop."""
        live = current.get()
        if live is None or live.done or not live.runs_here():
            self._unhook()

    def _suspended(self, recording: Recording) -> None:
        """A runner waits: on an asyncio loop the handle that wakes it up sets the hook again, elsewhere it stays.

        It stays as well for a root that is a generator: whoever resumes it does so in a Context that tells nothing.
        """
        root = recording.root_node
        if (root is not None and root.frame_id in self._parking.parked) or not _on_asyncio():
            self._stay(recording)
        self._unhook()

    def _stay(self, recording: Recording) -> None:
        """Keep the hook on this thread until the recording is done."""
        waiting = self._sticky.setdefault(here(), [])
        if recording not in waiting:
            waiting.append(recording)

    @staticmethod
    def _yields(opcodes: bytes, at: int) -> bool:
        if at >= 0 and opcodes[at] in _YIELDS:
            return True
        # 3.10 steps back by one instruction so that YIELD_FROM runs again.
        return not pyversion.RESUME_OPCODE and at + 2 < len(opcodes) and opcodes[at + 2] in _YIELDS[1:]

    def _resumed(self, frame: FrameType, recording: Recording | None) -> Recording | None:
        """Return the recording whose root goes on with this frame, `recording` where it is part of none.

        A root that is dead, and whose address this frame has, is forgotten.
        """
        root_id = self._parking.root_of(id_of(frame))
        parked = self._parking.parked.get(root_id)
        if parked is None:
            return recording
        node = parked.open.get(id_of(frame))
        if (
            node is None
            or node.entry.code is not frame.f_code
            or frame.f_lasti == node.entry.first
            or frame.f_trace is None  # it began where nothing was followed
        ):
            self._parking.reused(id_of(frame))
            return recording
        return self._parking.unpark(root_id, id_of(frame))

    # ---- cost and fork ------------------------------------------------------------------------------------------

    def rate(self) -> float:
        return 0.0

    def cost_ns(self) -> tuple[float, float]:
        if self._cost is None:
            self._cost = (recorded_ns(self.prepare), 0.0)
        return self._cost

    def after_fork_in_child(self) -> None:
        self._turn = Turn()
        for recording in list(self._live):
            recording.done = True
        self._live.clear()
        self._loaded = None
        self._users.clear()
        self._handles.clear()
        self._hooked.clear()
        if gettrace() is self._call_hook:
            settrace(None)
        self._remove_all()


def _come_along(recording: Recording, frame: FrameType) -> None:
    """What is thrown into generators arrives from the inside out, and where the inner one ends 3.11 does not tell that
    the outer one goes on behind its RESUME: it comes back together with the inner one.
    """
    chain = [frame]
    while (back := chain[-1].f_back) is not None and back.f_code.co_flags & CO_GENERATOR:
        chain.append(back)
    for inner, outer in reversed(tuple(pairwise(chain))):
        recording.come_along(id_of(inner), id_of(outer))


def _on_asyncio() -> bool:
    """Tell whether this thread's running loop wakes tasks through `asyncio.events.Handle`."""
    asyncio_events = sys.modules.get("asyncio.events")
    base = sys.modules.get("asyncio.base_events")
    if type(asyncio_events) is not ModuleType or type(base) is not ModuleType:
        return False
    loop = asyncio_events._get_running_loop()
    return loop is not None and vars(base)["BaseEventLoop"] in type.__dict__["__mro__"].__get__(type(loop))


def _inserted(function: Function, hook: Callable[[], None]) -> Injection:
    from ..prologue import Injection

    injection = Injection()
    injection.install(function, hook)
    return injection


def _inserted_in(function: FunctionType, hook: Callable[[], None]) -> Injection:
    from ..prologue import original_of
    from ..resolve import Function

    code = original_of(function.__code__)
    return _inserted(Function(function.__qualname__, function.__module__, code, [function]), hook)


def _described(hook: object) -> str:
    while type(hook) is partial:  # debugpy's, of a function that Cython has compiled
        hook = hook.func
    kind = type(hook)
    if kind is FunctionType or kind.__name__ == "cython_function_or_method":
        return f"{hook.__module__}.{hook.__qualname__}"  # type: ignore[attr-defined]
    return f"{kind.__module__}.{kind.__qualname__}"
