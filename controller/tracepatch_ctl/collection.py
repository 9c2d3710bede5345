"""Fetching the finished traces that agents hold."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from types import TracebackType
from typing import Any

import zmq

from tracepatch_shared.errors import MessageError, Refused
from tracepatch_shared.messages import Message

from .assembly import Assembly, Intake
from .connection import SILENT, Line, flush, refusal
from .events import AgentFault, AgentLost, AgentRefused, Event, TraceFinished
from .reports import TraceMeta, each, is_id, meta_from_wire
from .spool import Spooled

OLDER = "its tracepatch {} does not know `collect --open`: it is older than this command"

COLLECT_S = 5.0
"""Time without a message after which an agent that still owes traces counts as silent."""

_MAX_FAULTS = 20


class Collection:
    """Iterate it for `TraceFinished` with `meta` set, `AgentRefused`, `AgentFault` and `AgentLost`; acknowledge what was stored.

    What ended processes left in their spools comes last; acknowledging it removes the file. Runs on the caller's
    thread; what is not acknowledged stays where it is. `found` is complete once the iteration has ended.
    """

    def __init__(
        self,
        lines: list[Line],
        *,
        probe_ids: Sequence[str] | None = None,
        trace_ids: Sequence[str] | None = None,
        spool: Iterable[Spooled] = (),
        open: bool = False,
        operator: str | None = None,
    ) -> None:
        """`operator` is who asks, for the agents' audit; `open`: the traces that still record, as they stand, instead of the finished ones."""
        self.found = 0
        """Traces that were delivered."""
        self._lines = lines
        self._probes, self._traces = probe_ids, trace_ids
        self._spool = spool
        self._open = open
        self._base = {
            "type": "collect",
            **({"operator": operator} if operator else {}),
            **({"open": True} if open else {}),
        }
        self._owner: dict[str, Line | Spooled] = {}
        self._acknowledged: set[Line] = set()
        self._events = self._run()
        self._closed = False

    def __enter__(self) -> Collection:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[Event]:
        return self._events

    def acknowledge(self, trace_id: str) -> None:
        """Tell the agent that a trace is stored and may be forgotten; take it out of the spool where it lay there."""
        owner = self._owner.get(trace_id)
        if isinstance(owner, Spooled):
            owner.remove()
        elif owner is not None and not self._closed:
            owner.send({"type": "ack", "trace_ids": [trace_id]})
            self._acknowledged.add(owner)

    def close(self) -> None:
        """Hand over the acknowledgements and close the lines; takes at most a second."""
        if self._closed:
            return
        self._closed = True
        if self._acknowledged:
            flush(self._acknowledged)
        for line in self._lines:
            line.close()

    def _run(self) -> Iterator[Event]:
        # Agents know whole ids only: where a prefix is among them everything is fetched and the rest left out here.
        exact = all(is_id(one) for one in (*(self._probes or ()), *(self._traces or ())))
        request = {
            **self._base,
            "probe_ids": list(self._probes) if exact and self._probes is not None else None,
            "trace_ids": list(self._traces) if exact and self._traces is not None else None,
        }
        poller = zmq.Poller()
        suppliers: dict[object, _Supplier] = {}
        for line in self._lines:
            suppliers[line.socket] = _Supplier(
                line, line.send(request), time.monotonic() + COLLECT_S, self._base, open=self._open
            )
            poller.register(line.socket, zmq.POLLIN)
        while suppliers:
            ready = [socket for socket, _ in poller.poll(250)]
            now = time.monotonic()
            for socket, supplier in list(suppliers.items()):
                if socket in ready:
                    supplier.patience = now + COLLECT_S
                    yield from self._take(supplier)
                elif now > supplier.patience:
                    message = SILENT.format(COLLECT_S)
                    supplier.over = True
                    yield AgentLost(agent=supplier.line.agent, reason="silent", message=message)
                if supplier.over:
                    del suppliers[socket]
                    poller.unregister(supplier.line.socket)
        for left in self._spool:
            meta = left.trace.meta
            if meta is not None and left.trace.trace_id not in self._owner and self._wanted(meta):
                self._owner[left.trace.trace_id] = left
                self.found += 1
                yield left.trace

    def _take(self, supplier: _Supplier) -> Iterator[Event]:
        agent = supplier.line.agent
        for message in supplier.line.receive():
            try:
                if isinstance(message, MessageError):
                    raise message
                if message["type"] == "error" and message.get("re") == supplier.request:
                    problem = refusal(message)
                    supplier.over = True
                    yield AgentRefused(agent=agent, code=problem.code, message=str(problem))
                else:
                    supplier.take(message)
                    if supplier.older:
                        yield AgentRefused(
                            agent=agent, code=Refused.code, message=OLDER.format(agent.version or "there")
                        )
            except MessageError as problem:
                supplier.faults += 1
                if supplier.faults == 1:
                    yield AgentFault(agent=agent, message=str(problem))
                if supplier.faults > _MAX_FAULTS:
                    supplier.over = True
                    yield AgentLost(agent=agent, reason="misbehaving", message=str(problem))
                    return
            while supplier.ready:
                trace, cut_off = supplier.ready.popleft()
                meta = supplier.metas[trace.trace_id]
                if not self._wanted(meta):
                    continue
                self._owner[trace.trace_id] = supplier.line
                self.found += 1
                yield TraceFinished(
                    agent=agent,
                    probe_id=trace.probe_id,
                    trace_id=trace.trace_id,
                    data=trace.data(),
                    status=trace.status,
                    reason=trace.reason,
                    cut_off=cut_off,
                    meta=meta,
                )

    def _wanted(self, meta: TraceMeta) -> bool:
        return _any_begins(self._probes, meta.probe_id) and _any_begins(self._traces, meta.trace_id)


