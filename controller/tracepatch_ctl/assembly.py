"""Putting the pieces of traces together as they come from one agent."""

from __future__ import annotations

from dataclasses import dataclass, field

from tracepatch_shared.errors import MessageError
from tracepatch_shared.limits import CEILINGS
from tracepatch_shared.messages import Message
from tracepatch_shared.messages import field as checked

from .reports import an_id

MAX_STREAM_BYTES = 2 * CEILINGS.max_bytes
"""Bytes of one trace's stream; an agent that sends more misbehaves."""


@dataclass
class Assembly:
    """The pieces of one trace, and its end once the agent said it."""

    probe_id: str
    trace_id: str
    pieces: dict[int, bytes] = field(default_factory=dict)
    size: int = 0
    ready: int = 0
    """Pieces that are there without a gap."""
    told: int = 0
    """Pieces that the caller was shown."""
    chunks: int | None = None
    """How many there are, once the trace is finished."""
    status: str = "open"
    reason: str | None = None
    asked_again: bool = False
    give_up_at: float | None = None
    """Monotonic time after which what is missing is not waited for."""

    @property
    def whole(self) -> bool:
        """Whether the trace is finished and every piece is there."""
        return self.chunks is not None and self.ready >= self.chunks

    def data(self) -> bytes:
        """Return the stream up to the first gap."""
        return b"".join(self.pieces[seq] for seq in range(self.ready))

    def fresh(self) -> list[tuple[int, bytes]]:
        """Return the pieces that the caller was not shown yet, in order."""
        pieces = [(seq, self.pieces[seq]) for seq in range(self.told, self.ready)]
        self.told = self.ready
        return pieces


class Intake:
    """The traces that come from one agent. Raises `MessageError` for pieces that do not fit together."""

    def __init__(self) -> None:
        self.open: dict[str, Assembly] = {}
        self.done: set[str] = set()

    def take(self, message: Message) -> Assembly | None:
        """Add a `chunk` or a `finished` message; return its trace, or None when that one was closed before."""
        trace_id, probe_id = an_id(message, "trace_id"), an_id(message, "probe_id")
        if trace_id in self.done:
            return None
        trace = self.open.get(trace_id)
        if trace is None:
            trace = self.open[trace_id] = Assembly(probe_id, trace_id)
        if trace.probe_id != probe_id:
            raise MessageError(f"trace {trace_id} belongs to probe {trace.probe_id}, not {probe_id}")
        if message["type"] == "finished":
            chunks = checked(message, "chunks", int)
            if not 0 <= chunks <= MAX_STREAM_BYTES:
                raise MessageError(f"trace {trace_id} cannot have {chunks} pieces")
            trace.status = checked(message, "status", str)
            trace.reason = checked(message, "reason", str, None)
            trace.chunks = chunks
        else:
            seq, data = checked(message, "seq", int), checked(message, "data", bytes)
            if seq in trace.pieces:
                return trace
            if seq < 0 or trace.size + len(data) > MAX_STREAM_BYTES:
                raise MessageError(f"trace {trace_id} is larger than the {MAX_STREAM_BYTES} bytes allowed")
            trace.pieces[seq] = data
            trace.size += len(data)
        while trace.ready in trace.pieces:
            trace.ready += 1
        return trace

    def close(self, trace: Assembly) -> None:
        """Forget the pieces of a trace that was delivered."""
        self.open.pop(trace.trace_id, None)
        self.done.add(trace.trace_id)
