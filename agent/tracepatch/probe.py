"""One armed request in this process: its checked options, its counters, its deadlines.

Concurrency: `permits`, `slots`, `seen`, `passed_over`, `where_...` and `errors` are touched by application threads inside
callbacks, without a lock; `deque.pop` and `append` are atomic, so never more tasks start than were permitted. `+=` on
the plain counters is not: two threads may lose one of two counts, which is accepted for numbers that only inform.
All else belongs to the agent thread.
"""

from __future__ import annotations

import re
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any, Final

from tracepatch_shared.errors import MessageError
from tracepatch_shared.limits import (
    Capture,
    Limits,
    capture_from_wire,
    limits_from_wire,
)
from tracepatch_shared.messages import field as checked
from tracepatch_shared.text import duration, size

from .admission import Admission
from .choosing import Choice, choice_from_wire, fitted
from .keeping import NOTHING, Keep
from .policy import DEFAULT, Policy, over

MAX_TARGETS_GIVEN: Final = 20
MAX_GLOBS: Final = 100
MAX_CHARACTERS: Final = 1000
"""Characters of one target or glob."""
MAX_NAME: Final = 200
"""Characters of an operator's name or a tag."""
MIN_LEASE_S: Final = 0.5

_ID = re.compile(r"[0-9a-f]{8}")


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the controller asked for, checked and within the ceilings."""

    probe_id: str
    targets: tuple[str, ...]
    count: int
    ttl_s: float
    lease_s: float | None
    """Seconds that the probe lives without renewal; None: detached."""
    live: bool
    operator: str
    force: bool
    limits: Limits
    capture: Capture
    scope: dict[str, Any]
    """`all` (bool) and the tuples of globs `lib`, `only`, `skip`."""
    args: bool
    threads: bool
    """Threads and pools' work that a task starts are followed, although they do not take its Context along."""
    tag: str | None
    mode: str = "safe"
    """How values are captured: `safe`, or `repr` where the policy allows it."""
    where: str | None = None
    """The condition that a task has to meet when it starts."""
    choice: Choice = field(default_factory=Choice)
    lowered: tuple[str, ...] = ()
    """A sentence for each option that a ceiling lowered."""
    raised: tuple[str, ...] = ()
    """A sentence for each limit that was raised so that the keep-condition can hold."""


def options_from_wire(wire: object, policy: Policy = DEFAULT) -> Options:
    """Return the options of a PROBE map within the policy; raise `MessageError` for a malformed one."""
    if not isinstance(wire, dict):
        raise MessageError(f"arm: field 'probe' must be a map, not {type(wire).__name__}")
    ceilings = policy.ceilings
    probe, lowered = policy.clipped({"type": "arm", **wire})
    count = checked(probe, "count", int)
    if count < 1:
        raise MessageError(f"arm: count must be at least 1, not {count}")
    if count > ceilings.count:
        lowered.append(over("count", count, ceilings.count))
        count = ceilings.count
    ttl_s = _seconds(probe, "ttl_s")
    if ttl_s > ceilings.ttl_s:
        lowered.append(over("ttl", duration(min(ttl_s, 1e9) * 1e9), duration(ceilings.ttl_s * 1e9)))
        ttl_s = ceilings.ttl_s
    lease_s = (
        None if probe.get("lease_s") is None else max(MIN_LEASE_S, min(_seconds(probe, "lease_s"), ttl_s))
    )
    limits, lower = limits_from_wire(probe.get("limits") or {}, ceilings.limits)
    lowered += lower
    capture, lower = capture_from_wire(probe.get("capture") or {}, ceilings.capture)
    lowered += lower
    choice = choice_from_wire(probe)
    limits, raised = fitted(limits, probe.get("limits"), choice, ttl_s, ceilings.limits)
    targets = _texts(probe, "targets", most=MAX_TARGETS_GIVEN)
    if not targets:
        raise MessageError("arm: a probe needs at least one target")
    scope = checked(probe, "scope", dict, None) or {}
    return Options(
        probe_id=an_id(checked(probe, "probe_id", str)),
        targets=targets,
        count=count,
        ttl_s=ttl_s,
        lease_s=lease_s,
        live=checked(probe, "live", bool, False),
        operator=name(checked(probe, "operator", str), "operator"),
        force=checked(probe, "force", bool, False),
        limits=limits,
        capture=capture,
        scope={
            "all": checked({"type": "scope", **scope}, "all", bool, False),
            **{
                part: _texts({"type": "scope", **scope}, part, most=MAX_GLOBS)
                for part in ("lib", "only", "skip")
            },
        },
        args=checked(probe, "args", bool, True),
        threads=checked(probe, "threads", bool, False),
        tag=None if probe.get("tag") is None else name(checked(probe, "tag", str), "tag"),
        mode=_mode(probe),
        where=_condition(probe, "where"),
        choice=choice,
        lowered=tuple(lowered),
        raised=tuple(raised),
    )


