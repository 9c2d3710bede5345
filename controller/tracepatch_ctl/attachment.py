"""The session's thread: it owns every socket of an armed probe, renews its lease, and turns messages into events.

*Concurrency*: everything here runs on one thread. The caller's thread talks to it through `session.Post`: commands
in, events out. A caller that blocks between events therefore never loses the lease; one that dies does, within it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import zmq

from tracepatch_shared.errors import MessageError, Refused, TracepatchError
from tracepatch_shared.limits import LEASE_S, RENEW_S
from tracepatch_shared.messages import Message, field

from .account import account
from .choice import ignored, tally
from .connection import HELLO_S, SILENT, Line, flush, refusal
from .events import (
    AgentEnded,
    AgentFault,
    AgentJoined,
    AgentLost,
    AgentRefused,
    Armed,
    Progress,
)
from .harvest import Harvest
from .member import ARMED, ARMING, ENDED, GREETING, LOST, REFUSED, Member
from .post import Post
from .reports import (
    Counters,
    Ended,
    agent_from_wire,
    counters_from_wire,
    each,
    ended_from_wire,
    function_from_wire,
    meta_from_wire,
    pairs,
    sought_from_wire,
    texts,
)
from .selection import Selection

ARM_S = 5.0
"""Time that an agent has to answer `arm`: it may have many modules to look through."""

SILENT_S = LEASE_S + 1.0
"""An agent that said nothing for so long has lost its lease, and counts as lost."""

DRAIN_S = 3.0
"""Time that agents have to end the probe once the session ends it."""

OWN_END_S = 0.5
"""An agent that served all by itself gets this time to say so, before it is told to end."""

SUCCESSOR_S = 1.5
"""After the last process ended the session waits so long for one that takes its place (a recycled worker)."""

SCAN_S = 1.0
LINGER_MS = 200
_TICK_S = 0.25
_MAX_FAULTS = 20
_GONE = "the probe does not live there any more"


class Attachment:
    """One probe over all its agents, from `arm` to the final account."""

    def __init__(
        self,
        post: Post,
        probe: dict[str, Any],
        *,
        chosen: list[Line],
        silent: list[Line],
        scout: Callable[[set[str]], list[Line]] | None,
        selection: Selection,
        per_agent: bool,
    ) -> None:
        self.probe = probe
        self.probe_id: str = probe["probe_id"]
        self.detached = probe["lease_s"] is None
        self.per_agent = per_agent
        self.members: list[Member] = []
        self.harvest = Harvest(post, probe, per_agent=per_agent)
        self.finishing: str | None = None
        """Why the session ends the probe: `count`, `disarm` or `ttl`."""
        self._post = post
        self._scout = scout
        self._selection = selection
        self._poller = zmq.Poller()
        self._by_socket: dict[Any, Member] = {}
        now = time.monotonic()
        self._known = {line.agent.agent_id for line in (*chosen, *silent)}
        self._expires_at = now + probe["ttl_s"]
        self._renew_at = now + RENEW_S
        self._scan_at = now + SCAN_S
        self._progress_at = now + _TICK_S
        self._told: tuple[int, ...] = ()
        self._drained_by = 0.0
        self._disarmed_at = 0.0
        self._alone_since = 0.0
        self._chosen, self._silent = chosen, silent

    @property
    def asked(self) -> int:
        """Traces asked for; per agent, those of all agents that took the probe."""
        count: int = self.probe["count"]
        return count * max(1, sum(member.was_armed for member in self.members)) if self.per_agent else count

    def run(self) -> None:
        """Arm, follow the probe to its end, then serve acknowledgements until the caller closes."""
        try:
            self._begin()
            while not self._over():
                self._turn()
            self._post.put(account(self))
            self._serve()
        finally:
            for member in self.members:
                self._forget(member)

    # -- the turn ---------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        self._poller.register(self._post.wake, zmq.POLLIN)
        now = time.monotonic()
        for line in self._chosen:
            self._arm(self._enlist(line, now), now)
        for line in self._silent:
            member = self._enlist(line, now)
            member.message = SILENT.format(HELLO_S)
            self._post.put(AgentLost(agent=line.agent, reason="silent", message=member.message))
            if self.detached:
                member.end(LOST, "silent", member.message)

    def _turn(self) -> None:
        before = time.monotonic()
        quick = self.finishing or any(member.watch_until > before for member in self.members)
        for socket, _ in self._poller.poll(50 if quick else int(_TICK_S * 1000)):
            member = self._by_socket.get(socket)
            if member is not None:
                self._read(member)
        if self.harvest.enough:
            self._finish("count")
        now = time.monotonic()
        if now - before > SILENT_S / 2:
            # It was this process that was stopped: what the agents said meanwhile is still to be read.
            for member in self.members:
                member.heard_at = now
                member.answer_by = max(member.answer_by, now + HELLO_S)
            self._renew_at = now
        for command, trace_id in self._post.commands():
            if command == "acknowledge":
                self._acknowledge(trace_id)
            else:
                self._finish("disarm")
        self._overdue(now)
        if self.finishing or not self.detached:
            self._keep_alive(now)
            self._report(now)

    def _over(self) -> bool:
        now = time.monotonic()
        if self.finishing and now >= self._drained_by:
            for member in list(self.members):
                self._give_up(member)
            return True
        if self.detached and not self.finishing:
            return not any(member.state in (ARMING, GREETING) for member in self.members)
        if not all(member.settled(now) for member in self.members):
            self._alone_since = 0.0
            return False
        if self.finishing or not any(member.was_armed for member in self.members):
            return True
        if not any(member.reason in ("process ended", "process-exit") for member in self.members):
            return True
        self._alone_since = self._alone_since or now
        return self._scout is None or now - self._alone_since > SUCCESSOR_S

    def _keep_alive(self, now: float) -> None:
        if now >= self._renew_at:
            self._renew_at = now + RENEW_S
            for member in self.members:
                if member.state == ARMED:
                    member.line.send({"type": "renew", "probe_ids": [self.probe_id]})
        if self.finishing:
            if now >= self._disarmed_at:
                self._disarmed_at = float("inf")
                for member in self.members:
                    if member.lives:
                        self._disarm(member)
            return
        if now > self._expires_at + 2.0:
            self._finish("ttl")
        if self._scout is not None and now >= self._scan_at:
            self._scan_at = now + SCAN_S
            for line in self._scout(self._known):
                self._known.add(line.agent.agent_id)
                self._enlist(line, now).joined = True

    def _overdue(self, now: float) -> None:
        for member in list(self.members):
            if member.watch_until > now and member.line.process_ended():
                self._read(member)
                self._lose(member, "process ended", "its process ended")
            elif member.state == ARMING and now > member.answer_by:
                self._lose(member, "silent", SILENT.format(ARM_S))
            elif member.state == ARMED and now - member.heard_at > SILENT_S and not self.detached:
                self._lose(member, "silent", SILENT.format(SILENT_S) + "; its lease ends the probe there")
            for trace in list(member.intake.open.values()):
                if trace.give_up_at is not None and now > trace.give_up_at:
                    self.harvest.deliver(member, trace, cut_off=True)

    def _report(self, now: float) -> None:
        counters = [member.counters for member in self.members if member.counters is not None]
        counts = tally(counters)
        numbers = (
            self.asked,
            self.harvest.kept,
            sum(one.seen for one in counters),
            sum(one.passed_over for one in counters),
            sum(one.where_false for one in counters),
            sum(one.where_errors for one in counters),
            sum(member.counters.live for member in self.members if member.lives and member.counters),
            sum(member.state == ARMED for member in self.members),
            counts.sampled_out
            + counts.rate_limited
            + counts.throttled
            + counts.unmatched
            + counts.other_traces
            + counts.not_kept,
        )
        if now < self._progress_at or (numbers == self._told and now < self._progress_at + 1.0 - _TICK_S):
            return
        self._told = numbers
        self._progress_at = now + _TICK_S
        asked, kept, seen, passed_over, where_false, where_errors, live, agents, _ = numbers
        left = max(0.0, self._expires_at - now)
        self._post.put(
            Progress(
                asked=asked,
                kept=kept,
                seen=seen,
                passed_over=passed_over,
                where_false=where_false,
                where_errors=where_errors,
                where_error=next((one.where_error for one in counters if one.where_error), None),
                live=live,
                agents=agents,
                expires_in_s=left,
                tally=counts,
            )
        )

    # -- agents come and go -----------------------------------------------------------------------------------

    def _enlist(self, line: Line, now: float) -> Member:
        member = Member(line, attached=True, heard_at=now)
        member.hello = line.send({"type": "hello"})
        self.members.append(member)
        self._by_socket[line.socket] = self._by_socket[line.monitor] = member
        self._poller.register(line.socket, zmq.POLLIN)
        self._poller.register(line.monitor, zmq.POLLIN)
        return member

    def _arm(self, member: Member, now: float) -> None:
        probe = self.probe
        if member.joined:
            left = probe["count"] if self.per_agent else max(1, probe["count"] - self.harvest.kept)
            probe = {**probe, "ttl_s": max(1.0, self._expires_at - now), "count": left}
        member.state = ARMING
        member.hello = 0
        member.heard_at = now
        member.answer_by = now + ARM_S
        member.arm = member.line.send({"type": "arm", "probe": probe})

    def _lose(self, member: Member, reason: str, message: str) -> None:
        """Count an agent as lost: what it sent of its traces is delivered as it stands."""
        if member.state == GREETING:
            member.end(LOST, reason, message)
            if member.joined:
                self.members.remove(member)
        elif member.lives:
            # A stopped process reads what waits for it once it goes on: first `arm` perhaps, and then this.
            self._disarm(member)
            member.end(LOST, reason, message)
            self._post.put(AgentLost(agent=member.agent, reason=reason, message=message))
        for trace in list(member.intake.open.values()):
            if not trace.whole:
                trace.status, trace.reason = "open", reason
            self.harvest.deliver(member, trace, cut_off=not trace.whole)
        member.fetch_until = 0.0
        self._forget(member)

    def _forget(self, member: Member) -> None:
        """Close the line to an agent; nothing more is expected from it."""
        if member.attached:
            member.attached = False
            del self._by_socket[member.line.socket], self._by_socket[member.line.monitor]
            self._poller.unregister(member.line.socket)
            self._poller.unregister(member.line.monitor)
            member.watch_until = 0.0
            member.line.close(linger_ms=LINGER_MS)

    def _give_up(self, member: Member) -> None:
        for trace in list(member.intake.open.values()):
            self.harvest.deliver(member, trace, cut_off=True)
        if member.lives:
            self._lose(member, "silent", f"it did not end the probe within {DRAIN_S:g} s; its lease does")

    def _fault(self, member: Member, problem: MessageError) -> None:
        member.faults += 1
        if member.faults == 1:
            self._post.put(AgentFault(agent=member.agent, message=str(problem)))
        elif member.faults > _MAX_FAULTS:
            self._lose(
                member,
                "misbehaving",
                f"it sent {member.faults} messages that cannot be understood: {problem}",
            )

    # -- messages ---------------------------------------------------------------------------------------------

    def _read(self, member: Member) -> None:
        if member.line.broke():
            member.watch_until = time.monotonic() + 2.0
        for message in member.line.receive():
            try:
                if isinstance(message, MessageError):
                    raise message
                member.heard_at = time.monotonic()
                self._dispatch(member, message)
            except MessageError as problem:
                self._fault(member, problem)
            if not member.attached:
                return

    def _dispatch(self, member: Member, message: Message) -> None:
        kind, answers = message["type"], message.get("re")
        if kind in ("chunk", "finished"):
            if member.state == REFUSED:
                return
            self.harvest.piece(member, message)
        elif kind == "counters":
            self._count(member, counters_from_wire(message))
        elif kind == "ended":
            self._ended(member, ended_from_wire(message))
        elif kind == "renewed":
            if not any(self._count(member, one) for one in each(message, "probes", counters_from_wire)):
                self._gone(member)
        elif kind == "disarmed":
            for ended in each(message, "ended", ended_from_wire):
                self._ended(member, ended)
            self._gone(member)
        elif kind == "collected":
            held = {
                meta.trace_id
                for meta in each(message, "traces", meta_from_wire)
                if meta.probe_id == self.probe_id
            }
            if answers == member.collect:
                member.owed = held - member.intake.done
        elif kind == "hello" and answers == member.hello:
            self._greeted(member, message)
        elif kind == "armed" and answers == member.arm:
            self._armed(member, message)
        elif kind == "error":
            self._refused(member, message)

    def _greeted(self, member: Member, message: Message) -> None:
        member.line.agent = agent_from_wire(message.get("agent"), endpoint=member.line.endpoint)
        if self.finishing or not self._selection.matches(member.agent):
            self.members.remove(member)
            self._forget(member)
            return
        member.joined = True
        member.message = ""
        self._post.put(AgentJoined(agent=member.agent))
        self._arm(member, time.monotonic())

    def _armed(self, member: Member, message: Message) -> None:
        if member.state != ARMING:
            return
        if "where" in self.probe and field(message, "where", str, None) != self.probe["where"]:
            # It takes no notice of conditions, and would record tasks that were not asked for.
            self._disarm(member)
            self._turn_away(member, Refused("--where is newer than its tracepatch: nothing is armed there"))
            return
        options = ignored(self.probe, message)
        if options:
            self._disarm(member)
            newer = (
                f"{' and '.join(options)} {'is' if len(options) == 1 else 'are'} newer than its tracepatch"
            )
            self._turn_away(member, Refused(f"{newer}: nothing is armed there"))
            return
        event = Armed(
            agent=member.agent,
            probe_id=self.probe_id,
            matched=each(message, "matched", function_from_wire),
            matched_total=field(message, "matched_total", int, 0),
            near=texts(message, "near"),
            waits_for_import=field(message, "waits_for_import", bool, False),
            limits=field(message, "limits", dict, {}),
            lowered=(*texts(message, "lowered"), *self._not_understood(message)),
            raised=texts(message, "raised"),
            having=each(message, "having_matched", sought_from_wire),
            refused=pairs(message, "refused"),
            notes=texts(message, "notes"),
            expires_in_s=float(field(message, "expires_in_s", (int, float), self.probe["ttl_s"])),
            joined=member.joined,
        )
        member.state, member.arm, member.was_armed = ARMED, 0, True
        self._post.put(event)

    def _not_understood(self, message: Message) -> tuple[str, ...]:
        """Return a sentence for what an older agent took no notice of."""
        if self.probe.get("threads") and not field(message, "threads", bool, False):
            return ("--threads is newer than this agent: threads and pools' work are not followed",)
        return ()

    def _refused(self, member: Member, message: Message) -> None:
        problem = refusal(message)
        if message.get("re") == member.arm and member.state == ARMING:
            self._turn_away(member, problem)
        elif problem.code == "no-such-probe":
            self._gone(member)
        else:
            raise MessageError(f"it answered {problem.code}: {problem}")

    def _turn_away(self, member: Member, problem: TracepatchError) -> None:
        member.end(REFUSED, problem.code, str(problem))
        self._post.put(AgentRefused(agent=member.agent, code=problem.code, message=str(problem)))

    def _count(self, member: Member, counters: Counters) -> bool:
        if counters.probe_id != self.probe_id:
            return False
        member.counters = counters
        return True

    def _ended(self, member: Member, ended: Ended) -> None:
        if ended.probe_id != self.probe_id or member.state not in (ARMING, ARMED, ENDED) or member.ended:
            return
        member.ended = ended
        member.end(ENDED, ended.reason, ended.message)
        self._post.put(AgentEnded(agent=member.agent, ended=ended))
        if ended.counters.kept > len(member.intake.done) + len(member.intake.open):
            self.harvest.fetch(member)
        for trace in member.intake.open.values():
            self.harvest.fetch_again(member, trace)

    def _gone(self, member: Member) -> None:
        """The probe does not live there, and how it ended was not heard (the line was broken, or the process stopped)."""
        if member.state == ARMED:
            member.end(ENDED, self.finishing or "lease", _GONE)
            self.harvest.fetch(member)

    # -- the end ----------------------------------------------------------------------------------------------

    def _finish(self, why: str) -> None:
        if self.finishing:
            return
        now = time.monotonic()
        self.finishing = why
        self._drained_by = now + DRAIN_S
        self._disarmed_at = now
        for member in [member for member in self.members if member.state == GREETING]:
            if member.joined:
                self.members.remove(member)
            self._forget(member)
        if why == "count" and sum(member.lives for member in self.members) == 1:
            self._disarmed_at = now + OWN_END_S

    def _disarm(self, member: Member) -> None:
        request = {"probe_ids": [self.probe_id], "operator": self.probe["operator"], "everybody": False}
        member.line.send({"type": "disarm", **request})

    def _acknowledge(self, trace_id: str) -> None:
        """Let the agent forget a trace, unless the session is detached: one that came before it left is for `collect`."""
        if not self.detached:
            self.harvest.acknowledge(trace_id)

    def _serve(self) -> None:
        """Send acknowledgements until the caller closes, and wait until the agents have read them."""
        closing = False
        while not closing:
            closing = self._post.closing
            if not closing:
                self._post.wait()
            for command, trace_id in self._post.commands():
                if command == "acknowledge":
                    self._acknowledge(trace_id)
        if not self.detached:
            flush(member.line for member in self.members if member.state == ENDED and member.attached)
