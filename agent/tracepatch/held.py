"""The traces that the agent holds: those that record now, and finished ones until a controller acknowledges them.

Nothing that was kept is thrown away for newer: when the bytes reach a probe's bound the probe ends (`full`).

Agent thread only.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from tracepatch_shared.messages import pack
from tracepatch_shared.records import OPEN

PIECE_BYTES = 64
"""What a piece weighs beside its bytes: the bytes object's header and its place in the list."""


@dataclass(eq=False)
class Trace:
    """One trace, as the stream's pieces."""

    trace_id: str
    probe_id: str
    tag: str | None
    operator: str
    meta: dict[str, Any] = field(default_factory=dict)
    pieces: list[bytes] = field(default_factory=list)
    stream_bytes: int = 0
    ended: bool = False
    status: str = OPEN
    reason: str | None = None
    spooled: bool | None = None
    """Whether a copy lies in the spool; None: not tried yet."""

    @property
    def held_bytes(self) -> int:
        """Bytes that the trace weighs in this process."""
        return self.stream_bytes + PIECE_BYTES * len(self.pieces)

    def to_wire(self) -> dict[str, Any]:
        """Return TRACE_META."""
        return {
            "trace_id": self.trace_id,
            "probe_id": self.probe_id,
            "target": str(self.meta.get("target", "")),
            "started_at_ns": int(self.meta.get("started_at_ns", 0)),
            "status": self.status,
            "bytes": self.stream_bytes,
            "calls": int(self.meta.get("calls", 0)),
            "tag": self.tag,
        }

    def chunk(self, seq: int) -> bytes:
        """Return the packed message for one piece."""
        return pack(
            {
                "type": "chunk",
                "probe_id": self.probe_id,
                "trace_id": self.trace_id,
                "seq": seq,
                "data": self.pieces[seq],
            }
        )

    def finished(self) -> bytes:
        """Return the packed message that says that all pieces are there."""
        return self._over(len(self.pieces), self.status, self.reason)

    def standing(self, chunks: int) -> bytes:
        """Return the packed message that says that these are the pieces of a trace that records on."""
        return self._over(chunks, OPEN, None)

    def _over(self, chunks: int, status: str, reason: str | None) -> bytes:
        return pack(
            {
                "type": "finished",
                "probe_id": self.probe_id,
                "trace_id": self.trace_id,
                "chunks": chunks,
                "status": status,
                "reason": reason,
            }
        )


class Held:
    """All traces of this process, by id, oldest first."""

    def __init__(self) -> None:
        self.traces: dict[str, Trace] = {}
        self.bytes = 0
        """What all of them weigh."""

    def begin(self, trace: Trace) -> None:
        """Take a trace that began."""
        self.traces[trace.trace_id] = trace

    def add(self, trace: Trace, data: bytes) -> None:
        """Take a further piece of a trace's stream."""
        trace.pieces.append(data)
        trace.stream_bytes += len(data)
        self.bytes += len(data) + PIECE_BYTES

    def forget(self, trace_id: str) -> Trace | None:
        """Drop a finished trace; return it, or None when there is none to drop."""
        trace = self.traces.get(trace_id)
        if trace is None or not trace.ended:
            return None
        del self.traces[trace_id]
        self.bytes -= trace.held_bytes
        return trace

    def recording(
        self, probe_ids: Iterable[str] | None = None, trace_ids: Iterable[str] | None = None
    ) -> list[Trace]:
        """Return the traces that record now, chosen in the same way."""
        return [trace for trace in self._chosen(probe_ids, trace_ids) if not trace.ended]

    def finished(
        self, probe_ids: Iterable[str] | None = None, trace_ids: Iterable[str] | None = None
    ) -> list[Trace]:
        """Return the finished traces, all or those of these probes and with these ids, oldest first."""
        return [trace for trace in self._chosen(probe_ids, trace_ids) if trace.ended]

    def _chosen(self, probe_ids: Iterable[str] | None, trace_ids: Iterable[str] | None) -> list[Trace]:
        probes = None if probe_ids is None else set(probe_ids)
        ids = None if trace_ids is None else set(trace_ids)
        return [
            trace
            for trace in self.traces.values()
            if (probes is None or trace.probe_id in probes) and (ids is None or trace.trace_id in ids)
        ]

    def of_probe(self, probe_id: str) -> tuple[int, int]:
        """Return how many finished traces of a probe are held, and the bytes of all its traces."""
        own = [trace for trace in self.traces.values() if trace.probe_id == probe_id]
        return sum(trace.ended for trace in own), sum(trace.held_bytes for trace in own)