@dataclass(eq=False)
class Probe:
    """A live probe."""

    options: Options
    packages: tuple[str, ...] = ()
    """What `start(packages=...)` named: application code for the scope of recording."""
    armed_at: float = field(default_factory=time.time)
    """Unix seconds."""
    expires_s: float = 0.0
    """Monotonic seconds at which the ttl is over."""
    lease_until_s: float | None = None
    """Monotonic seconds at which the lease is over; None: detached."""
    receiver: bytes | None = None
    """Who gets the probe's events: the controller that armed or renewed it last."""
    matched_total: int = 0
    notes: tuple[str, ...] = ()
    """Sentences on what cannot be recorded, as far as it is known when it is armed."""
    answer: dict[str, Any] = field(default_factory=dict)
    """What `arm` was answered, for a controller that asks again."""
    count: int = 0
    """Traces permitted over the probe's whole life; `extend` raises it."""
    finished: int = 0
    """Traces that ended."""
    others_share: float = 0.0
    """The largest part of a core that recording cost others while the probe lived."""
    waits_for_import: bool = False
    """Whether a module that is not loaded yet may match."""
    ended: bool = False
    """Triggers that still fire do nothing."""

    def __post_init__(self) -> None:
        options = self.options
        self.probe_id = options.probe_id
        self.targets = options.targets
        self.limits = options.limits
        self.capture = options.capture
        self.scope = options.scope
        self.args = options.args
        self.threads = options.threads
        self.operator = options.operator
        self.tag = options.tag
        self.live = options.live
        choice = options.choice
        self.keep: Keep | None = None
        """Decides which traces are kept; given by `Tracing.arm`."""
        self.admission = (
            None
            if choice.sample == 1 and choice.rate is None
            else Admission(sample=choice.sample, rate=choice.rate)
        )
        self.count = options.count
        self.permits: deque[None] = deque([None] * options.count)
        """As many entries as tasks may still begin; `pop()` takes one. With a keep-condition: as may still be kept."""
        self.slots: deque[None] = deque([None] * options.limits.concurrent)
        """As many entries as traces may begin to record now; put back when one ends."""
        self.seen = 0
        self.unmatched = 0
        """What entered and no target of the probe names."""
        self.throttled = 0
        """Tasks that came while the budget of that second was used up."""
        self.other_traces = 0
        """Tasks that belong to no distributed trace, or to another one than was asked for."""
        self.passed_over = 0
        self.kept = 0  # counted by Tracing; `finished` is the agent thread's own count
        self.errors = 0
        self.where_false = 0
        self.where_errors = 0
        self.where_error: str | None = None
        """Why the condition could not be evaluated on the first of these."""

    def start_clocks(self, now_s: float) -> None:
        """Begin ttl and lease."""
        self.expires_s = now_s + self.options.ttl_s
        self.renew(now_s)

    def renew(self, now_s: float) -> None:
        """Let the lease begin again; a detached probe has none."""
        if self.options.lease_s is not None:
            self.lease_until_s = now_s + self.options.lease_s

    def extend(self, now_s: float, *, ttl_s: float | None, count: int | None) -> None:
        """Let the probe live `ttl_s` from now and keep `count` traces in all, where that is more."""
        if ttl_s is not None:
            self.expires_s = max(self.expires_s, now_s + ttl_s)
        if count is not None:
            more = max(0, count - self.count)
            self.count += more
            self.permits.extend([None] * more)

    @property
    def due_s(self) -> float:
        """Monotonic seconds at which ttl or lease ends, whichever is first."""
        return self.expires_s if self.lease_until_s is None else min(self.expires_s, self.lease_until_s)

    @property
    def recording(self) -> int:
        """Traces that record now."""
        return max(0, self.limits.concurrent - len(self.slots))

    def counters(self, now_s: float, *, held: int, held_bytes: int) -> dict[str, Any]:
        """Return COUNTERS; `held` finished traces with `held_bytes` wait for an acknowledgement."""
        return {
            "probe_id": self.probe_id,
            "targets": list(self.targets),
            "operator": self.operator,
            "tag": self.tag,
            "detached": self.options.lease_s is None,
            "armed_at": self.armed_at,
            "expires_in_s": round(max(0.0, self.expires_s - now_s), 3),
            "count": self.count,
            "seen": self.seen,
            "passed_over": self.passed_over,
            "kept": self.finished,
            "live": self.recording,
            "finished": held,
            "held_bytes": held_bytes,
            "matched_total": self.matched_total,
            "errors": self.errors,
            "where": self.options.where,
            "where_false": self.where_false,
            "where_errors": self.where_errors,
            "where_error": self.where_error,
            **self._choice(),
        }

    def _choice(self) -> dict[str, Any]:
        """Return the counters of what chooses among the tasks that match."""
        admission = self.admission
        return {
            "sampled_out": 0 if admission is None else admission.sampled_out,
            "throttled": self.throttled,
            "unmatched": self.unmatched,
            "other_traces": self.other_traces,
            "rate_limited": 0 if admission is None else admission.rate_limited,
            **(NOTHING if self.keep is None else self.keep.counters()),
        }


