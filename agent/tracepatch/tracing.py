"""What the agent thread does with probes and traces: sets triggers, begins recordings, takes their streams.

    agent thread:        arm ──▶ core.aim(function, trigger)            drain ──▶ pieces of streams
    application thread:              trigger ──▶ Recording ──▶ events (deque) ──┘

Concurrency: methods run on the agent thread; `_Trigger.__call__`, `_Trigger.loaded` and `_ended` run on application
threads and touch only deques, sets and counters.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from math import inf
from time import perf_counter, perf_counter_ns
from types import CodeType, FrameType, ModuleType
from typing import Any

from tracepatch_shared import PROTOCOL, limits, records
from tracepatch_shared.errors import TracepatchError
from tracepatch_shared.messages import CHUNK_BYTES
from tracepatch_shared.targets import Target

from . import standing
from .budget import Tax
from .capture import Capturer
from .codes import CodeTable, Scope
from .cores import Core, core
from .entries import Entries
from .keeping import POSTPONED_BYTES, UNDECIDED, UNDECIDED_BYTES, Account, Candidate, keep_of
from .missing import Missing
from .policy import DEFAULT, Policy
from .probe import Probe
from .recording import Recording, current
from .redaction import Redactor
from .request import Request
from .resolve import Function, Resolution, module_matters, resolve
from .response import Response
from .runners import Event
from .stream import Writer, packer
from .where import Where, of_arguments

STAND_S = 0.1
"""How long may be looked for the lines at which a trace stands that ends open, or is asked for while it records."""
LEFT_S = 0.01
"""The same for what a trace leaves running that has come to its end."""

EVENTS_AT_ONCE = 2_000
"""Events of one trace that one `drain` packs while that goes on: an application may record faster than they are packed,
and the agent has to answer in between."""
BATCH = 200
"""Events that are packed between two looks at the clock."""


@dataclass(frozen=True)
class Piece:
    """A part of a trace's stream; `end` is (status, reason) with the last one."""

    probe: Probe
    trace_id: str
    meta: dict[str, Any]
    data: bytes
    end: tuple[str, str | None] | None


class _Live:
    """One recording and what turns it into a stream."""

    __slots__ = (
        "account",
        "announced",
        "calls",
        "ended",
        "ends",
        "meta",
        "probe",
        "recording",
        "slot",
        "task",
        "trace_id",
        "watch",
        "withheld",
        "writer",
    )

    def __init__(
        self, probe: Probe, recording: Recording, target: str, task: dict[str, Any] | None = None
    ) -> None:
        self.probe = probe
        self.recording = recording
        self.trace_id = os.urandom(4).hex()
        self.writer = Writer(recording.started_ns)
        self.announced = False
        self.watch = standing.Watch(live=probe.live)
        self.slot = True
        """It occupies one of its probe's slots."""
        self.calls = -1
        """As many as when `expire` looked last."""
        self.meta: dict[str, Any] = {"target": target, "started_at_ns": recording.started_at_ns}
        self.task = task or {"kind": "function", "name": target}
        self.account: Account | None = None if probe.keep is None else probe.keep.account()
        """Of a candidate that is not decided."""
        self.withheld: list[Piece] = []
        """What such a one has had to be packed before it was."""

    @property
    def withheld_bytes(self) -> int:
        return sum(len(piece.data) for piece in self.withheld)


