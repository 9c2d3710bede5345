"""The trigger of one probe: notices that a task begins which the probe wants, and begins its recording.

Concurrency: `aim` and `loaded` run on the agent thread or on one that imports; `Trigger.__call__` on application
threads, inside callbacks, where it touches only deques, sets and counters; all else on the agent thread.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from time import perf_counter_ns
from types import CodeType, FrameType, ModuleType
from typing import TYPE_CHECKING, Any

from tracepatch_shared import limits
from tracepatch_shared.errors import TracepatchError
from tracepatch_shared.targets import Target
from tracepatch_shared.traceparent import Traceparent

from . import block
from .arrival import Arrival
from .capture import Capturer
from .codes import CodeTable, Entry
from .containment import take
from .entries import Entries
from .inside import Inside
from .jobs import Job
from .keeping import Candidate
from .live import Live
from .missing import Missing
from .probe import Probe
from .recording import Recording, current
from .redaction import Redactor
from .resolve import Function, module_matters, resolve
from .runs import running
from .spans import current_span
from .starts import fresh_and_running, start_of
from .where import Where

if TYPE_CHECKING:
    from .tracing import Tracing

Begin = Callable[[Recording, CodeType, FrameType], bool]
"""Begins a recording; returns whether that could be."""


MAX_ANNOUNCED = 500
"""Functions that one trigger is set on because calls announced them."""


class Trigger:
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
        self._asks = where is not None
        self._missing_slots = Missing()
        self._missing_permits = Missing()

    def aim(self, functions: Iterable[Function], breathe: Callable[[], None] | None = None) -> None:
        """Set the trigger on functions that it is not set on yet (agent thread, or the thread that imports).

        `breathe` is called in between, on the agent thread: each may take 0.2 ms on 3.10 and 3.11.
        """
        if self._entries.waits_for("job") and self.enters not in block.waiting:
            block.wait(self.enters)
        for function in functions:
            if breathe is not None:
                breathe()
            if self.off:
                return
            if id(function.code) not in self.names and self._tracing.policy.traces(function, asks=self._asks):
                self.names[id(function.code)] = f"{function.module}:{function.name}"
                self._entries.add(function)
                self.functions.append(function)
                self._tracing.core.aim(function, self)
                if self.off:  # disarmed meanwhile by the agent thread, which did not see this one
                    self._tracing.core.unaim(function, self)

    def unaim(self) -> None:
        """Remove the trigger from all functions; whoever is in it just now begins nothing any more."""
        self.off = True
        block.wait_no_more(self.enters)
        for function in self.functions:
            self._tracing.core.unaim(function, self)
        self._tracing.core.expect_none(self.starts)
        self.functions.clear()
        self.names.clear()
        self._entries.clear()

    def loaded(self, module: object) -> None:
        """A module was imported: aim at what matches in it."""
        name = getattr(module, "__name__", "") if type(module) is ModuleType else ""
        if type(name) is not str:
            return
        if self.probe.keep is not None and type(module) is ModuleType:
            codes = self._codes
            self.probe.keep.calls.loaded(name, module, _none if codes is None else codes.get)
        if module_matters(self.targets, name):
            found = resolve(self.targets, modules={name: module})
            most = min(limits.MAX_TARGETS, self._tracing.policy.ceilings.functions)
            self.aim(found.functions[: max(0, most - len(self.functions))])
            self.probe.matched_total = len(self.functions)

    def __call__(self, code: CodeType, frame: FrameType) -> bool:
        """A target begins: record it if the probe still may; return whether it does. What is not, others have paid for."""
        began_ns = perf_counter_ns()
        begun = self._begins(code, frame)
        if not begun:
            self._tracing.missed(began_ns)
        return begun

    def _begins(self, code: CodeType, frame: FrameType) -> bool:
        probe = self.probe
        if self.off:
            return False
        arrival: Arrival | None = None
        if code in self._entries:
            if self._entries.announces(code):
                coming = self._entries.coming(code, frame)
                if isinstance(coming, list):
                    self._aim_at_announced(coming)
                else:
                    self._tracing.core.expect(coming, self.starts)
                return False
            before = current.get()
            unclosed = before is not None and before.returned_root is not None and not before.done
            if before is not None and unclosed and self._entries.displaces(code):
                before.finish()  # its server has not closed what it returned, and goes on with another request
            arrival = self._entries.arrival(code, frame)
            if arrival is None or arrival.is_followed(list(self._tracing.recordings)):
                return False
            if not self._entries.wants(arrival):
                probe.unmatched += 1
                return False
        return self._takes(arrival, code, frame, self._tracing.core.begin)

    def _aim_at_announced(self, functions: list[Function]) -> None:
        """Aim at functions at which work enters later; one with bytecode that cannot be changed is left (3.10, 3.11)."""
        for function in functions:
            if len(self.functions) < MAX_ANNOUNCED:
                try:
                    self.aim([function])
                except TracepatchError:
                    continue

    def starts(self, code: CodeType, frame: FrameType) -> bool:
        """A coroutine begins of which tasks are made: record it if it is a task's first, and meant."""
        began_ns = perf_counter_ns()
        begun = self._starts(code, frame)
        if not begun:
            self._tracing.missed(began_ns)
        return begun

    def _starts(self, code: CodeType, frame: FrameType) -> bool:
        if self.off:
            return False
        start = start_of(frame, self._tracing.core.stepped())
        if start is None:
            return False
        if not self._entries.wants(start):
            self.probe.unmatched += 1
            return False
        return self._takes(start, code, frame, self._tracing.core.begin)

    def look(self) -> list[str]:
        """Expect the tasks that were made before and have not begun; return sentences on what cannot be recorded."""
        said = []
        if self._entries.waits_for("job"):
            said.append("blocks of tracepatch.job() with such a name are waited for, too")
        if self._entries.waits_for("thread") and (count := running(self._entries.wants)):
            said.append(running_sentence("thread", count))
        if not self._entries.waits_for("task"):
            return said
        said += self._tracing.core.look_for_starts()
        waiting, count = fresh_and_running(sys._current_frames(), self._entries.wants)
        for coroutine in waiting:
            self._tracing.core.expect(coroutine, self.starts)
        return [running_sentence("task", count), *said] if count else said

    def enters(self, given: block.job, frame: FrameType) -> Inside | None:
        """A block that is called a job begins: record it if it is meant."""
        stays: list[Inside] = []

        def begin(recording: Recording, _code: CodeType, frame: FrameType) -> bool:
            inside = Inside(self._tracing.core, recording)
            if not inside.begin(frame):
                return False
            stays.append(inside)
            return True

        try:
            before = current.get()
            if self.off or not (before is None or before.done or before.local):
                return None
            job = Job(given.name, (), given.fields)
            if self._entries.wants(job):
                self._takes(job, frame.f_code, frame, begin)
            else:
                self.probe.unmatched += 1
        except BaseException as error:  # noqa: BLE001 - contained
            take(error)
        return stays[0] if stays else None

    def _takes(self, arrival: Arrival | None, code: CodeType, frame: FrameType, begin: Begin) -> bool:
        """Record what begins in a frame if the probe still may; return whether it does."""
        probe = self.probe
        tracing = self._tracing
        probe.seen += 1
        if tracing.used_up(probe.limits.budget):
            probe.throttled += 1
            return False
        asked = probe.options.choice.traceparent
        if asked is not None and not any(span.trace_id == asked for span in _spans(arrival)):
            probe.other_traces += 1
            return False
        if self.where is not None and not self.where.holds(code, frame, arrival):
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
            recording.span = next(_spans(arrival), None)
            target = self.names.get(id(code), code.co_name)
            task = None
            if arrival is not None:
                task = arrival.task(recording.shown_name)
                target = self.names.get(id(code)) or f"{task['kind']}:{task['name']}"
                recording.response = arrival.outcome()
            tracing.recordings[recording] = Live(probe, recording, target, task)
            begun = begin(recording, code, frame)
            if begun and arrival is not None:
                arrival.began(recording)
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

    def make_up(self, live: list[Live]) -> None:
        """Put back slots and permits that were taken when a signal handler raised (agent thread)."""
        probe = self.probe
        slots = probe.limits.concurrent - sum(item.slot for item in live) - len(probe.slots)
        probe.slots.extend([None] * self._missing_slots.lost(slots))
        undecided = sum(item.account is not None for item in live)
        permits = probe.count - probe.kept - (len(live) - undecided) - len(probe.permits)
        probe.permits.extend([None] * self._missing_permits.lost(permits))
        if probe.admission is not None:
            probe.admission.make_up()

    def _prepare(self, entry: Entry) -> None:
        self._tracing.core.prepare(entry)
        if self.probe.keep is not None:
            self.probe.keep.calls.prepare(entry)

    def _recording(self) -> Recording:
        probe, tracing = self.probe, self._tracing
        capturer = Capturer(probe.capture, Redactor(tracing.policy.redaction), mode=probe.options.mode)
        if self._codes is None:
            self._codes = CodeTable(tracing.scope(probe, self.functions), self._prepare)
        options: dict[str, Any] = {
            "limits": probe.limits,
            "codes": self._codes,
            "capturer": capturer,
            "watch": tracing.core.watch,
            "arguments": probe.args,
            "outer": _live(current.get()),
            "threads": probe.threads,
            "log": tracing.core.log,
        }
        if probe.keep is None:
            recording = Recording(wake=tracing.wake, **options)
        else:
            recording = Candidate(wake=tracing.wake_when_crowded, press=tracing.wake, **options)
        recording.on_end = tracing.ended
        return recording


def _spans(arrival: Arrival | None) -> Iterator[Traceparent]:
    """Yield the span that is current, and the one that what enters says it was sent by."""
    span = current_span()
    if span is not None:
        yield span
    header = None if arrival is None else arrival.traceparent
    if header is not None:
        yield header


def _none(_code: int) -> None:
    """No trace has met any code yet."""


def running_sentence(kind: str, running: int) -> str:
    """Return what is said of work that began before it was armed."""
    them, they = ("this name runs", "it stands") if running == 1 else ("this name run", "they stand")
    return (
        f"{running} {kind}{'' if running == 1 else 's'} with {them} already: a {kind} is recorded from its start; "
        f"`stacks --{kind}` shows where {they}"
    )


def _live(recording: Recording | None) -> Recording | None:
    return None if recording is None or recording.done else recording
