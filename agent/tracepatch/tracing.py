"""What the agent thread does with probes and traces: sets triggers, takes their streams, charges what they cost.

    agent thread:        arm ──▶ core.aim(function, trigger)            drain ──▶ pieces of streams
    application thread:              trigger ──▶ Recording ──▶ events (deque) ──┘

Concurrency: methods run on the agent thread; `crowded`, `wake_when_crowded`, `ended`, `used_up` and `missed` on any.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import inf
from time import perf_counter, perf_counter_ns
from typing import Any

from tracepatch_shared import records
from tracepatch_shared.errors import TracepatchError
from tracepatch_shared.targets import Target

from . import block
from .budget import Tax
from .codes import Scope
from .cores import Core, core
from .keeping import POSTPONED_BYTES, UNDECIDED, UNDECIDED_BYTES, Candidate, keep_of
from .live import Live, Piece
from .policy import DEFAULT, Policy
from .probe import Probe
from .recording import Recording
from .resolve import Function, Resolution
from .slices import Slices
from .stream import Pack, packer
from .trigger import Trigger
from .where import of_arguments


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
        self.recordings: dict[Recording, Live] = {}
        self._core: Core | None = None
        self._packages = tuple(packages)
        self.identity = identity or {}
        self._triggers: dict[str, Trigger] = {}
        self._pack: Pack | None = None
        self._pieces: list[Piece] = []
        """What `drain` has packed and not returned: an exception of ours must not lose a part of a trace."""
        self._first = 0
        self._spent_ns = 0.0
        self._tax = Tax()
        self._rate = 0.0
        """Events a second of others, as measured last."""
        self._drained_ns = 0
        self._event_ns = 0
        """What the interpreter takes to tell of a call that is no trace's."""
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
        probe.keep = keep_of(
            probe.options.choice, resolution, self.policy.redaction, self.policy.why_not_asked
        )
        where = of_arguments(probe, resolution, self.policy.redaction)
        if not self._acquired:
            self.core.acquire(self)
            self._acquired = True
        self._event_ns = round(self.core.cost_ns()[1])
        if probe.keep is not None:
            probe.keep.calls.missed = self.missed
        waits = resolution.waits_for_import or (probe.keep is not None and probe.keep.calls.waits_for_import)
        trigger = Trigger(self, probe, targets, waits=waits, where=where)
        try:
            trigger.aim(resolution.functions, Slices().breathe)
        except TracepatchError:
            trigger.unaim()
            raise
        probe.notes = tuple(trigger.look())
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

        A library at whose entry requests or jobs are waited for is one like others.
        """
        wanted = probe.scope
        named = (function for function in functions if function.reader is None)
        packages = {function.module.partition(".")[0] for function in named} | set(self._packages)
        return Scope(
            everything=bool(wanted.get("all")),
            packages=packages,
            lib=wanted.get("lib", ()),
            only=wanted.get("only", ()),
            skip=wanted.get("skip", ()),
            forbidden=self.policy.forbidden,
            without_arguments=self.policy.without_arguments,
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
        for live in list(self.recordings.values()):
            live.watch.asked = live.account is None

    def drain(self, within_s: float = inf) -> list[Piece]:
        """Return what the live traces have recorded since last time, packed; settles the core.

        Where time runs out before the end of a trace, the trace after it is the next call's first, and the rest waits.
        """
        if self._acquired:
            self._charge(perf_counter_ns())
        pieces = self._pieces
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
                self._pack_up(recording, live, until_s, pieces)
                unfinished = unfinished or bool(recording.events)
            if perf_counter() >= until_s:
                self._first = first + place + 1
                unfinished = unfinished or place + 1 < len(waiting)
                break
        if unfinished:
            self.wake()
        for trigger in self._triggers.values():
            trigger.make_up([live for live in list(self.recordings.values()) if live.probe is trigger.probe])
            self._bound(trigger.probe)
        if self._acquired:
            if self.recordings:
                self._rate = self.core.rate()
            self.core.settle()
        self._pieces = []
        return pieces

    def _pack_up(self, recording: Recording, live: Live, until_s: float, pieces: list[Piece]) -> None:
        if self._pack is None:
            self._pack = packer()
        event_ns = self.core.cost_ns()[0]
        before = live.taken
        try:
            for piece in live.pieces(self._pack, until_s, identity=self.identity, event_ns=event_ns):
                pieces.append(piece)  # one by one: what is packed stays, whatever happens to the next
        except BaseException:
            # What was taken and not packed is lost: the trace ends here, and says so.
            recording.events.clear()
            recording.end(records.TRIPPED, "internal")
            recording.status, recording.reason = records.TRIPPED, "internal"
            raise
        self._spent_ns += (live.taken - before) * event_ns
        if pieces and pieces[-1].trace_id == live.trace_id and pieces[-1].end is not None:
            del self.recordings[recording]
            if live.slot:  # a signal handler raised as `ended` was entered
                live.probe.slots.append(None)
            live.probe.kept += 1
            recording.forget()

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

    def _decided(self, recording: Recording, live: Live, until_s: float) -> bool:
        """Return whether a candidate is kept; drop it where it is not, or let it wait for its end."""
        assert isinstance(recording, Candidate)
        probe, account = live.probe, live.account
        assert account is not None
        assert probe.keep is not None
        if not recording.done:
            if recording.held_bytes > POSTPONED_BYTES:
                self._pack_up(recording, live, until_s, live.withheld)
            return False
        account.close(recording)
        names, occurred = account.names(recording), len(recording.occurred)
        if probe.keep.decides(names, occurred, permitted=bool(probe.permits)):
            probe.permits.pop()
            live.account = None
            return True
        del self.recordings[recording]
        if live.slot:
            live.slot = False
            probe.slots.append(None)
        self._spent_ns += live.drop() * self.core.cost_ns()[0]
        recording.forget()
        return False

    # ---- the end ------------------------------------------------------------------------------------------------

    def tax(self) -> tuple[int, float]:
        """Return nanoseconds spent on recording, and the part of one core that others have paid in this second."""
        return round(self._spent_ns + self._tax.missed_ns), self._tax.share

    def over(self, budget: float) -> bool:
        """Tell whether others pay more than this part of a core, and not only for a moment."""
        return self._tax.passed(budget, perf_counter_ns())

    def used_up(self, budget: float) -> bool:
        """Tell whether no further candidate may begin in this second (any thread)."""
        return self._tax.used_up(budget, perf_counter_ns())

    def missed(self, began_ns: int) -> None:
        """A task is not recorded that a trigger, or a call that has to occur, began to look at then (any thread)."""
        now_ns = perf_counter_ns()
        self._tax.miss(now_ns - began_ns + self._event_ns, now_ns)

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
        block.after_fork_in_child()
        self._triggers.clear()
        self.recordings.clear()
        self._acquired = False
        if self._core is not None:
            self._core.after_fork_in_child()
