"""What controllers ask and what they are answered: one method for each type of request (docs/protocol.md).

Everything that arrives was written by somebody else: sizes are bounded, types checked field by field, and whatever is
malformed is counted and answered with a named error. Agent thread only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tracepatch_shared.errors import Disabled, Forbidden, InternalError, MessageError, TracepatchError
from tracepatch_shared.limits import MAX_COUNT, MAX_STACKS, STACKS
from tracepatch_shared.messages import MAX_REQUEST_BYTES, UNKNOWN_REQUEST, Message, error, field, unpack

from . import containment, journal, killswitch, spool
from .endpoint import Endpoint
from .held import Held, Trace
from .identity import Identity
from .post import Post
from .probe import MAX_CHARACTERS, an_id, name, options_from_wire
from .roster import MAX_SHOWN, Resolver, Roster, Tracing
from .stacks import Stacks

MAX_IDS = 10_000
"""Ids in one message."""


class Desk:
    """Answers the requests of one process's agent."""

    def __init__(
        self,
        *,
        identity: Identity,
        tracing: Tracing,
        endpoint: Endpoint,
        roster: Roster,
        held: Held,
        post: Post,
        resolver: Resolver,
    ) -> None:
        self.malformed = 0
        """Messages that could not be understood."""
        self.closing = False
        """The process ends: nothing new is armed."""
        self._identity = identity
        self._tracing = tracing
        self._endpoint = endpoint
        self._roster = roster
        self._held = held
        self._post = post
        self._resolve = resolver
        self._requests: dict[str, Callable[[bytes, Message], Message | None]] = {
            "hello": self._hello,
            "arm": self._arm,
            "renew": self._renew,
            "extend": self._extend,
            "disarm": self._disarm,
            "status": self._status,
            "targets": self._targets,
            "stacks": self._stacks,
            "collect": self._collect,
            "ack": self._ack,
        }

    def answer(self, sender: bytes, frames: list[bytes], now_s: float) -> None:
        """Do what a message asks and send the answer; never raises for what is in it."""
        request: int | None = None
        try:
            if len(frames) != 1:
                raise MessageError("a message must be one frame")
            message = unpack(frames[0], max_bytes=MAX_REQUEST_BYTES)
            request = _request_id(message)
            todo = self._requests.get(message["type"])
            if todo is None:
                raise MessageError(f"{message['type'][:40]!r} {UNKNOWN_REQUEST}")
            if request is None and message["type"] != "ack":
                raise MessageError(f"{message['type']}: field 'id' must be an int that is not negative")
            reply = todo(sender, message)
        except TracepatchError as problem:
            if isinstance(problem, MessageError):
                self.malformed += 1
            reply = error(problem, request)
        except Exception as problem:  # noqa: BLE001 - agent thread: a bug of ours must not silence the agent
            containment.note(problem)
            reply = error(
                InternalError(f"a bug of ours ({type(problem).__name__}): please report it"), request
            )
        if reply is not None:
            self._post.answer(sender, reply, now_s)
        self._post.heard(sender, now_s)

    @staticmethod
    def is_hello(frames: list[bytes]) -> bool:
        """Tell whether a message asks for nothing but an answer."""
        try:
            return len(frames) == 1 and unpack(frames[0], max_bytes=MAX_REQUEST_BYTES)["type"] == "hello"
        except MessageError:
            return False

    def agent(self) -> dict[str, Any]:
        """Return AGENT."""
        return {
            **self._identity.to_wire(),
            "core": self._tracing.core_name,
            "core_reason": self._tracing.core_reason,
            "state": self._state(),
            "problem": self._problem(),
            "endpoint": self._endpoint.address,
            "malformed": self.malformed,
            "dropped": self._endpoint.dropped,
        }

    def _problem(self) -> str | None:
        """Return why nothing can be armed here now."""
        if self._roster.broken:
            return f"tracing is off until the process restarts: {self._roster.broken}"
        if killswitch.is_on(self._endpoint.folder):
            return f"the kill switch {killswitch.path(self._endpoint.folder)} is on"
        return self._tracing.policy.broken

    def _state(self) -> str:
        if self.closing or self._problem():
            return "disabled"
        if self._tracing.live:
            return "tracing"
        return "waiting" if self._roster.probes else "dormant"

    # ---- requests -----------------------------------------------------------------------------------------------

    def _hello(self, _sender: bytes, message: Message) -> Message:
        return {
            "type": "hello",
            "re": message["id"],
            "agent": self.agent(),
            "probes": len(self._roster.probes),
            "finished": len(self._held.finished()),
        }

    def _arm(self, sender: bytes, message: Message) -> Message:
        if self.closing:
            raise Disabled("this process ends")
        policy = self._tracing.policy
        policy.check()
        options = options_from_wire(field(message, "probe", dict), policy)
        try:
            return {"type": "armed", "re": message["id"], **self._roster.arm(options, sender)}
        except TracepatchError as refusal:
            journal.warning(
                "probe %s of %s refused: %s",
                options.probe_id,
                options.operator,
                str(refusal).partition("\n")[0],
            )
            raise

    def _renew(self, sender: bytes, message: Message) -> Message:
        ids = _ids(message, "probe_ids") or []
        return {"type": "renewed", "re": message["id"], "probes": self._roster.renew(ids, sender)}

    def _extend(self, _sender: bytes, message: Message) -> Message:
        probe_id = an_id(field(message, "probe_id", str))
        ttl_s = field(message, "ttl_s", (int, float), None)
        count = field(message, "count", int, None)
        if ttl_s is not None and not 0 < ttl_s < float("inf"):
            raise MessageError(f"extend: ttl_s must be a positive number of seconds, not {ttl_s!r}")
        if count is not None and not 0 < count <= MAX_COUNT:
            raise MessageError(f"extend: count must be 1 to {MAX_COUNT}, not {count}")
        ttl_s, count, lowered = self._tracing.policy.extended(ttl_s, count)
        return {
            "type": "extended",
            "re": message["id"],
            "probe": self._roster.extend(probe_id, ttl_s=ttl_s, count=count),
            "lowered": lowered,
        }

    def _disarm(self, _sender: bytes, message: Message) -> Message:
        operator = name(field(message, "operator", str), "operator")
        everybody = field(message, "everybody", bool, False)
        ended = self._roster.disarm(_ids(message, "probe_ids"), operator, everybody=everybody)
        return {"type": "disarmed", "re": message["id"], "ended": ended}

    def _status(self, _sender: bytes, message: Message) -> Message:
        probes = [self._roster.counters(probe) for probe in self._roster.probes.values()]
        return {"type": "status", "re": message["id"], "agent": self.agent(), "probes": probes}

    def _targets(self, _sender: bytes, message: Message) -> Message:
        pattern = field(message, "pattern", str)
        self._tracing.policy.check()
        most = max(1, min(field(message, "limit", int, MAX_SHOWN), 1000))
        from .search import search

        resolution, entries = search(pattern, lambda text: self._resolve([text]), self._tracing.policy)
        return {
            "type": "targets",
            "re": message["id"],
            "matched": [function.to_wire() for function in resolution.functions[:most]],
            "total": resolution.total,
            "near": list(resolution.near),
            "refused": [list(refusal) for refusal in resolution.refused[:MAX_SHOWN]],
            "entries": [entry.to_wire() for entry in entries[:most]],
            "entries_total": len(entries),
        }

    def _stacks(self, _sender: bytes, message: Message) -> Message:
        policy = self._tracing.policy
        policy.check()
        if not policy.stacks:
            raise Forbidden("the policy of this process does not allow stacks")
        operator = message.get("operator")
        by = name(operator, "operator") if isinstance(operator, str) else "?"
        journal.audit("stacks operator=%s", by)
        look = Stacks(
            task=_glob(message, "task"),
            thread=_glob(message, "thread"),
            limit=max(1, min(field(message, "limit", int, STACKS), MAX_STACKS)),
            redaction=policy.redaction,
        )
        return {"type": "stacks", "re": message["id"], **look.to_wire()}

    def _collect(self, sender: bytes, message: Message) -> Message:
        probe_ids, trace_ids = _ids(message, "probe_ids"), _ids(message, "trace_ids")
        if field(message, "open", bool, False):
            return self._show(sender, message, self._recording(probe_ids, trace_ids))
        traces = self._held.finished(probe_ids, trace_ids)
        operator = message.get("operator")
        for trace in traces:
            self._post.deliver(trace, sender, self._roster.now(), again=True)
        if traces:
            by = name(operator, "operator") if isinstance(operator, str) else "?"
            journal.audit("collected traces=%s operator=%s", ",".join(trace.trace_id for trace in traces), by)
        return {"type": "collected", "re": message["id"], "traces": [trace.to_wire() for trace in traces]}

    def _recording(self, probe_ids: list[str] | None, trace_ids: list[str] | None) -> list[Trace]:
        self._roster.stand()
        return self._held.recording(probe_ids, trace_ids)

    def _show(self, sender: bytes, message: Message, traces: list[Trace]) -> Message:
        """Send traces as they stand; they record on."""
        for trace in traces:
            self._post.show(trace, sender, self._roster.now())
            journal.audit("showed trace=%s while it records", trace.trace_id)
        return {
            "type": "collected",
            "re": message["id"],
            "open": True,
            "traces": [trace.to_wire() for trace in traces],
        }

    def _ack(self, _sender: bytes, message: Message) -> None:
        for trace_id in _ids(message, "trace_ids") or []:
            trace = self._held.forget(trace_id)
            if trace is not None:
                self._post.forget(trace_id)
                spool.take_back(self._endpoint.folder, trace)
                journal.audit(
                    "handed over trace=%s probe=%s operator=%s", trace_id, trace.probe_id, trace.operator
                )


def _request_id(message: Message) -> int | None:
    """Return the id to answer to, if there is a proper one."""
    found = message.get("id")
    return found if type(found) is int and 0 <= found < 1 << 63 else None


def _glob(message: Message, field_name: str) -> str | None:
    """Return a glob; None when the field is nil or missing: all."""
    found: str | None = field(message, field_name, str, None)
    if found is not None and len(found) > MAX_CHARACTERS:
        raise MessageError(f"{message['type']}: {field_name} must be at most {MAX_CHARACTERS} characters")
    return found


def _ids(message: Message, field_name: str) -> list[str] | None:
    """Return a list of ids; None when the field is nil or missing: all."""
    ids = field(message, field_name, list, None)
    if ids is None:
        return None
    if len(ids) > MAX_IDS or not all(type(entry) is str for entry in ids):
        raise MessageError(f"{message['type']}: {field_name} must be a list of at most {MAX_IDS} ids")
    return [an_id(entry) for entry in ids]
