"""What agents report of themselves, checked field by field: nothing that an agent sends is taken as it comes.

The `*_from_wire` functions raise `MessageError` for anything malformed; unknown fields are ignored.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from math import isfinite
from typing import Any, TypeVar

from tracepatch_shared.errors import MessageError
from tracepatch_shared.messages import field

MAX_LIST = 10_000
"""Entries of one list in a message; more are malformed."""

STATES = frozenset({"dormant", "waiting", "tracing", "disabled"})
_NUMBER = (int, float)
_ID = re.compile(r"[0-9a-f]{8}")
_T = TypeVar("_T")


@dataclass(frozen=True, kw_only=True)
class Agent:
    """What is known of one agent; all of it when it answered, what its file says when it is silent."""

    agent_id: str
    service: str
    host: str
    pid: int
    endpoint: str
    state: str
    """`dormant`, `waiting`, `tracing` or `disabled`; `silent` when it does not answer, `misbehaving` when what it
    answers cannot be understood."""
    labels: Mapping[str, str]
    ppid: int = 0
    python: str = ""
    core: str = ""
    core_reason: str = ""
    uptime_s: float = 0.0
    version: str = ""
    implementation: str = ""
    reason: str = ""
    """A sentence that says why the state is `silent` or `misbehaving`."""
    problem: str = ""
    """A sentence that says why nothing can be armed there."""

    @property
    def answers(self) -> bool:
        """Whether it answered."""
        return self.state in STATES

    @property
    def name(self) -> str:
        """`service@host:pid`, for people."""
        return f"{self.service or '?'}@{self.host or '?'}:{self.pid or '?'}"

    def to_json(self) -> dict[str, Any]:
        """Return the object with `"type": "agent"` that `--json` prints."""
        known = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        known["labels"] = dict(self.labels)
        for sentence in ("reason", "problem"):
            if not known[sentence]:
                del known[sentence]
        return {"type": "agent", **known}


@dataclass(frozen=True, kw_only=True)
class Function:
    """A function that a target matches."""

    function: str
    module: str
    file: str
    line: int
    kind: str


@dataclass(frozen=True, kw_only=True)
class Entry:
    """Something to arm that is no function: a `route`, `job`, `task` or `thread`."""

    kind: str
    target: str
    what: str
    """The function that serves it, or its coroutine."""
    count: int
    """How many of it run now."""


@dataclass(frozen=True, kw_only=True)
class Nearest:
    """The candidate that came nearest to being kept, by the first threshold of the condition."""

    measure: str
    least: bool
    """The condition asks for more than a threshold, else for less."""
    value: float


@dataclass(frozen=True, kw_only=True)
class Missed:
    """One of the conditions of `--keep` that must all hold, and the candidates that it alone has kept out."""

    part: str
    count: int
    nearest: Nearest | None = None
    """The one of these that came nearest to it, where it is a threshold."""


@dataclass(frozen=True, kw_only=True)
class Counters:
    """One probe in one agent, now."""

    probe_id: str
    targets: tuple[str, ...]
    operator: str
    tag: str | None
    detached: bool
    armed_at: float
    """Unix seconds."""
    expires_in_s: float
    count: int
    seen: int
    passed_over: int
    kept: int
    live: int
    finished: int
    """Traces that the agent holds because nobody acknowledged them."""
    held_bytes: int
    matched_total: int
    errors: int
    where: str | None = None
    where_false: int = 0
    where_errors: int = 0
    where_error: str | None = None
    """Why the condition could not be evaluated on the first of these."""
    keep: str | None = None
    sampled_out: int = 0
    rate_limited: int = 0
    throttled: int = 0
    unmatched: int = 0
    other_traces: int = 0
    not_kept: int = 0
    keep_errors: int = 0
    """Candidates on which the keep-condition failed."""
    keep_error: str | None = None
    """One sample of why."""
    nearest: Nearest | None = None
    missed: tuple[Missed, ...] = ()
    having: tuple[str, ...] = ()
    having_missed: int = 0
    having_errors: int = 0
    having_error: str | None = None


@dataclass(frozen=True, kw_only=True)
class Sought:
    """One call that `--having` asks for, in one agent when it was armed."""

    having: str
    matched_total: int
    near: tuple[str, ...]
    waits_for_import: bool


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a probe ended in one agent, with the proof that nothing is left there."""

    probe_id: str
    reason: str
    message: str
    option: str | None
    counters: Counters
    spent_ns: int
    others_share: float
    events: int
    tool_id_freed: bool
    hooks: int
    hooked_threads: int
    """Threads that waited and take the interpreter's hook off when they go on (Python 3.10 and 3.11)."""
    clean: bool


