"""What an armed session and a collection tell their caller, in the order in which it happens.

AgentJoined    an agent that started after arming was found
Armed          an agent took the probe
AgentRefused   an agent did not
AgentLost      an agent is silent, or its process ended
AgentFault     an agent sent something that cannot be understood; it was left out
Progress       counters over all agents
TraceStarted   the first piece of a trace came
TraceChunk     a further piece (only where live pieces were asked for)
TraceFinished  the whole stream of a trace
AgentEnded     the probe ended in an agent, with the proof that nothing is left there
End            the last event: how it ended, over all agents
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .choice import Tally
from .reports import Agent, Ended, Function, Sought, TraceMeta


@dataclass(frozen=True, kw_only=True)
class AgentJoined:
    """An agent that the selection matches started while the session was attached; `Armed` or a refusal follows."""

    agent: Agent


@dataclass(frozen=True, kw_only=True)
class Armed:
    """An agent took the probe: what it matched there, at most 50 functions of `matched_total`."""

    agent: Agent
    probe_id: str
    matched: tuple[Function, ...]
    matched_total: int
    near: tuple[str, ...]
    """Names that are loaded and look alike, when nothing matched."""
    waits_for_import: bool
    limits: dict[str, Any]
    lowered: tuple[str, ...]
    """A sentence for each limit that the agent lowered, and for each option that it is too old for."""
    raised: tuple[str, ...] = ()
    """A sentence for each limit that the agent raised so that the keep-condition can hold."""
    having: tuple[Sought, ...] = ()
    refused: tuple[tuple[str, str], ...] = ()
    """What the targets name as well and cannot be traced, and why; at most 50."""
    notes: tuple[str, ...] = ()
    """Sentences on what cannot be recorded: tasks of that name that run already."""
    expires_in_s: float
    joined: bool = False
    """It started after the session was armed."""


@dataclass(frozen=True, kw_only=True)
class AgentRefused:
    """An agent did not take the probe, or another request; `code` is one of `tracepatch_shared.errors`."""

    agent: Agent
    code: str
    message: str


@dataclass(frozen=True, kw_only=True)
class AgentLost:
    """An agent does not take part any more, without having said so."""

    agent: Agent
    reason: str
    """`silent` (stopped, or its GIL is held), `process ended` or `misbehaving`."""
    message: str


@dataclass(frozen=True, kw_only=True)
class AgentFault:
    """A message of an agent was malformed and left out; told once per agent and kind."""

    agent: Agent
    message: str


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Counters over all agents of the session; comes when they changed, at most about four times a second."""

    asked: int
    kept: int
    seen: int
    passed_over: int
    where_false: int = 0
    where_errors: int = 0
    where_error: str | None = None
    """Why the condition of --where could not be evaluated on the first of these."""
    live: int
    agents: int
    """Agents in which the probe lives now."""
    expires_in_s: float
    tally: Tally = field(default_factory=Tally)


@dataclass(frozen=True, kw_only=True)
class TraceStarted:
    """The first piece of a trace came."""

    agent: Agent
    probe_id: str
    trace_id: str


@dataclass(frozen=True, kw_only=True)
class TraceChunk:
    """One piece of a trace's stream, in order from 0, without gaps; only with `live=True`."""

    agent: Agent
    trace_id: str
    seq: int
    data: bytes


@dataclass(frozen=True, kw_only=True)
class TraceFinished:
    """The whole stream of a trace, as the agent sent it.

    Acknowledge it once it is stored: until then the agent keeps it. Surplus and cut-off traces need no acknowledgement.
    """

    agent: Agent
    probe_id: str
    trace_id: str
    data: bytes
    status: str
    """`complete`, `open` or `tripped`."""
    reason: str | None
    surplus: bool = False
    """It came after as many as were asked for; the session has acknowledged it, it is counted and not shown."""
    cut_off: bool = False
    """The stream ends where the process ended, or pieces of it got lost; not counted as kept when the process ended."""
    meta: TraceMeta | None = None
    """Only from `collect`."""


@dataclass(frozen=True, kw_only=True)
class AgentEnded:
    """The probe ended in one agent."""

    agent: Agent
    ended: Ended


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of the probe in one agent."""

    agent: Agent
    result: str
    """`armed` (detached only), `ended`, `refused` or `lost`."""
    reason: str
    """The end's reason, the refusal's code, or `silent` / `process ended` / `misbehaving`."""
    message: str
    kept: int = 0
    seen: int = 0
    passed_over: int = 0
    where_false: int = 0
    where_errors: int = 0
    where_error: str | None = None
    errors: int = 0
    tally: Tally = field(default_factory=Tally)
    ended: Ended | None = None


@dataclass(frozen=True, kw_only=True)
class End:
    """How a session ended; nothing comes after it."""

    probe_id: str
    reason: str
    """`count`, `disarm` (stopped by the caller), `detached`, `refused`, `silent`, `process ended`, or why agents ended it:
    `ttl`, `lease`, `full`, `budget`, `policy`, `memory`, `off`, `internal`, `process-exit`, `conflict`."""
    message: str
    option: str | None
    """The option that raises the limit, when one was the reason."""
    asked: int
    kept: int
    surplus: int
    cut_off: int
    """Traces that were cut off by the end of their process."""
    seen: int
    passed_over: int
    where_false: int = 0
    where_errors: int = 0
    where_error: str | None = None
    errors: int
    spent_ns: int
    others_share: float
    """The largest part of a core that recording cost others in any one agent."""
    clean: bool | None
    """Every agent proved that it is as before; False too when one was lost, None when detached: it lives on."""
    per_agent: tuple[Outcome, ...]
    exit_code: int
    tally: Tally = field(default_factory=Tally)
    next: str | None = None
    """The option to try next, where the probe chooses among tasks and none was kept."""


Event = (
    AgentJoined
    | Armed
    | AgentRefused
    | AgentLost
    | AgentFault
    | Progress
    | TraceStarted
    | TraceChunk
    | TraceFinished
    | AgentEnded
    | End
)