class _Supplier:
    """One agent while its traces come."""

    def __init__(
        self, line: Line, request: int, patience: float, base: dict[str, Any], *, open: bool
    ) -> None:
        self.line = line
        self.request = request
        self.patience = patience
        self.over = False
        self.older = False
        """It knows nothing of traces that still record."""
        self.faults = 0
        self.metas: dict[str, TraceMeta] = {}
        self.ready: deque[tuple[Assembly, bool]] = deque()
        self._base = base
        self._open = open
        self._intake = Intake()
        self._owed: set[str] | None = None
        """Traces that are still to come; None until the agent has said which."""
        self._early: list[Message] = []

    def take(self, message: Message) -> None:
        """Take one message; `over` is set once nothing is owed any more."""
        kind = message["type"]
        if kind == "collected":
            if message.get("re") == self.request:
                if self._open and message.get("open") is not True:
                    self.over = self.older = True
                    return
                self.metas = {meta.trace_id: meta for meta in each(message, "traces", meta_from_wire)}
                self._owed = set(self.metas)
                self.over = not self._owed
                early, self._early = self._early, []
                for piece in early:
                    self.take(piece)
        elif kind in ("chunk", "finished") and self._owed is None:
            self._early.append(message)
        elif kind in ("chunk", "finished") and self._owed and message.get("trace_id") in self._owed:
            trace = self._intake.take(message)
            if trace is None or trace.chunks is None:
                return
            if not trace.whole and not trace.asked_again:
                trace.asked_again = True
                self.line.send({**self._base, "probe_ids": None, "trace_ids": [trace.trace_id]})
            elif trace.whole or kind == "finished":
                self._intake.close(trace)
                self._owed.discard(trace.trace_id)
                self.ready.append((trace, not trace.whole))
                self.over = not self._owed


def _any_begins(prefixes: Sequence[str] | None, whole: str) -> bool:
    return prefixes is None or any(prefix and whole.startswith(prefix) for prefix in prefixes)
