"""The operator's Python API, what the command line is a thin user of.

For example:

    with Client(service="shop") as client:
        with client.arm(["shop.cart:Cart.checkout"], count=3) as session:
            for event in session:
                if isinstance(event, TraceFinished) and not event.surplus:
                    store(event.data)
                    session.acknowledge(event.trace_id)
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from types import TracebackType
from typing import Any, TypeVar

from tracepatch_shared.errors import (
    MessageError,
    NobodyReached,
    NoSuchProbe,
    Refused,
    TracepatchError,
    UsageError,
)
from tracepatch_shared.limits import (
    STACKS,
    Capture,
    Limits,
)
from tracepatch_shared.messages import UNKNOWN_REQUEST, Message, field

from .collection import Collection
from .connection import Line, ask
from .discovery import Search
from .events import AgentRefused
from .reach import Globs, Reach, close, unreached
from .reports import (
    Agent,
    Counters,
    Ended,
    Entry,
    Function,
    agent_from_wire,
    counters_from_wire,
    each,
    ended_from_wire,
    entry_from_wire,
    function_from_wire,
    is_id,
    pairs,
    texts,
)
from .request import Scope, checked_count, checked_ttl, probe
from .session import Session
from .spool import spooled
from .standing import AgentStacks, stacks_from_wire

REQUEST_S = 5.0
"""Time that an agent which said hello has to answer a further request: it may have many modules to look through."""

_T = TypeVar("_T")


@dataclass(frozen=True, kw_only=True)
class AgentStatus:
    """The probes of one agent."""

    agent: Agent
    probes: tuple[Counters, ...]


@dataclass(frozen=True, kw_only=True)
class AgentTargets:
    """What a pattern matches in one agent."""

    agent: Agent
    matched: tuple[Function, ...]
    total: int
    near: tuple[str, ...]
    refused: tuple[tuple[str, str], ...] = ()
    """What it names as well and cannot be traced, and why."""
    entries: tuple[Entry, ...] = ()
    """Routes, jobs, running tasks and threads."""
    entries_total: int = 0


@dataclass(frozen=True, kw_only=True)
class AgentDisarmed:
    """The probes that were ended in one agent."""

    agent: Agent
    ended: tuple[Ended, ...]


@dataclass(frozen=True, kw_only=True)
class AgentExtended:
    """A probe after it was extended in one agent."""

    agent: Agent
    probe: Counters
    lowered: tuple[str, ...] = ()
    """A sentence for what a ceiling lowered."""


class Client(Reach):
    """Reaches the agents that a selection names, each operation anew; for one thread at a time.

    `service`, `host`, `pid`, `label` and `agent` are globs (selection.py). `connect` names endpoints (`ipc://…`,
    `tcp://…`) and turns discovery off.
    """

    def __init__(
        self,
        *,
        connect: Sequence[str] | str = (),
        service: Globs = None,
        host: Globs = None,
        pid: Globs = None,
        label: Globs = None,
        agent: Globs = None,
        operator: str | None = None,
    ) -> None:
        super().__init__(connect=connect, service=service, host=host, pid=pid, label=label, agent=agent)
        self.operator = operator or operator_name()
        self._open: list[Session | Collection] = []

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close what is still open; sessions disarm."""
        for user in self._open:
            user.close()
        self._open.clear()
        self._context.destroy(linger=0)

    def agents(self) -> list[Agent]:
        """Return the chosen agents, silent ones included; none is no error. Takes a second when one is silent."""
        lines = self.reach()
        found = [line.agent for line in lines]
        close(lines)
        return sorted(
            [*found, *self.unreached],
            key=lambda agent: (agent.service, agent.host, agent.pid, agent.agent_id),
        )

    def status(self) -> list[AgentStatus]:
        """Return what is armed where."""
        return self._each({"type": "status"}, _status)

    def targets(self, pattern: str, *, limit: int = 50) -> list[AgentTargets]:
        """Return what a target would match, or what has a word in its name, at most `limit` of each agent; nothing is armed.

        A word is looked for in functions, routes, running tasks and threads; one without `*` in any part of them.
        """

        def answer(agent: Agent, message: Message) -> AgentTargets:
            return AgentTargets(
                agent=agent,
                matched=each(message, "matched", function_from_wire),
                total=field(message, "total", int, 0),
                near=texts(message, "near"),
                refused=pairs(message, "refused"),
                entries=each(message, "entries", entry_from_wire),
                entries_total=field(message, "entries_total", int, 0),
            )

        return self._each({"type": "targets", "pattern": pattern, "limit": limit}, answer)

    def stacks(
        self, *, task: str | None = None, thread: str | None = None, limit: int = STACKS
    ) -> list[AgentStacks]:
        """Return what each thread and each task is doing now, at most `limit` of both in each agent; nothing is armed.

        `task` is a glob for a task's name or its coroutine's, `thread` one for a thread's name. Agents that are older
        than this request refuse.
        """
        request = {
            "type": "stacks",
            "task": task,
            "thread": thread,
            "limit": limit,
            "operator": self.operator,
        }
        return self._each(request, stacks_from_wire)

    def disarm(
        self, probe_ids: Sequence[str] | None = None, *, everybody: bool = False
    ) -> list[AgentDisarmed]:
        """End probes: those named (prefixes do), else all of this operator, with `everybody` all there are."""
        lines = self.reached()
        try:
            whole = None if probe_ids is None else self._whole(lines, probe_ids)
            request = {
                "type": "disarm",
                "probe_ids": whole,
                "operator": self.operator,
                "everybody": everybody,
            }

            def answer(agent: Agent, message: Message) -> AgentDisarmed:
                return AgentDisarmed(agent=agent, ended=each(message, "ended", ended_from_wire))

            return [one for one in self._ask(lines, request, answer) if one.ended or whole is None]
        finally:
            close(lines)

    def extend(
        self, probe_id: str, *, ttl_s: float | None = None, count: int | None = None
    ) -> list[AgentExtended]:
        """Give a probe (a prefix does) `ttl_s` more seconds from now, or a higher count, wherever it lives."""
        if ttl_s is None and count is None:
            raise UsageError("nothing to extend: give --ttl, -n or both")
        lines = self.reached()
        try:
            (whole,) = self._whole(lines, [probe_id])
            request: dict[str, Any] = {"type": "extend", "probe_id": whole}
            request |= {"ttl_s": checked_ttl(ttl_s)} if ttl_s is not None else {}
            request |= {"count": checked_count(count)} if count is not None else {}

            def answer(agent: Agent, message: Message) -> AgentExtended:
                probe = counters_from_wire(message.get("probe"))
                return AgentExtended(agent=agent, probe=probe, lowered=texts(message, "lowered"))

            extended = self._ask(lines, request, answer)
        finally:
            close(lines)
        self.refusals = [one for one in self.refusals if one.code != NoSuchProbe.code]
        return extended

    def collect(
        self,
        probe_ids: Sequence[str] | None = None,
        trace_ids: Sequence[str] | None = None,
        *,
        open: bool = False,
    ) -> Collection:
        """Return the finished traces that agents hold or left in a spool, all or those named (prefixes do), to iterate.

        `open`: instead those that still record, as they stand; they record on, and are not acknowledged.
        Raises `NobodyReached` when there is neither an agent nor a spooled trace.
        """
        lines = self.reach()
        left = spooled(self._search.readable, self.selection) if not (self.connect or open) else iter(())
        first = next(left, None)
        if not lines and first is None:
            raise self.nobody()
        spool = () if first is None else chain([first], left)
        collection = Collection(
            lines, probe_ids=probe_ids, trace_ids=trace_ids, spool=spool, open=open, operator=self.operator
        )
        self._open.append(collection)
        return collection

    def arm(
        self,
        targets: Sequence[str],
        *,
        count: int = 1,
        ttl_s: float | None = None,
        where: str | None = None,
        detach: bool = False,
        limits: Limits | Mapping[str, Any] | None = None,
        capture: Capture | Mapping[str, Any] | None = None,
        scope: Scope | None = None,
        args: bool = True,
        threads: bool = False,
        keep: str | None = None,
        sample: int | None = None,
        rate: float | None = None,
        having: Sequence[str] | str = (),
        mode: str = "safe",
        traceparent: str | None = None,
        force: bool = False,
        live: bool = False,
        tag: str | None = None,
        per_agent: bool = False,
    ) -> Session:
        """Arm a probe in every chosen agent and return the session that follows it.

        `where` is a condition on a task when it starts, `keep` one on what is known of it at its end (docs/conditions.md): only
        tasks for which they hold are recorded, only traces for which they hold count and come.
        `having` names calls each of which has to occur in a trace that is kept, as `app.auth:load_user(user_id == 42)`.
        `traceparent` is the id of a distributed trace, or a W3C header with it: only tasks that belong to it are recorded.
        `sample` records every so many-th task on average, `rate` lets so many recordings begin in a second.
        `mode="repr"` shows objects by their `repr`, which runs their code, in processes whose policy allows it.
        `count` is over all agents, with `per_agent` for each. A detached probe needs a `ttl_s`; its session ends as soon
        as the agents answered. Raises `UsageError` and `NobodyReached`; agents that refuse do so in events, and when all
        did, `End` has the reason `refused`.
        """
        request = probe(
            [targets] if isinstance(targets, str) else targets,
            operator=self.operator,
            count=count,
            ttl_s=ttl_s,
            where=where,
            detach=detach,
            limits=limits,
            capture=capture,
            scope=scope,
            args=args,
            threads=threads,
            keep=keep,
            sample=sample,
            rate=rate,
            having=[having] if isinstance(having, str) else having,
            mode=mode,
            traceparent=traceparent,
            force=force,
            live=live,
            tag=tag,
        )
        chosen = self.reached(keep_silent=True)
        search, self._search = self._search, Search()
        session = Session(
            request,
            chosen=[line for line in chosen if line.agent.answers],
            silent=[line for line in chosen if not line.agent.answers],
            scout=None if self.connect or detach else self._scout(search),
            selection=self.selection,
            per_agent=per_agent,
        )
        self._open.append(session)
        return session

    # -- asking them ------------------------------------------------------------------------------------------

    def _each(self, request: Mapping[str, Any], answer: Callable[[Agent, Message], _T]) -> list[_T]:
        lines = self.reached()
        try:
            return self._ask(lines, request, answer)
        finally:
            close(lines)

    def _ask(
        self, lines: list[Line], request: Mapping[str, Any], answer: Callable[[Agent, Message], _T]
    ) -> list[_T]:
        """Return the answers; note refusals, silence and nonsense."""
        answers = []
        for line, message in ask(lines, request, timeout_s=REQUEST_S).items():
            try:
                if isinstance(message, MessageError) and UNKNOWN_REQUEST in str(message):
                    version = line.agent.version or "there"
                    raise Refused(
                        f"its tracepatch {version} does not know `{request['type']}`: it is older than this command"
                    )
                if isinstance(message, TracepatchError):
                    raise message
                answers.append(answer(line.agent, message))
            except (NobodyReached, MessageError) as problem:
                self.unreached.append(unreached(line.agent, problem))
            except TracepatchError as problem:
                self.refusals.append(AgentRefused(agent=line.agent, code=problem.code, message=str(problem)))
        return answers

    def _whole(self, lines: list[Line], prefixes: Sequence[str]) -> list[str]:
        """Return the ids of the living probes that the prefixes name."""
        if all(is_id(prefix) for prefix in prefixes):
            return list(prefixes)
        living = {
            probe.probe_id for one in self._ask(lines, {"type": "status"}, _status) for probe in one.probes
        }
        ids = []
        for prefix in prefixes:
            matching = sorted(probe_id for probe_id in living if prefix and probe_id.startswith(prefix))
            if not matching:
                raise NoSuchProbe(f"no probe {prefix!r} lives in the agents reached; `status` lists them")
            if len(matching) > 1:
                raise UsageError(f"{prefix!r} is the beginning of {', '.join(matching)}: write more digits")
            ids.append(matching[0])
        return ids


def operator_name() -> str:
    """Return `user@host` of whoever runs this process; `uid N` where the user has no name."""
    try:
        import getpass

        user = getpass.getuser()
    except (ImportError, KeyError, OSError):
        user = f"uid {os.geteuid()}" if hasattr(os, "geteuid") else "unknown"
    return f"{user}@{socket.gethostname()}"


def _status(agent: Agent, message: Message) -> AgentStatus:
    agent = agent_from_wire(message.get("agent"), endpoint=agent.endpoint) if message.get("agent") else agent
    return AgentStatus(agent=agent, probes=each(message, "probes", counters_from_wire))