@dataclass(frozen=True, kw_only=True)
class TraceMeta:
    """A finished trace that an agent holds."""

    trace_id: str
    probe_id: str
    target: str
    started_at_ns: int
    status: str
    bytes: int
    calls: int
    tag: str | None


def agent_from_wire(wire: object, *, endpoint: str) -> Agent:
    """Return the agent in a `hello` or `status` answer, reached at `endpoint`."""
    entry = _map(wire, "agent")
    labels = field(entry, "labels", dict, {})
    if not all(type(key) is str and type(value) is str for key, value in labels.items()):
        raise MessageError("agent: labels must be strings")
    state = field(entry, "state", str)
    if state not in STATES:
        raise MessageError(f"agent: state {state!r} is not one of {', '.join(sorted(STATES))}")
    return Agent(
        agent_id=field(entry, "agent_id", str),
        service=field(entry, "service", str),
        host=field(entry, "host", str),
        pid=field(entry, "pid", int),
        ppid=field(entry, "ppid", int, 0),
        python=field(entry, "python", str, ""),
        core=field(entry, "core", str, ""),
        core_reason=field(entry, "core_reason", str, "") or "",
        labels=labels,
        state=state,
        endpoint=endpoint,
        uptime_s=float(field(entry, "uptime_s", _NUMBER, 0.0)),
        version=field(entry, "version", str, ""),
        implementation=field(entry, "implementation", str, ""),
        problem=field(entry, "problem", str, None) or "",
    )


def function_from_wire(wire: object) -> Function:
    """Return one matched function."""
    entry = _map(wire, "function")
    return Function(
        function=field(entry, "function", str),
        module=field(entry, "module", str),
        file=field(entry, "file", str, "") or "",
        line=field(entry, "line", int, 0) or 0,
        kind=field(entry, "kind", str, "function"),
    )


def entry_from_wire(wire: object) -> Entry:
    """Return one thing to arm that is no function."""
    entry = _map(wire, "entry")
    return Entry(
        kind=field(entry, "kind", str),
        target=field(entry, "target", str),
        what=field(entry, "what", str, ""),
        count=field(entry, "count", int, 0),
    )


def counters_from_wire(wire: object) -> Counters:
    """Return the counters of one probe."""
    entry = _map(wire, "counters")
    targets = entry.get("targets", [])
    return Counters(
        probe_id=an_id(entry, "probe_id"),
        targets=(targets,) if type(targets) is str else texts(entry, "targets"),
        operator=field(entry, "operator", str, "") or "",
        tag=field(entry, "tag", str, None),
        detached=field(entry, "detached", bool, False),
        armed_at=float(field(entry, "armed_at", _NUMBER, 0.0)),
        expires_in_s=float(field(entry, "expires_in_s", _NUMBER, None) or 0.0),
        count=_natural(entry, "count"),
        seen=_natural(entry, "seen"),
        passed_over=_natural(entry, "passed_over"),
        kept=_natural(entry, "kept"),
        live=_natural(entry, "live"),
        finished=_natural(entry, "finished"),
        held_bytes=_natural(entry, "held_bytes"),
        matched_total=_natural(entry, "matched_total"),
        errors=_natural(entry, "errors"),
        where=field(entry, "where", str, None),
        where_false=_natural(entry, "where_false"),
        where_errors=_natural(entry, "where_errors"),
        where_error=field(entry, "where_error", str, None),
        keep=field(entry, "keep", str, None),
        sampled_out=_natural(entry, "sampled_out"),
        rate_limited=_natural(entry, "rate_limited"),
        throttled=_natural(entry, "throttled"),
        unmatched=_natural(entry, "unmatched"),
        other_traces=_natural(entry, "other_traces"),
        not_kept=_natural(entry, "not_kept"),
        keep_errors=_natural(entry, "keep_errors"),
        keep_error=field(entry, "keep_error", str, None),
        nearest=None if entry.get("nearest") is None else _nearest(entry["nearest"]),
        missed=each(entry, "missed", _missed),
        having=texts(entry, "having"),
        having_missed=_natural(entry, "having_missed"),
        having_errors=_natural(entry, "having_errors"),
        having_error=field(entry, "having_error", str, None),
    )


