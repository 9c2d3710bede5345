"""One recording of a probe, and what turns it into pieces of a stream.

Concurrency: begun on an application thread, inside the trigger; all else runs on the agent thread.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from time import perf_counter, perf_counter_ns
from typing import Any

from tracepatch_shared import PROTOCOL, limits, records
from tracepatch_shared.messages import CHUNK_BYTES

from . import standing
from .keeping import Account
from .probe import Probe
from .recording import Recording
from .stream import LogWriter, Pack, Writer

STAND_S = 0.1
"""How long may be looked for the lines at which a trace stands that ends open, or is asked for while it records."""
LEFT_S = 0.01
"""The same for what a trace leaves running that has come to its end."""

EVENTS_AT_ONCE = 2_000
"""Events of one trace that one round packs while that goes on: an application may record faster than they are packed,
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


class Live:
    """One recording and what turns it into a stream."""

    __slots__ = (
        "_announced",
        "_writer",
        "account",
        "calls",
        "meta",
        "probe",
        "recording",
        "slot",
        "taken",
        "task",
        "trace_id",
        "watch",
        "withheld",
    )

    def __init__(
        self, probe: Probe, recording: Recording, target: str, task: dict[str, Any] | None = None
    ) -> None:
        self.probe = probe
        self.recording = recording
        self.trace_id = os.urandom(4).hex()
        self._writer = LogWriter(recording.events) if recording.native else Writer(recording.started_ns)
        self._announced = False
        self.watch = standing.Watch(live=probe.live)
        self.slot = True
        """It occupies one of its probe's slots."""
        self.taken = 0
        """Events that were packed."""
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

    def pieces(
        self, pack: Pack, until_s: float, *, identity: dict[str, Any], event_ns: float
    ) -> Iterator[Piece]:
        """Yield what has been recorded since last time, packed; the piece with an `end` is the last.

        `event_ns` is what recording one event has cost.
        """
        recording = self.recording
        parts: list[bytes] = []
        size = 0
        most = EVENTS_AT_ONCE
        if not self._announced:
            self._announced = True
            parts.append(pack(self._writer.head(self._head(identity))))
        while True:
            done = recording.done  # before the events are taken: nothing is appended after it is set
            taken = self._writer.take(recording.events, BATCH, pack)
            most -= taken.events
            self.taken += taken.events
            enough = not recording.events or (most <= 0 and not done) or perf_counter() >= until_s
            if self.account is not None:
                self.account.look(recording, taken.noted)
            parts.append(taken.data)
            recording.packed(sum(map(len, parts)) - size)
            size = sum(map(len, parts))
            ends = done and not recording.events and self.account is None  # a candidate is decided first
            if not done and not recording.events and self.watch.due(quiet=not taken.events):
                parts.append(self._lines(pack))
            if ends:
                parts.append(pack(self._end(event_ns)))
            parts = [part for part in parts if part]
            if ends or size >= CHUNK_BYTES or (parts and enough):
                end = (recording.status, recording.reason) if ends else None
                self.meta["calls"] = recording.calls
                # A part alone goes on as it is: it is what the native core has filled.
                data = parts[0] if len(parts) == 1 else b"".join(parts)
                yield Piece(self.probe, self.trace_id, self.meta, data, end)
                parts = []
                size = 0
            if ends or enough:
                return

    def drop(self) -> int:
        """Let go of what has been recorded and not been packed; return how many events that were."""
        recording = self.recording
        dropped = 0
        while recording.events and not recording.native:  # a few at a time: freeing them holds the GIL
            batch = [recording.events.popleft() for _ in range(min(EVENTS_AT_ONCE, len(recording.events)))]
            dropped += len(batch)
        if recording.native:
            dropped = recording.events.events - self.taken
            recording.events.clear()
        return dropped

    def _head(self, identity: dict[str, Any]) -> dict[str, Any]:
        probe = self.probe
        return {
            "v": PROTOCOL,
            "trace_id": self.trace_id,
            "probe_id": probe.probe_id,
            "target": self.meta["target"],
            "agent": identity,
            "task": self.task,
            "started_at_ns": self.recording.started_at_ns,
            "limits": {**limits.to_wire(probe.limits), "capture": limits.to_wire(probe.capture)},
            "args": probe.args,
            "tag": probe.tag,
            **self._traceparent(),
        }

    def _traceparent(self) -> dict[str, str]:
        """Return the distributed trace as far as it is known by now: its span may begin inside."""
        known = self.recording.traceparent
        return {} if known is None else {"traceparent": known}

    def _lines(self, pack: Pack) -> bytes:
        lines = standing.lines(self.recording.open_nodes(), within_s=STAND_S)
        return self._writer.packed_lines(perf_counter_ns(), lines, pack)

    def _end(self, event_ns: float) -> list[Any]:
        recording = self.recording
        within_s = LEFT_S if recording.status == records.COMPLETE else STAND_S
        fields = {
            "open_lines": standing.lines(recording.open_nodes(), within_s=within_s),
            "calls": recording.calls,
            "lost": recording.lost,
            "unstarted": recording.unstarted,
            "option": recording.option,
            "overhead_ns": round(2 * recording.calls * event_ns),
        }
        fields.update(self._traceparent())
        if recording.response is not None:
            fields["task"] = recording.response.to_wire(recording.started_ns)
        return self._writer.end(
            recording.ended_ns, recording.status, recording.reason, fields, recording.open_nodes()
        )