class _Trigger:
    """The trigger of one probe: takes a permit, begins a recording."""

    def __init__(
        self, tracing: Tracing, probe: Probe, targets: list[Target], *, waits: bool, where: Where | None
    ) -> None:
        self.probe = probe
        self.where = where
        self.targets = targets
        self.waits = waits
        self.off = False
        self.functions: list[Function] = []
        self.names: dict[int, str] = {}
        self._entries = Entries(targets)
        self._tracing = tracing
        self._codes: CodeTable | None = None
        self._missing_slots = Missing()
        self._missing_permits = Missing()

    def aim(self, functions: Iterable[Function]) -> None:
        """Set the trigger on functions that it is not set on yet (agent thread, or the thread that imports)."""
        for function in functions:
            if self.off:
                return
            if id(function.code) not in self.names:
                self.names[id(function.code)] = f"{function.module}:{function.name}"
                self._entries.add(function)
                self.functions.append(function)
                self._tracing.core.aim(function, self)
                if self.off:  # disarmed meanwhile by the agent thread, which did not see this one
                    self._tracing.core.unaim(function, self)

    def unaim(self) -> None:
        """Remove the trigger from all functions; whoever is in it just now begins nothing any more."""
        self.off = True
        for function in self.functions:
            self._tracing.core.unaim(function, self)
        self.functions.clear()
        self.names.clear()
        self._entries.clear()

    def loaded(self, module: object) -> None:
        """A module was imported: aim at what matches in it."""
        name = getattr(module, "__name__", "") if type(module) is ModuleType else ""
        if type(name) is str and module_matters(self.targets, name):
            found = resolve(self.targets, modules={name: module})
            self.aim(found.functions[: max(0, limits.MAX_TARGETS - len(self.functions))])
            self.probe.matched_total = len(self.functions)

    def __call__(self, code: CodeType, frame: FrameType) -> bool:
        """A target begins: record it if the probe still may; return whether it does."""
        probe = self.probe
        tracing = self._tracing
        if self.off:
            return False
        request: Request | None = None
        if code in self._entries:
            before = current.get()
            if before is not None and before.returned_root is not None and not before.done:
                before.finish()  # its server has not closed what it returned, and goes on with another request
            request = self._entries.request(code, frame)
            if request is None:
                return False
            if not self._entries.wants(request):
                probe.unmatched += 1
                return False
        probe.seen += 1
        if self.where is not None and not self.where.holds(code, frame, request):
            return False
        if tracing.used_up(probe.limits.budget):
            probe.throttled += 1
            return False
        if probe.admission is not None and not probe.admission.admits(free=bool(probe.slots)):
            return False
        try:
            slot = probe.slots.pop()
        except IndexError:
            probe.passed_over += 1
            return False
        permits: list[None] = []
        recording: Recording | None = None
        begun = False
        try:
            if probe.keep is None:
                permits.append(probe.permits.pop())
            elif not probe.permits:  # taken when a candidate is kept
                return False
            recording = self._recording()
            target = self.names.get(id(code), code.co_name)
            task = None
            if request is not None:
                task = request.task(recording.shown_name)
                recording.response = Response()
            tracing.recordings[recording] = _Live(probe, recording, target, task)
            begun = tracing.core.begin(recording, code, frame)
        except IndexError:
            if permits:
                raise
        finally:
            if not begun:  # also when a signal handler has raised
                if recording is not None:
                    tracing.recordings.pop(recording, None)
                probe.slots.append(slot)
                probe.permits.extend(permits)
                probe.passed_over += 1
        if begun and (probe.keep is None or len(tracing.recordings) == 1):
            tracing.wake()  # while anything records it looks every 100 ms, which is soon enough for a candidate
        return begun

    def make_up(self, live: list[_Live]) -> None:
        """Put back slots and permits that were taken when a signal handler raised (agent thread)."""
        probe = self.probe
        slots = probe.limits.concurrent - sum(item.slot for item in live) - len(probe.slots)
        probe.slots.extend([None] * self._missing_slots.lost(slots))
        undecided = sum(item.account is not None for item in live)
        permits = probe.count - probe.kept - (len(live) - undecided) - len(probe.permits)
        probe.permits.extend([None] * self._missing_permits.lost(permits))
        if probe.admission is not None:
            probe.admission.make_up()

    def _recording(self) -> Recording:
        probe, tracing = self.probe, self._tracing
        capturer = Capturer(probe.capture, Redactor(tracing.policy.redaction))
        if self._codes is None:
            self._codes = CodeTable(tracing.scope(probe, self.functions), tracing.core.prepare)
        options: dict[str, Any] = {
            "limits": probe.limits,
            "codes": self._codes,
            "capturer": capturer,
            "watch": tracing.core.watch,
            "arguments": probe.args,
            "outer": _live(current.get()),
            "threads": probe.threads,
        }
        if probe.keep is None:
            recording = Recording(wake=tracing.wake, **options)
        else:
            recording = Candidate(wake=tracing.wake_when_crowded, press=tracing.wake, **options)
        recording.on_end = tracing.ended
        return recording


