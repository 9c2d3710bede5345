"""The traces of a session: put together, counted, fetched again where pieces got lost, acknowledged."""

from __future__ import annotations

import time
from typing import Any

from tracepatch_shared.messages import Message

from .assembly import Assembly
from .events import TraceChunk, TraceFinished, TraceStarted
from .member import LOST, Member
from .post import Post
from .spool import remove

FETCH_S = 2.0
"""Time that traces which were asked for again may take."""


class Harvest:
    """Counts what came over all agents; what comes beyond N is surplus. Used by the session's thread only."""

    def __init__(self, post: Post, probe: dict[str, Any], *, per_agent: bool) -> None:
        self.kept = 0
        self.surplus = 0
        self.cut_off = 0
        self._post = post
        self._probe_id: str = probe["probe_id"]
        self._collect = {"type": "collect", "operator": probe["operator"]}
        self._count: int = probe["count"]
        self._live: bool = probe["live"]
        self._per_agent = per_agent
        self._member_of: dict[str, Member] = {}

    @property
    def enough(self) -> bool:
        """Whether as many as asked for are there; agents that count for themselves end by themselves."""
        return not self._per_agent and self.kept >= self._count

    def piece(self, member: Member, message: Message) -> None:
        """Take a `chunk` or a `finished` message; those of other probes are left alone."""
        if message.get("probe_id") != self._probe_id:
            return
        known = len(member.intake.open)
        trace = member.intake.take(message)
        if trace is None:
            return
        if len(member.intake.open) > known:
            self._member_of[trace.trace_id] = member
            self._post.put(TraceStarted(agent=member.agent, probe_id=self._probe_id, trace_id=trace.trace_id))
        if self._live:
            for seq, data in trace.fresh():
                self._post.put(TraceChunk(agent=member.agent, trace_id=trace.trace_id, seq=seq, data=data))
        if trace.whole:
            self.deliver(member, trace)
        elif trace.chunks is not None:
            self.fetch_again(member, trace)

    def deliver(self, member: Member, trace: Assembly, *, cut_off: bool = False) -> None:
        """Hand a trace out as it stands. What its process's end cut off is not counted as kept."""
        member.intake.close(trace)
        counts = not (cut_off and member.state == LOST)
        surplus = counts and (member.kept if self._per_agent else self.kept) >= self._count
        if surplus:
            self.surplus += 1
            self.acknowledge(trace.trace_id)
        elif counts:
            self.kept += 1
            member.kept += 1
        else:
            self.cut_off += 1
        self._post.put(
            TraceFinished(
                agent=member.agent,
                probe_id=self._probe_id,
                trace_id=trace.trace_id,
                data=trace.data(),
                status=trace.status,
                reason=trace.reason,
                surplus=surplus,
                cut_off=cut_off,
            )
        )

    def fetch(self, member: Member) -> None:
        """Ask for the traces that the agent holds for us: their pieces went elsewhere or got lost."""
        if not member.collect:
            member.fetch_until = time.monotonic() + FETCH_S
            member.collect = member.line.send(
                {**self._collect, "probe_ids": [self._probe_id], "trace_ids": None}
            )

    def fetch_again(self, member: Member, trace: Assembly) -> None:
        """Ask once more for a trace of which pieces are missing."""
        if not trace.asked_again:
            trace.asked_again = True
            trace.give_up_at = time.monotonic() + FETCH_S
            member.line.send({**self._collect, "probe_ids": None, "trace_ids": [trace.trace_id]})

    def acknowledge(self, trace_id: str) -> None:
        """Tell the agent that it may forget the trace."""
        member = self._member_of.get(trace_id)
        if member is None:
            return
        if member.attached:
            member.line.send({"type": "ack", "trace_ids": [trace_id]})
        if member.reason in ("process-exit", "process ended") and member.line.place is not None:
            # It may have ended before it heard of this, and have left the trace in its spool.
            remove(member.line.place.directory, trace_id)