REASONS: Final = {
    "count": ("all {count} traces asked for have come", "-n"),
    "ttl": ("its time of {ttl} is over", "--ttl"),
    "lease": ("its controller was not heard for {lease}", None),
    "disarm": ("it was disarmed", None),
    "full": ("traces that nobody collected fill the {total} allowed: collect them, then arm again", None),
    "budget": ("recording cost other work more than the {budget} of a core allowed", "--budget"),
    "policy": ("the policy of this process ended it", None),
    "memory": ("the process has too little memory left", "--max-bytes"),
    "off": ("the kill switch was turned on", None),
    "internal": ("tracepatch has a bug here and disarmed everything: please report the log's text", None),
    "process-exit": ("the process ends", None),
    "conflict": ("another tool took what tracing needs", None),
}
"""Why a probe ends: the sentence for people, and the option that raises the limit."""


def sentence(probe: Probe, reason: str) -> tuple[str, str | None]:
    """Return the sentence and the option for the end of a probe."""
    text, option = REASONS[reason]
    lease_s = probe.options.lease_s or 0.0
    return (
        text.format(
            count=probe.count,
            ttl=duration((probe.options.ttl_s) * 1e9),
            lease=duration(lease_s * 1e9),
            total=size(probe.limits.total_bytes),
            budget=f"{probe.limits.budget:.0%}",
        ),
        option,
    )


def an_id(text: str) -> str:
    """Return a probe or trace id, or raise `MessageError`."""
    if not _ID.fullmatch(text):
        raise MessageError(f"an id must be 8 lower-case hex digits, not {text[:40]!r}")
    return text


def name(text: str, what: str) -> str:
    """Return a name that may stand in a log line: printable and short."""
    if not text or len(text) > MAX_NAME or not text.isprintable():
        raise MessageError(f"{what} must be 1 to {MAX_NAME} printable characters, not {text[:40]!r}")
    return text


def _seconds(message: dict[str, Any], field_name: str) -> float:
    value = checked(message, field_name, (int, float))
    if not 0 < value < float("inf"):
        raise MessageError(
            f"{message['type']}: {field_name} must be a positive number of seconds, not {value!r}"
        )
    return float(value)


def _mode(message: dict[str, Any]) -> str:
    mode: str = checked(message, "mode", str, "safe")
    if mode not in ("safe", "repr"):
        raise MessageError(f"arm: mode must be safe or repr, not {mode[:20]!r}")
    return mode


def _condition(message: dict[str, Any], field_name: str) -> str | None:
    text: str | None = checked(message, field_name, str, None)
    if text is not None and (not text or len(text) > MAX_CHARACTERS):
        raise MessageError(f"{message['type']}: {field_name} must be 1 to {MAX_CHARACTERS} characters")
    return text


def _texts(message: dict[str, Any], field_name: str, *, most: int) -> tuple[str, ...]:
    texts = checked(message, field_name, list, None) or []
    if len(texts) > most:
        raise MessageError(f"{message['type']}: {len(texts)} {field_name} are more than the {most} allowed")
    for text in texts:
        if type(text) is not str or not text or len(text) > MAX_CHARACTERS or not text.isprintable():
            raise MessageError(
                f"{message['type']}: {field_name} must be 1 to {MAX_CHARACTERS} printable characters each"
            )
    return tuple(texts)