class Tracing:
    """All that is armed and recorded in this process on behalf of controllers."""

    def __init__(
        self,
        wake: Callable[[], None],
        *,
        packages: Iterable[str] = (),
        identity: dict[str, Any] | None = None,
        policy: Policy = DEFAULT,
    ) -> None:
        """`wake` may be called from any thread; `identity` goes into each stream's head."""
        self.wake = wake
        self.policy = policy
        self.recordings: dict[Recording, _Live] = {}
        self._core: Core | None = None
        self._packages = tuple(packages)
        self.identity = identity or {}
        self._triggers: dict[str, _Trigger] = {}
        self._pack: Callable[[list[Any]], bytes] | None = None
        self._first = 0
        self._spent_ns = 0.0
        self._tax = Tax()
        self._rate = 0.0
        """Events a second of others, as measured last."""
        self._drained_ns = 0
        self._undecided_bytes = 0
        self._acquired = False

    @property
    def core(self) -> Core:
        """The process's core, chosen on first use."""
        if self._core is None:
            self._core = core()
        return self._core

    @property
    def core_name(self) -> str:
        return self.core.name

    @property
    def core_reason(self) -> str:
        return self.core.reason

    # ---- probes -------------------------------------------------------------------------------------------------

    def arm(self, probe: Probe, targets: list[Target], resolution: Resolution) -> None:
        """Set the triggers of a probe; raise a `TracepatchError`, nothing set, when that cannot be."""
        probe.keep = keep_of(probe.options.choice.keep, resolution, self.policy.redaction)
        where = of_arguments(probe, resolution, self.policy.redaction)
        if not self._acquired:
            self.core.acquire(self)
            self._acquired = True
        self.core.cost_ns()
        trigger = _Trigger(self, probe, targets, waits=resolution.waits_for_import, where=where)
        try:
            trigger.aim(resolution.functions)
        except TracepatchError:
            trigger.unaim()
            raise
        self._triggers[probe.probe_id] = trigger
        probe.matched_total = len(trigger.functions)
        self._watch_imports()

    def disarm(self, probe: Probe) -> None:
        """Remove the triggers of a probe; its live traces go on until `trip`."""
        trigger = self._triggers.pop(probe.probe_id, None)
        if trigger is not None:
            trigger.unaim()
            self._watch_imports()

    def _watch_imports(self) -> None:
        waiting = [trigger for trigger in self._triggers.values() if trigger.waits]

        def loaded(module: object) -> None:
            for trigger in waiting:
                trigger.loaded(module)

        self.core.watch_imports(loaded if waiting else None)

    def scope(self, probe: Probe, functions: list[Function]) -> Scope:
        """Return what a probe's traces record: the application, the targets' own packages among it.

        A framework at whose entry requests are waited for is a library like others.
        """
        wanted = probe.scope
        named = (function for function in functions if function.request is None)
        packages = {function.module.partition(".")[0] for function in named} | set(self._packages)
        return Scope(
            everything=bool(wanted.get("all")),
            packages=packages,
            lib=wanted.get("lib", ()),
            only=wanted.get("only", ()),
            skip=wanted.get("skip", ()),
        )

    # ---- traces -------------------------------------------------------------------------------------------------

    @property
    def live(self) -> int:
        """Recordings whose stream has not ended, plus one while the interpreter's events are still on."""
        return len(self.recordings) + bool(self._acquired and self.core.settle())

    @property
    def behind(self) -> bool:
        """Traces have ended and are not packed to their end."""
        return any(recording.done for recording in list(self.recordings))

    @property
    def held_bytes(self) -> int:
        """Bytes that wait to be packed, estimated, and packed ones that wait for a decision."""
        live = list(self.recordings.items())
        return sum(recording.held_bytes + item.withheld_bytes for recording, item in live)

    @property
    def crowded(self) -> bool:
        """Whether so much has ended and is not decided that no more should (any thread)."""
        return len(self.recordings) >= UNDECIDED or self._undecided_bytes >= UNDECIDED_BYTES

    def wake_when_crowded(self) -> None:
        """Wake the agent thread where the next look, within 100 ms, would be late (any thread)."""
        if self.crowded:
            self.wake()

    def ended(self, recording: Recording) -> None:
        """A recording is done (any thread): its slot is free again."""
        live = self.recordings.get(recording)
        try:
            self.core.ended(recording)
        finally:
            if live is not None and live.account is not None:
                self._undecided_bytes += recording.held_bytes  # set right by `drain`
                if self.crowded:
                    live = None  # its slot stays occupied until it is decided
            if live is not None and live.slot:
                live.slot = False
                live.probe.slots.append(None)

    def expire(self, now_ns: int | None = None) -> None:
        """End the traces that have recorded for longer than they may, and those that a signal handler has cut off.

        They go out as they stand.
        """
        now = perf_counter_ns() if now_ns is None else now_ns
        for recording, live in list(self.recordings.items()):
            if recording.done:
                continue
            if now - recording.started_ns > recording.limits.max_duration_s * 1e9:
                recording.fill("max_duration_s")
                recording.end(records.TRIPPED, "max_duration_s")
            elif live.calls == recording.calls and (recording.left or self.core.lost(recording)):
                recording.fill("interrupted")
                recording.end(records.TRIPPED, "interrupted")
            live.calls = recording.calls

    def trip(self, probe: Probe, reason: str) -> None:
        """End the live traces of a probe now."""
        for recording, live in list(self.recordings.items()):
            if live.probe is probe and not recording.done:
                recording.end(records.TRIPPED, reason)

    def stand(self) -> None:
        """Let each live trace say, with the next `drain`, where its open calls stand."""
        for live in self.recordings.values():
            live.watch.asked = live.account is None

    def drain(self, within_s: float = inf) -> list[Piece]:
        """Return what the live traces have recorded since last time, packed; settles the core.

        Where time runs out before the end of a trace, the trace after it is the next call's first, and the rest waits.
        """
        if self._acquired:
            self._charge(perf_counter_ns())
        pieces: list[Piece] = []
        unfinished = False
        self._undecided_bytes = 0
        until_s = perf_counter() + within_s
        waiting = list(self.recordings.items())
        first = self._first % max(1, len(waiting))
        self._first = 0
        for place, (recording, live) in enumerate(waiting[first:] + waiting[:first]):
            if live.account is not None and not self._decided(recording, live, until_s):
                unfinished = unfinished or recording.held_bytes > POSTPONED_BYTES
            else:
                pieces.extend(live.withheld)
                live.withheld.clear()
                pieces.extend(self._drain(recording, live, until_s))
                unfinished = unfinished or bool(recording.events)
            if perf_counter() >= until_s:
                self._first = first + place + 1
                unfinished = unfinished or place + 1 < len(waiting)
                break
        if unfinished:
            self.wake()
        for trigger in self._triggers.values():
            trigger.make_up([live for live in self.recordings.values() if live.probe is trigger.probe])
            self._bound(trigger.probe)
        if self._acquired:
            if self.recordings:
                self._rate = self.core.rate()
            self.core.settle()
        return pieces

    def _charge(self, now_ns: int) -> None:
        """Add to the tax what others have paid since the last time while anything recorded."""
        since, self._drained_ns = self._drained_ns, now_ns
        live_ns = 0
        for recording in list(self.recordings):
            live_ns += max(0, (recording.ended_ns or now_ns) - max(since, recording.started_ns))
        paid_ns = min(live_ns, now_ns - since)
        self._tax.add(paid_ns * self._rate * self.core.cost_ns()[1] / 1e9, now_ns)

    def _bound(self, probe: Probe) -> None:
        """Let the largest of a probe's candidates record no further calls where all together take half the room there is."""
        if probe.keep is None:
            return
        sizes = {
            recording: recording.held_bytes + live.withheld_bytes
            for recording, live in list(self.recordings.items())
            if live.probe is probe and live.account is not None
        }
        if sum(sizes.values()) > probe.limits.total_bytes // 2:
            going_on = [recording for recording in sizes if not recording.full]
            if going_on:
                max(going_on, key=sizes.__getitem__).fill("total_bytes")

    def _decided(self, recording: Recording, live: _Live, until_s: float) -> bool:
        """Return whether a candidate is kept; drop it where it is not, or let it wait for its end."""
        assert isinstance(recording, Candidate)
        probe, account = live.probe, live.account
        assert account is not None
        assert probe.keep is not None
        if not recording.done:
            if recording.held_bytes > POSTPONED_BYTES:
                live.withheld.extend(self._drain(recording, live, until_s))
            return False
        account.close(recording)
        if probe.keep.decides(account.names(recording), permitted=bool(probe.permits)):
            probe.permits.pop()
            live.account = None
            return True
        del self.recordings[recording]
        if live.slot:
            live.slot = False
            probe.slots.append(None)
        while events := len(_taken(recording, EVENTS_AT_ONCE)):  # a few at a time: freeing them holds the GIL
            self._spent_ns += events * self.core.cost_ns()[0]
        recording.forget()
        return False

    def _drain(self, recording: Recording, live: _Live, until_s: float) -> Iterator[Piece]:
        if self._pack is None:
            self._pack = packer()
        pack = self._pack
        chunk = bytearray()
        counted = 0
        most = EVENTS_AT_ONCE
        if not live.announced:
            live.announced = True
            chunk += pack(live.writer.head(self._head(recording, live)))
        while True:
            done = recording.done  # before the events are taken: nothing is appended after it is set
            batch = _taken(recording, BATCH)
            most -= len(batch)
            enough = not recording.events or (most <= 0 and not done) or perf_counter() >= until_s
            self._spent_ns += len(batch) * self.core.cost_ns()[0]
            if live.account is not None:
                live.account.look(recording, batch)
            for record in live.writer.records(batch):
                chunk += pack(record)
            recording.packed(len(chunk) - counted)
            counted = len(chunk)
            ends = done and not recording.events and live.account is None  # a candidate is decided first
            if not done and not recording.events and live.watch.due(quiet=not batch):
                chunk += pack(self._lines(recording, live))
            if ends:
                chunk += pack(self._end(recording, live))
                del self.recordings[recording]
                if live.slot:  # a signal handler raised as `ended` was entered
                    live.probe.slots.append(None)
                live.probe.kept += 1
            if ends or len(chunk) >= CHUNK_BYTES or (chunk and enough):
                end = (recording.status, recording.reason) if ends else None
                live.meta["calls"] = recording.calls
                yield Piece(live.probe, live.trace_id, live.meta, bytes(chunk), end)
                chunk.clear()
                counted = 0
            if ends:
                recording.forget()
                return
            if enough:
                return

    def _head(self, recording: Recording, live: _Live) -> dict[str, Any]:
        probe = live.probe
        return {
            "v": PROTOCOL,
            "trace_id": live.trace_id,
            "probe_id": probe.probe_id,
            "target": live.meta["target"],
            "agent": self.identity,
            "task": live.task,
            "started_at_ns": recording.started_at_ns,
            "limits": {**limits.to_wire(probe.limits), "capture": limits.to_wire(probe.capture)},
            "args": probe.args,
            "tag": probe.tag,
        }

    def _lines(self, recording: Recording, live: _Live) -> list[Any]:
        lines = standing.lines(recording.open_nodes(), within_s=STAND_S)
        return live.writer.lines(perf_counter_ns(), lines)

    def _end(self, recording: Recording, live: _Live) -> list[Any]:
        within_s = LEFT_S if recording.status == records.COMPLETE else STAND_S
        fields = {
            "open_lines": standing.lines(recording.open_nodes(), within_s=within_s),
            "calls": recording.calls,
            "lost": recording.lost,
            "unstarted": recording.unstarted,
            "option": recording.option,
            "overhead_ns": round(2 * recording.calls * self.core.cost_ns()[0]),
        }
        if recording.response is not None:
            fields["task"] = recording.response.to_wire(recording.started_ns)
        return live.writer.end(
            recording.ended_ns, recording.status, recording.reason, fields, recording.open_nodes()
        )

    # ---- the end ------------------------------------------------------------------------------------------------

    def tax(self) -> tuple[int, float]:
        """Return nanoseconds spent on recording, and the part of one core that others have paid in this second."""
        return round(self._spent_ns), self._tax.share

    def over(self, budget: float) -> bool:
        """Tell whether others pay more than this part of a core, and not only for a moment."""
        return self._tax.passed(budget, perf_counter_ns())

    def used_up(self, budget: float) -> bool:
        """Tell whether no further candidate may begin in this second (any thread)."""
        return self._tax.used_up(budget, perf_counter_ns())

    def release(self) -> dict[str, Any]:
        """Turn everything off and give it back; return what is still set (nothing, when `ok`)."""
        for trigger in list(self._triggers.values()):
            trigger.unaim()
        self._triggers.clear()
        for recording in list(self.recordings):
            recording.end(records.TRIPPED, "disarm")
        if self._acquired:
            self._acquired = False
            self.core.watch_imports(None)
            self.core.release(self)
        self._spent_ns = 0.0
        self._tax = Tax()
        self._rate = 0.0
        return self.core.clean()

    def after_fork_in_child(self) -> None:
        """Forget everything: the child begins dormant."""
        self._triggers.clear()
        self.recordings.clear()
        self._acquired = False
        if self._core is not None:
            self._core.after_fork_in_child()


def _taken(recording: Recording, most: int) -> list[Event]:
    batch: list[Event] = []
    take = recording.events.popleft
    try:
        for _ in range(most):
            batch.append(take())
    except IndexError:
        pass
    return batch


def _live(recording: Recording | None) -> Recording | None:
    return None if recording is None or recording.done else recording