def sought_from_wire(wire: object) -> Sought:
    """Return what an agent says of one call that `--having` asks for."""
    entry = _map(wire, "having")
    return Sought(
        having=field(entry, "having", str),
        matched_total=_natural(entry, "matched_total"),
        near=texts(entry, "near"),
        waits_for_import=field(entry, "waits_for_import", bool, False),
    )


def _missed(wire: object) -> Missed:
    entry = _map(wire, "missed")
    return Missed(
        part=field(entry, "part", str),
        count=_natural(entry, "count"),
        nearest=None if entry.get("nearest") is None else _nearest(entry["nearest"]),
    )


def _nearest(wire: object) -> Nearest:
    entry = _map(wire, "nearest")
    value = float(field(entry, "value", _NUMBER))
    if not isfinite(value):
        raise MessageError(f"nearest: value {value!r} is no number")
    return Nearest(measure=field(entry, "measure", str), least=field(entry, "least", bool), value=value)


def ended_from_wire(wire: object) -> Ended:
    """Return how a probe ended."""
    entry = _map(wire, "ended")
    clean = _map(entry.get("clean", {}), "clean")
    return Ended(
        probe_id=an_id(entry, "probe_id"),
        reason=field(entry, "reason", str),
        message=field(entry, "message", str, "") or "",
        option=field(entry, "option", str, None),
        counters=counters_from_wire(entry.get("counters")),
        spent_ns=_natural(entry, "spent_ns"),
        others_share=float(field(entry, "others_share", _NUMBER, 0.0)),
        events=field(clean, "events", int, -1),
        tool_id_freed=field(clean, "tool_id_freed", bool, False),
        hooks=field(clean, "hooks", int, -1),
        hooked_threads=field(clean, "hooked_threads", int, 0),
        clean=field(clean, "ok", bool, False),
    )


def meta_from_wire(wire: object) -> TraceMeta:
    """Return what an agent says about a finished trace that it holds."""
    entry = _map(wire, "trace")
    return TraceMeta(
        trace_id=an_id(entry, "trace_id"),
        probe_id=an_id(entry, "probe_id"),
        target=field(entry, "target", str, "") or "",
        started_at_ns=field(entry, "started_at_ns", int, 0),
        status=field(entry, "status", str, "complete"),
        bytes=_natural(entry, "bytes"),
        calls=_natural(entry, "calls"),
        tag=field(entry, "tag", str, None),
    )


def each(message: Mapping[str, Any], name: str, parse: Callable[[object], _T]) -> tuple[_T, ...]:
    """Return the entries of a list field, each parsed; a missing list is empty."""
    entries = message.get(name) or []
    if type(entries) is not list or len(entries) > MAX_LIST:
        raise MessageError(
            f"{message.get('type', 'message')}: field {name!r} must be a list of at most {MAX_LIST}"
        )
    return tuple(parse(entry) for entry in entries)


def texts(message: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """Return a list field whose entries are all strings."""

    def text(entry: object) -> str:
        if type(entry) is not str:
            raise MessageError(f"field {name!r} holds {type(entry).__name__}, only strings are allowed")
        return entry

    return each(message, name, text)


def pairs(message: Mapping[str, Any], name: str) -> tuple[tuple[str, str], ...]:
    """Return a list field whose entries are two strings each."""

    def pair(entry: object) -> tuple[str, str]:
        if type(entry) is not list or len(entry) != 2 or not all(type(part) is str for part in entry):
            raise MessageError(f"field {name!r} holds something else than two strings")
        return (entry[0], entry[1])

    return each(message, name, pair)


def an_id(message: Mapping[str, Any], name: str) -> str:
    """Return a field that is a probe or trace id."""
    found = field(dict(message), name, str)
    if not _ID.fullmatch(found):
        raise MessageError(f"field {name!r} must be 8 hex digits, not {found[:40]!r}")
    return str(found)


def is_id(text: str) -> bool:
    """Return whether `text` is a whole probe or trace id."""
    return _ID.fullmatch(text) is not None


def _natural(message: Mapping[str, Any], name: str) -> int:
    found = field(dict(message), name, int, 0)
    if found < 0:
        raise MessageError(f"field {name!r} must not be negative, not {found}")
    return int(found)


def _map(wire: object, what: str) -> dict[str, Any]:
    if type(wire) is not dict:
        raise MessageError(f"{what} must be a map, not {type(wire).__name__}")
    return wire
