"""The probes that live in this process: how they begin, are renewed, and end.

Agent thread only. Time is the monotonic clock's: a process that was stopped finds its leases over when it goes on,
because `expire` comes before any message is read.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

from tracepatch_shared import limits
from tracepatch_shared.errors import (
    InternalError,
    NoRoom,
    NoSuchProbe,
    NotTraceable,
    Refused,
    TooWide,
    UsageError,
)

from . import containment, journal, killswitch, room
from .held import Held, Trace
from .policy import Policy
from .post import Post
from .probe import Options, Probe, sentence

PACK_S = 0.05
"""How long the agent packs before it looks whether somebody asks: where threads record flat out, packing has no end, and an
agent that has not answered within a second counts as silent."""

MAX_PROBES = 32
"""Probes in one process at a time."""

LOOK_S = 1.0
"""Between two looks at the kill switch while a probe lives."""

COUNTERS_S = 0.25
"""Between two `counters` messages of a probe."""

MAX_SHOWN = 50
"""Functions listed in the answer to `arm`."""

REMEMBERED = 100
"""Ids of ended probes that cannot be armed again: a repeated `arm` would collect more than was asked for."""


class Tracing(Protocol):
    """What the agent needs of `tracing.Tracing`; all but the wake-ups runs on the agent thread."""

    identity: dict[str, Any]
    """What each stream's head says of the agent."""
    policy: Policy

    @property
    def core_name(self) -> str: ...
    @property
    def core_reason(self) -> str: ...
    def arm(self, probe: Probe, targets: list[Any], resolution: Any) -> None: ...
    def disarm(self, probe: Probe) -> None: ...
    def stand(self) -> None: ...
    def drain(self, within_s: float) -> list[Any]: ...
    @property
    def behind(self) -> bool: ...
    @property
    def live(self) -> int: ...
    @property
    def held_bytes(self) -> int: ...
    def expire(self, now_ns: int) -> None: ...
    def trip(self, probe: Probe, reason: str) -> None: ...
    def release(self) -> dict[str, Any]: ...
    def after_fork_in_child(self) -> None: ...
    def tax(self) -> tuple[int, float]: ...

    def over(self, budget: float) -> bool: ...


Resolver = Callable[[Sequence[str]], "tuple[list[Any], Any]"]
"""Turns the texts of targets into targets and what they match now; raises `UsageError`."""


