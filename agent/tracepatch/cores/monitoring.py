"""The `monitoring` core: sys.monitoring, 3.12 and later.

While waiting, PY_START is set *locally* on the code objects that targets resolved to, nothing else. While anything
records, PY_START, PY_RETURN, PY_UNWIND and PY_THROW are set globally; PY_YIELD and PY_RESUME stay local, on the code
of runner roots and generators, set from inside their own PY_START, which takes effect for that very frame. With them
global a bystander's await would pay for every frame of its chain; with them local it pays nothing.

Traps (docs/rationale.md has the sources): `free_tool_id` leaves local events in place on 3.12.1 and 3.13.0, so a list
of every code object that was touched is kept and cleared first; DISABLE is sticky, so it is never returned; a callback
that raises raises in the application, so each contains its own errors and lets foreign ones (signal handlers) pass;
3.13.0 allows 2^24 `set_events` calls in a process's life, so they are toggled per burst of traces, never per await.

Concurrency: callbacks run on application threads and take no lock. Global events are turned on by the application
thread that begins the first recording, off by the agent thread; a trigger that finds the `_gate` taken waits at most
5 ms, as the agent's thread has it for well under one but may have lost the GIL, and passes the task over then. It is a
dictionary that says whose turn it is, no lock: a signal handler may raise right after a lock was taken, before anybody
knows that it was. What gives it back calls nothing, so that no handler runs in there. Masks are computed from the
tables, set, and computed again, so that two threads that change one code object's mask agree in the end.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from itertools import islice
from sys import _getframe
from time import perf_counter, perf_counter_ns, sleep
from types import CodeType, CoroutineType, FrameType, FunctionType
from typing import TYPE_CHECKING, Any

from tracepatch_shared.errors import Conflict

from ..codes import SUSPENDS, Entry
from ..containment import ours, take
from ..frame_ids import frame_id as id_of
from ..recording import Recording, current, receive, recorded_ns
from ..turn import BRIEFLY_S, glances
from . import Trigger
from .beginning import begun
from .parking import Parking

try:
    from ._filter import Filter
except ImportError:  # there was no compiler when it was installed
    Filter = None  # type: ignore[assignment, misc, unused-ignore]

if TYPE_CHECKING:
    from ..recording import Logs
    from ..resolve import Function

monitoring: Any = sys.monitoring  # type: ignore[attr-defined, unused-ignore]  # only cores/__init__ chooses this module
events: Any = monitoring.events
_GLOBAL = events.PY_START | events.PY_RETURN | events.PY_UNWIND | events.PY_THROW
_SUSPENSION = events.PY_YIELD | events.PY_RESUME

_PREFERRED = (4, 3, 2, 1, 0, 5)
_NAME = "tracepatch"
_LOADER = sys.modules["importlib._bootstrap"]._load_unlocked.__code__

COMPILED = Filter is not None
UNFILTERED = (
    "all of it is Python: tasks beside a traced one pay about four times as much as with its compiled part"
)

_MAX_AIMED = 5_000
"""Codes that are aimed at, of coroutines that tasks are made of: an application may generate ever more."""
_SAMPLE_S = 0.005
"""How long `rate` counts events."""


class MonitoringCore:
    """See the module; one object per process."""

    name = "monitoring"
    log: Logs | None = None

    def __init__(self, *, compiled: bool = COMPILED) -> None:
        """Without its `compiled` part the callbacks themselves drop what concerns no trace."""
        self.reason = "" if compiled else UNFILTERED
        self._compiled = compiled
        self._tool = -1
        self._users: set[object] = set()
        self._gate: dict[str, object] = {}
        self._on = False
        self._live: set[Recording] = set()
        self._aimed: dict[int, tuple[CodeType, list[Trigger]]] = {}
        self._rooted = False
        """The root of a live trace is a generator: any frame that begins anywhere may come at its address."""
        self._watched: dict[int, CodeType] = {}
        self._receiving: dict[int, CodeType] = {}
        self._touched: dict[int, CodeType] = {}
        self._parking = Parking()
        self._loaded: Callable[[Any], None] | None = None
        self._cost: tuple[float, float] | None = None
        self.toggles = 0
        self._counted = 0
        on_start, self._on_start_counted, on_return, self._heed_in_python = self._make_callbacks()
        self._on_start: Any = self._filtered("start", on_start)
        self._on_return: Any = self._filtered("return", on_return)
        self._on_unwind: Any = self._filtered("unwind", self._unwinds)
        self._on_yield: Any = self._filtered("yield", self._yields)
        self._on_resume: Any = self._filtered("resume", self._resumes)
        if compiled:
            self._on_return.code = _LOADER

    def _filtered(self, kind: str, callback: Any) -> Any:
        """Return what the interpreter calls for an event of this kind, and what drops those that concern no trace."""
        if not self._compiled or kind in ("yield", "resume"):
            return callback
        return Filter(current, callback)

    # ---- tool id ------------------------------------------------------------------------------------------------

    def acquire(self, user: object) -> None:
        me = object()
        gate = self._gate
        try:
            self._wait(me)  # the agent's thread and blocks of `trace()` on any other may come together
            if not self._users:
                self._tool = self._occupy()
                register = monitoring.register_callback
                register(self._tool, events.PY_START, self._on_start)
                register(self._tool, events.PY_RETURN, self._on_return)
                register(self._tool, events.PY_UNWIND, self._on_unwind)
                register(self._tool, events.PY_YIELD, self._on_yield)
                register(self._tool, events.PY_RESUME, self._on_resume)
                register(self._tool, events.PY_THROW, self._on_throw)
                register(self._tool, events.LINE, self._on_line)
            self._users.add(user)
        except BaseException:
            if not self._users and _NAME in map(monitoring.get_tool, range(6)):
                self._tool = self._occupy()
                self._all_off()
            raise
        finally:
            if gate and gate["turn"] is me:
                del gate["turn"]

    def release(self, user: object) -> None:
        me = object()
        gate = self._gate
        try:
            self._wait(me)
            self._users.discard(user)
            if not self._users and self._tool >= 0:
                try:
                    self._all_off()
                except BaseException:  # a signal handler's: nothing of ours may stay for that
                    if self._tool >= 0:
                        self._all_off()
                    raise
        finally:
            if gate and gate["turn"] is me:
                del gate["turn"]

    def _wait(self, me: object) -> None:
        """Take the gate after at most a second: who holds it does so for microseconds."""
        until = perf_counter() + 1.0
        while self._gate.setdefault("turn", me) is not me and perf_counter() < until:
            sleep(0)

    @staticmethod
    def _occupy() -> int:
        taken = [monitoring.get_tool(tool) for tool in range(6)]
        if _NAME in taken:
            return taken.index(_NAME)  # a signal handler has raised when it was taken
        for tool in _PREFERRED:
            if taken[tool] is None:
                try:
                    monitoring.use_tool_id(tool, _NAME)
                except ValueError as error:
                    if not ours(error):
                        raise  # a signal handler's
                    continue  # another thread was faster
                return tool
        names = ", ".join(str(monitoring.get_tool(tool)) for tool in sorted(_PREFERRED))
        raise Conflict(
            f"all monitoring tool ids of the interpreter are taken ({names}): end one of these tools first"
        )

    def _all_off(self) -> None:
        """Local events first, then global ones, callbacks, the tool id."""
        tool = self._tool
        for code in list(self._touched.values()):
            monitoring.set_local_events(tool, code, 0)
        self._touched.clear()
        self._watched.clear()
        self._receiving.clear()
        self._on = False
        monitoring.set_events(tool, 0)
        for event in (
            events.PY_START,
            events.PY_RETURN,
            events.PY_UNWIND,
            events.PY_YIELD,
            events.PY_RESUME,
            events.PY_THROW,
            events.LINE,
        ):
            monitoring.register_callback(tool, event, None)
        self._tool = -1
        monitoring.free_tool_id(tool)

    def clean(self) -> dict[str, Any]:
        if self._users:  # a block of `trace()` goes on, and what it needs stays
            return {
                "events": 0,
                "tool_id_freed": False,
                "hooks": 0,
                "hooked_threads": 0,
                "ok": not self._aimed,
                "blocks": len(self._users),
            }
        mine = [tool for tool in range(6) if monitoring.get_tool(tool) == _NAME]
        set_now = sum(monitoring.get_events(tool) for tool in mine)
        hooks = len(self._touched) + len(self._parking.parked)
        return {
            "events": set_now,
            "tool_id_freed": not mine,
            "hooks": hooks,
            "hooked_threads": 0,
            "ok": not mine and not set_now and not hooks,
        }

    # ---- waiting ------------------------------------------------------------------------------------------------

    def aim(self, function: Function, trigger: Trigger) -> None:
        code = function.code
        known = self._aimed.get(id(code))
        if known is None:
            self._aimed[id(code)] = (code, [trigger])
        else:
            known[1].append(trigger)
        self._count_heeded()
        self._set_local(code)

    def unaim(self, function: Function, trigger: Trigger) -> None:
        code = function.code
        known = self._aimed.get(id(code))
        if known is None or trigger not in known[1]:
            return
        known[1].remove(trigger)
        if not known[1]:
            del self._aimed[id(code)]
        self._count_heeded()
        self._set_local(code)

    def expect(self, coroutine: CoroutineType[Any, Any, Any], trigger: Trigger) -> None:
        code = coroutine.cr_code
        if id(code) not in self._aimed and len(self._aimed) >= _MAX_AIMED:
            return
        known = self._aimed.setdefault(id(code), (code, []))
        if trigger not in known[1]:
            known[1].append(trigger)
            self._count_heeded()
            self._set_local(code)

    def expect_none(self, trigger: Trigger) -> None:
        for code, triggers in list(self._aimed.values()):
            if trigger in triggers:
                triggers.remove(trigger)
                if not triggers:
                    self._aimed.pop(id(code), None)
                    self._set_local(code)
        self._count_heeded()

    def stepped(self) -> object:
        return None

    def look_for_starts(self) -> list[str]:
        return []

    def _count_heeded(self) -> None:
        heeded: tuple[list[int], bool] | None = None
        while heeded is None or heeded != (list(map(id, self._first_two())), self._rooted):
            codes, anything = self._first_two(), self._rooted
            heeded = (list(map(id, codes)), anything)
            self._heed(codes, anything)

    def _first_two(self) -> list[CodeType]:
        """Return the code that is aimed at, two of it at most: of thousands `_heed` asks no more, for each of them."""
        return [
            code for code, _ in list(islice(self._aimed.values(), 2))
        ]  # in one step: another thread may aim

    def _heed(self, codes: list[CodeType], anything: bool) -> None:
        """Have starts of this code told in Contexts that carry no recording; of all code where there are several."""
        self._heed_in_python(codes, anything)
        if self._compiled:
            self._on_start.code = codes[0] if len(codes) == 1 else None
            self._on_start.everything = anything or len(codes) > 1

    def watch_imports(self, loaded: Callable[[Any], None] | None) -> None:
        self._loaded = loaded
        self._set_local(_LOADER)

    def watch(self, code: CodeType) -> None:
        if id(code) not in self._watched:
            self._watched[id(code)] = code
            self._set_local(code)

    def _expect(self, function: FunctionType) -> None:
        """A thread, or a pool's work, will begin with this function: a line event, which nobody else pays for."""
        code = function.__code__
        if id(code) not in self._receiving:
            self._receiving[id(code)] = code
            self._set_local(code)

    def prepare(self, entry: Entry) -> None:
        pass

    def _mask(self, code: CodeType) -> int:
        mask: int = events.PY_START if id(code) in self._aimed else 0
        if id(code) in self._watched:
            mask |= _SUSPENSION
        if id(code) in self._receiving:
            mask |= events.LINE
        if code is _LOADER and self._loaded is not None:
            mask |= events.PY_RETURN
        return mask

    def _set_local(self, code: CodeType) -> None:
        mask = -1
        while mask != self._mask(code) and self._tool >= 0:
            mask = self._mask(code)
            self._touched[id(code)] = code
            monitoring.set_local_events(self._tool, code, mask)

    # ---- recording ----------------------------------------------------------------------------------------------

    def begin(self, recording: Recording, code: CodeType, frame: FrameType) -> bool:
        try:
            if not self._turn_on(recording) and not self._turn_on_soon(recording):
                return False
            current.set(recording)
            recording.on_send = self._expect
            root = recording.root_node = recording.start_frame(code, frame)
            if root is not None and root.entry.suspends and not root.entry.coroutine:
                self._rooted = True
                self._count_heeded()
        except BaseException as error:
            # Without its root the trace would go on with whatever this Context runs next.
            recording.done = True
            self._live.discard(recording)
            recording.restore()
            if type(error) is RecursionError:
                return False  # the stack is at its end here
            raise
        if recording.root_node is None:
            recording.restore()
            self._live.discard(recording)
            return False
        return True

    def begin_inside(self, recording: Recording, frame: FrameType) -> None:
        try:
            for _ in range(1000):
                if self._turn_on(recording):
                    break
                sleep(0)
            else:
                raise Conflict("another thread is turning tracing on or off and does not end")
            host = frame
            while (
                host.f_back is not None
                and host.f_code.co_flags & SUSPENDS
                and host.f_back.f_code.co_flags & SUSPENDS
            ):
                host = host.f_back
            recording.on_send = self._expect
            recording.host(recording.entry(host), host)
        except BaseException:
            self._live.discard(recording)
            raise

    def end_inside(self, recording: Recording, frame: FrameType) -> None:  # noqa: ARG002 - the other core needs it
        self._live.discard(recording)
        self.settle()

    def _turn_on_soon(self, recording: Recording) -> bool:
        for _ in glances(BRIEFLY_S):
            if self._tool < 0 or self._turn_on(recording):
                break
        return recording in self._live

    def _turn_on(self, recording: Recording) -> bool:
        me = object()
        gate = self._gate
        try:
            if gate.setdefault("turn", me) is not me or self._tool < 0:
                return False  # taken, or released while the trigger was on its way
            self._live.add(recording)
            if not self._on:
                self._on = True  # first: a signal handler may raise when the events are set
                self.toggles += 1
                monitoring.set_events(self._tool, _GLOBAL)
        finally:
            if gate and gate["turn"] is me:
                del gate["turn"]
        return True

    def ended(self, recording: Recording) -> None:
        self._live.discard(recording)

    def lost(self, recording: Recording) -> bool:  # noqa: ARG002 - an exception in a callback takes no event away
        return False

    def settle(self) -> bool:
        if not self._on:
            return False
        # A signal handler may have raised as `ended` was entered.
        self._live.difference_update([recording for recording in list(self._live) if recording.done])
        if self._live:
            return True
        me = object()
        gate = self._gate
        try:
            self._wait(me)
            if not self._live:
                self._on = False
                self.toggles += 1
                monitoring.set_events(self._tool, 0)
                watched = [*self._watched.values(), *self._receiving.values()]
                self._watched.clear()
                self._receiving.clear()
                for code in watched:
                    self._set_local(code)
                    if not self._mask(code):
                        self._touched.pop(id(code), None)
                self._parking.clear()
                self._rooted = False
                self._count_heeded()
        finally:
            if gate and gate["turn"] is me:
                del gate["turn"]
        return self._on

    # ---- callbacks, on application threads ----------------------------------------------------------------------

    def _make_callbacks(self) -> tuple[Any, Any, Any, Any]:
        """Return the callbacks of PY_START, its counting twin, and PY_RETURN, and what tells them which code to heed.

        Closures, because they run for every call of every bystander while anything records: a global or an attribute
        fewer is measurable there (`make bench`). Until a Context is known to be traced they read three variables.
        """
        get = current.get
        loader = _LOADER
        parked = self._parking.parked
        reused = self._parking.reused
        sole: CodeType | None = None
        many = False

        def heed(codes: list[CodeType], anything: bool) -> None:
            nonlocal sole, many
            many = anything or len(codes) > 1
            sole = codes[0] if len(codes) == 1 else None

        def on_start(code: CodeType, _offset: int) -> None:
            recording = get()
            if recording is None and code is not sole and not many:
                return
            try:
                if parked:
                    reused(id_of(_getframe(1)))
                if recording is None or recording.done or (recording.local and self._aimed):
                    self._begins(recording, code, _getframe(1))
                else:
                    entry = recording.known(id(code))
                    if entry is None:
                        recording.start_frame(code, _getframe(1))
                    else:
                        recording.called(entry, None)
            except BaseException as error:  # noqa: BLE001 - contained
                self._contain(error, recording)

        def on_start_counted(code: CodeType, _offset: int) -> None:
            recording = get()
            if recording is None:
                self._counted += 1
            try:
                if parked:
                    reused(id_of(_getframe(1)))
                if recording is None or recording.done or (recording.local and self._aimed):
                    self._begins(recording, code, _getframe(1))
                else:
                    entry = recording.known(id(code))
                    if entry is None:
                        recording.start_frame(code, _getframe(1))
                    else:
                        recording.called(entry, None)
            except BaseException as error:  # noqa: BLE001 - contained
                self._contain(error, recording)

        def on_return(code: CodeType, _offset: int, value: object) -> None:
            recording = get()
            if recording is None and code is not loader:
                return
            try:
                if recording is not None and not recording.done:
                    entry = recording.known(id(code))
                    if entry is not None and entry.recorded:
                        if recording.returned(entry, id_of(_getframe(1)), value) and recording.done:
                            recording.restore()
                    elif recording.outer is not None:
                        recording.leave_by_return(id_of(_getframe(1)), value)
                if code is loader and self._loaded is not None:
                    self._loaded(value)
            except BaseException as error:  # noqa: BLE001 - contained
                self._contain(error, recording)

        return on_start, on_start_counted, on_return, heed

    def _begins(self, recording: Recording | None, code: CodeType, frame: FrameType) -> None:
        """A frame begins in a Context that carries no live recording of a probe: a target may begin one."""
        aimed = self._aimed.get(id(code))
        if aimed is not None:
            for trigger in list(aimed[1]):
                if trigger(code, frame):
                    return
        if recording is not None and not recording.done:
            recording.start_frame(code, frame)
            return
        if recording is not None:
            recording.restore()  # ended by the agent thread: a block around it goes on

    def _unwinds(self, _code: CodeType, _offset: int, exception: BaseException) -> None:
        recording = current.get()
        if recording is None or recording.done:
            return
        try:
            frame_id = id_of(_getframe(1))
            if frame_id in recording.open or recording.outer is not None:
                recording.leave_by_raise(frame_id, exception)
                if recording.done:
                    recording.restore()
        except BaseException as error:  # noqa: BLE001 - contained
            self._contain(error, recording)

    def _yields(self, _code: CodeType, offset: int, _value: object) -> None:
        recording = current.get()
        try:
            frame = _getframe(1)
            if recording is None or recording.done:
                self._taken(
                    id_of(frame), None
                )  # it began here, unseen: whoever had its address before is dead
                return
            # What yields here runs: a generator that was parked at this address is dead.
            self._parking.reused(id_of(frame))
            if len(self._live) > 1:
                self._taken(id_of(frame), recording)
            self._parking.yielded(recording, frame, suspended=recording.suspend(id_of(frame), offset))
        except BaseException as error:  # noqa: BLE001 - contained
            self._contain(error, recording)

    def _resumes(self, _code: CodeType, _offset: int) -> None:
        recording = current.get()
        try:
            frame = _getframe(1)
            frame_id = id_of(frame)
            if frame_id in self._parking.parked:
                recording = self._parking.unpark(frame_id, frame_id)
            self._taken(frame_id, recording)
            if recording is not None and not recording.done:
                recording.resume(frame_id, frame)
        except BaseException as error:  # noqa: BLE001 - contained
            self._contain(error, recording)

    def _on_throw(self, _code: CodeType, _offset: int, _exception: BaseException) -> None:
        recording = current.get()
        try:
            frame = _getframe(1)
            frame_id = id_of(frame)
            root = self._parking.root_of(frame_id)
            known = root in self._parking.parked or any(frame_id in live.open for live in tuple(self._live))
            if known and not begun(frame):
                # What was at this address has ended unseen: closed, it yielded once more, and then nobody had it.
                self._parking.reused(frame_id)
                inside = recording
                while inside is not None:
                    inside.reused(frame_id)
                    inside = inside.outer
                self._taken(frame_id, recording)
                return
            if root in self._parking.parked:
                recording = self._parking.unpark(root, frame_id)
            self._taken(frame_id, recording)
            if recording is not None and not recording.done:
                recording.resume(frame_id, frame)
        except BaseException as error:  # noqa: BLE001 - contained
            self._contain(error, recording)

    def _on_line(self, _code: CodeType, _line: int) -> None:
        try:
            receive(list(self._live), _getframe(1))
        except BaseException as error:  # noqa: BLE001 - contained
            self._contain(error, None)

    def _taken(self, frame_id: int, recording: Recording | None) -> None:
        """A frame goes on in the Context of this recording: it may be a generator that another one has recorded.

        Its end would not be seen there, and another generator could get its address.
        """
        for other in tuple(self._live):
            inside = recording
            while inside is not None and inside is not other:
                inside = inside.outer
            if inside is None:
                other.resumed_elsewhere(frame_id)

    @staticmethod
    def _contain(error: BaseException, recording: Recording | None) -> None:
        """Swallow an error of ours; an exception of the application's (a signal handler's) passes, and ends the trace.

        It may have come between a call's node and its record, so that the tree would not be true from here on.
        """
        if recording is not None and not recording.done and not ours(error):
            recording.fill("interrupted")
            recording.finish()
        take(error)

    # ---- cost ---------------------------------------------------------------------------------------------------

    def rate(self) -> float:
        if not self._on:
            return 0.0
        began = perf_counter()
        counted = self._counted_in_c() if self._compiled else self._counted_in_python()
        # Each start has its exit.
        return 2 * counted / (perf_counter() - began)

    def _counted_in_c(self) -> int:
        starts = self._on_start
        starts.counted = 0
        starts.counts = True
        try:
            sleep(_SAMPLE_S)
        finally:
            starts.counts = False
        return int(starts.counted)

    def _counted_in_python(self) -> int:
        self._counted = 0
        monitoring.register_callback(self._tool, events.PY_START, self._on_start_counted)
        try:
            sleep(_SAMPLE_S)
        finally:
            monitoring.register_callback(self._tool, events.PY_START, self._on_start)
        return self._counted

    def cost_ns(self) -> tuple[float, float]:
        """Calibrated once, on a function of ours, by local events: dispatch included, nobody else concerned."""
        if self._cost is None:
            rounds = 300
            plain = _timed(rounds)
            code = _calibrated.__code__
            monitoring.set_local_events(self._tool, code, events.PY_START | events.PY_RETURN)
            watched = _timed(rounds)
            monitoring.set_local_events(self._tool, code, 0)
            bystander = max(5.0, (watched - plain) / 2 / rounds)
            self._cost = (bystander + recorded_ns(self.prepare), bystander)
        return self._cost

    # ---- fork ---------------------------------------------------------------------------------------------------

    def after_fork_in_child(self) -> None:
        self._gate = {}
        for recording in list(self._live):
            recording.done = True
        self._live.clear()
        self._aimed.clear()
        self._parking.clear()
        self._rooted = False
        self._count_heeded()
        self._loaded = None
        self._users.clear()
        if self._tool >= 0:
            self._all_off()


def _calibrated() -> None:
    pass


def _timed(rounds: int) -> int:
    function = _calibrated
    best = 1 << 62
    for _ in range(5):
        began = perf_counter_ns()
        for _ in range(rounds):
            function()
        best = min(best, perf_counter_ns() - began)
    return best
