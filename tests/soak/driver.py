"""Arms and disarms the process at random through its endpoint, and checks everything that comes back."""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from processes import Process, wait_for
from tracepatch_ctl import Client
from tracepatch_ctl.events import AgentFault, AgentLost, AgentRefused, End, TraceFinished
from tracepatch_ctl.request import Scope
from tracepatch_ctl.session import Session
from tracepatch_shared.errors import NobodyReached
from tracepatch_shared.trace import Trace

from .check import WrongTrace, check
from .gauge import Gauge

EVERY_S = 0.05
SAMPLE_S = 0.5
SESSIONS = 3
"""Probes that live at the same time, at most."""
DETACHED = 0.15
TARGETS = {
    **dict.fromkeys(
        ("leaf", "numbers", "stream", "note", "blocking", "consume", "times_out", "fails", "elsewhere"), 1
    ),
    "handler": 8,
    "l*": 1,
    "*": 1,
}
"""What is armed, and how often."""
COUNTS = (1, 2, 5, 50, 500)


@dataclass
class Report:
    """What the soak has found."""

    nodes: int = 0
    traces: Counter[str] = field(default_factory=Counter)
    """By status and reason."""
    ends: Counter[str] = field(default_factory=Counter)
    """Sessions by the reason of their end."""
    armed: int = 0
    silent: int = 0
    """Times at which the agent did not answer in time: this machine, or that process, was too busy."""
    problems: list[str] = field(default_factory=list)


class Driver:
    """One controller and the process that it soaks."""

    def __init__(self, process: Process, endpoint: str, seed: int) -> None:
        self.process = process
        self.gauge = Gauge(process.pid)
        self.report = Report()
        self._chance = random.Random(seed)
        self._client = Client(connect=[endpoint])
        self._live: dict[Session, bool] = {}
        """Sessions whose end has not come, and whether nothing was left out of their traces on purpose."""
        self._stopped: set[Session] = set()
        self._collect_at = 0.0
        self._in_blocks = False
        self._beside_blocks = False
        """A block may run, or has run since what is armed now was armed."""

    def state(self) -> dict[str, Any]:
        """Ask the process what is set in it."""
        self.process.tell("state")
        answer: dict[str, Any] = json.loads(self.process.expect("{"))
        return answer

    def soak(self, seconds: float) -> None:
        """Arm and disarm for so long, with a rest now and then; at the end nothing is armed."""
        began = time.monotonic()
        rest_s = min(15.0, seconds / 10)
        sample_at, rest_at = 0.0, rest_s
        while (now := time.monotonic() - began) < seconds:
            if now >= sample_at:
                self.gauge.sample()
                sample_at = now + SAMPLE_S
            if now >= rest_at:
                self._rest()
                state = self.state()
                self._beside_blocks = self._in_blocks or state["running"] > 0
                self.gauge.rest(now, state["blocks"], state["rounds"])
                rest_at = now + rest_s
            self._blocks(1 / 3 < now / seconds < 2 / 3)
            try:
                self._act(now)
            except NobodyReached:
                self.report.silent += 1
            until = time.monotonic() + EVERY_S
            while time.monotonic() < until:
                self._take(until)
        self._blocks(False)
        self._rest()
        self._client.close()

    def _rest(self) -> None:
        """End all that is armed and take what is left, until the process is dormant."""
        for session in self._live:
            session.stop()
        wait_for(lambda: self._take(0) or not self._live, 60, what="all sessions ended")
        wait_for(self._dormant, 60, what="dormant")

    def _dormant(self) -> bool:
        try:
            self._client.disarm(everybody=True)
            self._collect()
            return [one.state for one in self._client.agents()] == ["dormant"]
        except NobodyReached:
            self.report.silent += 1
            return False

    def _blocks(self, on: bool) -> None:
        """In the middle third the tasks trace themselves as well: then a probe's end is not the end of all events."""
        if on != self._in_blocks:
            self._in_blocks = on
            self._beside_blocks = True
            self.process.tell("blocks on" if on else "blocks off")

    # ---- at random

    def _act(self, now: float) -> None:
        chance = self._chance
        if len(self._live) < SESSIONS and chance.random() < 0.6:
            self._arm()
        elif waiting := [session for session in self._live if session not in self._stopped]:
            session = chance.choice(waiting)
            session.stop()
            self._stopped.add(session)
        if now >= self._collect_at:
            self._collect()
            if chance.random() < 0.5:
                self._client.disarm(everybody=True)
            self._collect_at = now + 1

    def _arm(self) -> None:
        chance = self._chance
        limits: dict[str, Any] = {"concurrent": chance.randint(1, 4), "budget": 0.25}
        if chance.random() < 0.2:
            limits |= {"max_calls": chance.randint(1, 30)}
        pruned = chance.random() < 0.1
        if pruned:
            limits |= {"max_depth": chance.randint(1, 3)}
        everything = chance.random() < 0.1
        if everything:  # all of asyncio: much to pack
            limits |= {"max_calls": 500, "concurrent": 1}
        detached = chance.random() < DETACHED
        (target,) = chance.choices(list(TARGETS), TARGETS.values())
        session = self._client.arm(
            [f"soak.app:{target}", *(["not_loaded.yet:*"] if chance.random() < 0.2 else [])],
            count=2 if everything else chance.choice(COUNTS),
            limits=limits,
            scope=Scope(all=everything),
            args=chance.random() < 0.85,
            detach=detached,
            ttl_s=chance.uniform(0.5, 2) if detached else None,
            tag="pruned" if pruned else None,
        )
        self.report.armed += 1
        self._live[session] = not pruned

    # ---- what comes

    def _take(self, until: float) -> bool:
        """Take the events that are there; wait for one when there is none. Nothing is returned that is true."""
        for session, whole in list(self._live.items()):
            timeout_s = max(0.0, until - time.monotonic()) / len(self._live)
            while (event := session.event(timeout_s)) is not None:
                timeout_s = 0.0
                if isinstance(event, End):
                    self._end(session, event)
                else:
                    self._event(session, event, whole)
        if not self._live:
            time.sleep(max(0.0, until - time.monotonic()))
        return False

    def _end(self, session: Session, end: End) -> None:
        session.close()
        del self._live[session]
        self._stopped.discard(session)
        self.report.ends[end.reason] += 1
        lost = any(outcome.result == "lost" for outcome in end.per_agent)  # told as late
        if end.clean is False and not lost and not self._beside_blocks:
            self.report.problems.append(f"a session ended unclean: {end}")

    def _event(self, owner: Any, event: Any, whole: bool) -> None:
        if isinstance(event, TraceFinished):
            self._trace(event, whole)
            owner.acknowledge(event.trace_id)
        elif isinstance(event, AgentLost) and event.reason == "silent":
            self.report.silent += 1
        elif isinstance(event, (AgentLost, AgentFault, AgentRefused)):
            self.report.problems.append(str(event))

    def _trace(self, event: TraceFinished, whole: bool) -> None:
        trace = Trace.read(event.data)
        self.report.traces[f"{event.status} {event.reason or ''}".strip()] += 1
        try:
            self.report.nodes += check(trace, whole=whole)
        except WrongTrace as problem:
            self.report.problems.append(f"trace {event.trace_id} ({event.status} {event.reason}): {problem}")

    def _collect(self) -> None:
        with self._client.collect() as collection:
            for event in collection:
                self._event(
                    collection, event, not (getattr(event, "meta", None) and event.meta.tag == "pruned")
                )