class Roster:
    """The live probes of one process, with what they need to begin and to end."""

    def __init__(
        self,
        *,
        tracing: Tracing,
        post: Post,
        held: Held,
        resolver: Resolver,
        packages: tuple[str, ...] = (),
        clock: Callable[[], float] = time.monotonic,
        folder: str,
        between: Callable[[], None] = lambda: None,
    ) -> None:
        """`between` is called again and again while something takes long."""
        self.probes: dict[str, Probe] = {}
        self.broken: str | None = None
        """Why nothing can be armed any more: taking tracing back failed."""
        self._tracing = tracing
        self._post = post
        self._held = held
        self._resolve = resolver
        self._packages = packages
        self._clock = clock
        self._folder = folder
        self._between = between
        self._look_s = 0.0
        self._told: dict[str, tuple[float, tuple[int, ...]]] = {}
        self._ended: deque[tuple[str, str]] = deque(maxlen=REMEMBERED)

    # ---- what controllers ask ---------------------------------------------------------------------------------

    def arm(self, options: Options, sender: bytes) -> dict[str, Any]:
        """Make a probe live and return the fields of `armed`; raise a `TracepatchError` that says why not."""
        killswitch.check(self._folder)
        known = self.probes.get(options.probe_id)
        if known is not None:
            self._attach(known, sender)
            return {**known.answer, "expires_in_s": round(known.expires_s - self._clock(), 3)}
        self._admit(options)
        targets, resolution = self._resolve(options.targets)
        policy = self._tracing.policy
        resolution = policy.narrowed(targets, resolution, asks=options.where is not None)
        functions = resolution.functions
        if resolution.total > policy.ceilings.functions:
            raise TooWide(
                f"{resolution.total} functions match, more than the {policy.ceilings.functions} that are allowed "
                "here: name them more exactly"
            )
        if resolution.total > limits.MAX_TARGETS and not options.force:
            raise TooWide(
                f"{resolution.total} functions match, more than the {limits.MAX_TARGETS} that are safe: "
                "name them more exactly, or say --force"
            )
        if not functions and resolution.refused and not resolution.waits_for_import:
            name, why = resolution.refused[0]
            more = len(resolution.refused) - 1
            raise NotTraceable(f"{name} cannot be traced: {why}" + (f" (and {more} more)" if more else ""))
        room.check(options.limits.total_bytes)
        probe = Probe(options, packages=self._packages)
        probe.matched_total = resolution.total
        probe.waits_for_import = bool(resolution.waits_for_import)
        self._make_live(probe, targets, resolution)
        probe.start_clocks(self._clock())
        probe.receiver = sender
        probe.answer = {
            "probe_id": probe.probe_id,
            "matched": [function.to_wire() for function in functions[:MAX_SHOWN]],
            "matched_total": resolution.total,
            "near": list(resolution.near),
            "waits_for_import": bool(resolution.waits_for_import),
            "refused": [list(refusal) for refusal in resolution.refused[:MAX_SHOWN]],
            "limits": {**limits.to_wire(options.limits), "count": options.count},
            "lowered": list(options.lowered),
            "raised": list(options.raised),
            "notes": list(probe.notes),
            **options.choice.to_wire(),
            "having_matched": [] if probe.keep is None else probe.keep.calls.to_wire(),
            "threads": options.threads,
            "mode": options.mode,
            "where": options.where,
            "expires_in_s": options.ttl_s,
        }
        self._told[probe.probe_id] = (self._clock(), _numbers(self.counters(probe)))
        self._look_s = self._clock() + LOOK_S
        until = time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(probe.armed_at + options.ttl_s))
        shown = " ".join(options.targets)
        journal.info(
            "probe %s armed by %s: %s (%d functions), up to %d traces, until %s",
            probe.probe_id, options.operator, shown, resolution.total, options.count, until,
        )  # fmt: skip
        journal.audit(
            "armed probe=%s operator=%s targets=%s count=%d ttl_s=%g arguments=%s where=%a keep=%a having=%a",
            probe.probe_id, options.operator, shown, options.count, options.ttl_s, options.args, options.where,
            options.choice.to_wire()["keep"], options.choice.to_wire()["having"],
        )  # fmt: skip
        return probe.answer

    def renew(self, probe_ids: Iterable[str], sender: bytes) -> list[dict[str, Any]]:
        """Let leases begin again, send the probes' events to `sender` from now on; return counters of those that live."""
        found = [self.probes[probe_id] for probe_id in probe_ids if probe_id in self.probes]
        for probe in found:
            self._attach(probe, sender)
        return [self.counters(probe) for probe in found]

    def extend(self, probe_id: str, *, ttl_s: float | None, count: int | None) -> dict[str, Any]:
        """Let a probe live longer or keep more; return its counters."""
        probe = self.probes.get(probe_id)
        if probe is None:
            raise NoSuchProbe(f"probe {probe_id} does not live here{self._how_it_ended(probe_id)}")
        probe.extend(self._clock(), ttl_s=ttl_s, count=count)
        return self.counters(probe)

    def disarm(
        self, probe_ids: Iterable[str] | None, operator: str, *, everybody: bool
    ) -> list[dict[str, Any]]:
        """End the probes named, or all of this operator, or everybody's; return ENDED for each."""
        if everybody:
            chosen = list(self.probes.values())
        elif probe_ids is None:
            chosen = [probe for probe in self.probes.values() if probe.operator == operator]
        else:
            chosen = [self.probes[probe_id] for probe_id in probe_ids if probe_id in self.probes]
        for probe in chosen:
            journal.audit("disarmed probe=%s operator=%s", probe.probe_id, operator)
        return [self.end(probe, "disarm") for probe in chosen]

    def counters(self, probe: Probe) -> dict[str, Any]:
        """Return COUNTERS of a probe."""
        held, held_bytes = self._held.of_probe(probe.probe_id)
        return probe.counters(self._clock(), held=held, held_bytes=held_bytes)

    def now(self) -> float:
        """Return the agent's monotonic time in seconds."""
        return self._clock()

    # ---- what time and tasks bring ----------------------------------------------------------------------------

    def expire(self) -> None:
        """End what is over by now: leases, ttls, and everything when the kill switch is on."""
        if not self.probes:
            return
        now_s = self._clock()
        if now_s >= self._look_s:
            self._look_s = now_s + LOOK_S
            if killswitch.is_on(self._folder):
                self.end_all("off")
        for probe in list(self.probes.values()):
            if now_s >= probe.expires_s:
                self.end(probe, "ttl")
            elif now_s >= probe.due_s:
                self.end(probe, "lease")
        if self._tracing.live:
            self._tracing.expire(time.perf_counter_ns())

    def drain(self) -> None:
        """Take over what the recorders packed, and hand it on; what takes longer than `PACK_S` comes next time."""
        now_s = self._clock()
        for piece in self._tracing.drain(PACK_S):
            probe: Probe = piece.probe
            trace = self._held.traces.get(piece.trace_id)
            if trace is None:
                trace = Trace(piece.trace_id, probe.probe_id, probe.tag, probe.operator)
                self._held.begin(trace)
            trace.meta.update(piece.meta)
            if piece.data:
                self._held.add(trace, piece.data)
            if piece.end is not None:
                trace.ended = True
                trace.status, trace.reason = piece.end
                probe.finished += 1
            if probe.receiver is not None:
                self._post.deliver(trace, probe.receiver, now_s)

    def _drain_ended(self) -> None:
        """Take over the traces that have ended, to their ends."""
        self.drain()
        while self._tracing.behind:
            self._between()
            self.drain()

    def stand(self) -> None:
        """Let the traces that record say where they stand, and take that over."""
        self._tracing.stand()
        self.drain()

    def settle(self) -> None:
        """End the probes that have all they may have: the count, the bytes, the budget."""
        if not self.probes:
            return
        used = self._held.bytes + self._tracing.held_bytes
        _, others_share = self._tracing.tax()
        for probe in list(self.probes.values()):
            probe.others_share = max(probe.others_share, others_share)
            if probe.finished >= probe.count:
                self.end(probe, "count")
            elif used >= probe.limits.total_bytes:
                self.end(probe, "full")
            elif self._tracing.over(probe.limits.budget):
                self.end(probe, "budget")

    def tell_counters(self) -> None:
        """Send the counters that changed to whoever watches the probe."""
        now_s = self._clock()
        for probe in self.probes.values():
            if probe.receiver is None:
                continue
            last_s, last = self._told.get(probe.probe_id, (0.0, ()))
            if now_s - last_s < COUNTERS_S:
                continue
            counters = self.counters(probe)
            shown = tuple(
                value for key, value in counters.items() if key != "expires_in_s" and type(value) is int
            )
            if shown != last:
                self._told[probe.probe_id] = (now_s, shown)
                self._post.news(probe.receiver, {"type": "counters", **counters})

    def forget_gone(self) -> None:
        """Keep events back from controllers whose connection is gone; their leases run out."""
        gone = self._post.gone
        if gone:
            for probe in self.probes.values():
                if probe.receiver in gone:
                    probe.receiver = None
            gone.clear()

    def wait_s(self) -> float | None:
        """Return how long the loop may sleep at most; None when no probe lives: for ever."""
        if not self.probes:
            return None
        now_s = self._clock()
        due_s = min(self._look_s, *(probe.due_s for probe in self.probes.values()))
        return max(0.0, min(LOOK_S, due_s - now_s))

    # ---- ends -------------------------------------------------------------------------------------------------

    def end(self, probe: Probe, reason: str) -> dict[str, Any]:
        """Take a probe's triggers back, end its running traces, say why; return ENDED."""
        self.probes.pop(probe.probe_id, None)
        self._told.pop(probe.probe_id, None)
        self._ended.append((probe.probe_id, reason))
        probe.ended = True
        spent_ns = 0
        try:
            self._tracing.trip(probe, reason)
            self._tracing.disarm(probe)
            self._drain_ended()
            spent_ns, _ = self._tracing.tax()
        except Exception as error:  # noqa: BLE001 - agent thread: reported once, and release() takes all back
            containment.note(error)
            reason = "internal"
        clean = self._release() if not self.probes else self._shared()
        message, option = sentence(probe, reason)
        counters = self.counters(probe)
        ended = {
            "probe_id": probe.probe_id,
            "reason": reason,
            "message": message,
            "option": option,
            "counters": counters,
            "spent_ns": int(spent_ns),
            "others_share": round(probe.others_share, 6),
            "clean": clean,
        }
        if probe.receiver is not None:
            self._post.last_word(probe.receiver, {"type": "ended", **ended}, self._clock())
        journal.audit(
            "ended probe=%s operator=%s reason=%s kept=%d seen=%d clean=%s",
            probe.probe_id, probe.operator, reason, counters["kept"], probe.seen, clean["ok"],
        )  # fmt: skip
        if reason in {"budget", "memory", "conflict", "full", "off"}:
            journal.warning("probe %s of %s ended: %s", probe.probe_id, probe.operator, message)
        return ended

    def end_all(self, reason: str) -> None:
        """End every probe."""
        for probe in list(self.probes.values()):
            self.end(probe, reason)

    # ---- inside -----------------------------------------------------------------------------------------------

    def _admit(self, options: Options) -> None:
        if self.broken:
            raise InternalError(f"tracing is off in this process until it restarts: {self.broken}")
        if how := self._how_it_ended(options.probe_id):
            raise NoSuchProbe(f"probe {options.probe_id} was here{how}: arm with a new id")
        if len(self.probes) >= MAX_PROBES:
            raise NoRoom(f"{len(self.probes)} probes live here already, as many as are allowed: disarm some")
        if self._held.bytes >= options.limits.total_bytes:
            raise NoRoom("traces that nobody collected fill the bytes allowed: collect them, then arm again")

    def _make_live(self, probe: Probe, targets: list[Any], resolution: Any) -> None:
        try:
            self._tracing.arm(probe, targets, resolution)
        except Exception as error:
            try:
                self._tracing.disarm(probe)
                if not self.probes:
                    self._tracing.release()
            except Exception as second:  # noqa: BLE001 - agent thread; the first one matters
                containment.note(second)
            if isinstance(error, (Refused, UsageError)):
                raise
            containment.note(error)
            raise InternalError(
                f"arming failed by a bug of ours ({type(error).__name__}): please report it"
            ) from None
        self.probes[probe.probe_id] = probe

    def _release(self) -> dict[str, Any]:
        try:
            return self._tracing.release()
        except Exception as error:  # noqa: BLE001 - agent thread
            containment.note(error)
            self.broken = f"taking it back failed with {type(error).__name__}"
            return {"events": -1, "tool_id_freed": False, "hooks": -1, "hooked_threads": -1, "ok": False}

    def _shared(self) -> dict[str, Any]:
        """Return `clean` while other probes still need the tool id."""
        return {
            "events": 0,
            "tool_id_freed": False,
            "hooks": 0,
            "hooked_threads": 0,
            "ok": True,
            "others": len(self.probes),
        }

    def _attach(self, probe: Probe, sender: bytes) -> None:
        now_s = self._clock()
        probe.renew(now_s)
        if probe.receiver != sender:
            probe.receiver = sender
            for trace in self._held.traces.values():
                if trace.probe_id == probe.probe_id:
                    self._post.deliver(trace, sender, now_s)

    def _how_it_ended(self, probe_id: str) -> str:
        return next((f" and ended ({reason})" for ended, reason in self._ended if ended == probe_id), "")


def _numbers(counters: dict[str, Any]) -> tuple[int, ...]:
    return tuple(value for value in counters.values() if type(value) is int)
