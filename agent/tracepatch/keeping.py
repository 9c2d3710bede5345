"""Which traces are kept: a probe with a keep-condition records candidates, and decides when they end.

    application thread:  Candidate ──▶ events (deque)      as any recording, plus which exceptions were raised
    agent thread:        events wait ──▶ the candidate ends ──▶ Keep.decides ──▶ packed and sent, or forgotten

Nothing of a candidate leaves the process before it is kept. Its events wait as they are, since most candidates are
dropped and packing would be for nothing; those of a large one are packed and wait packed, because tuples weigh about
eight times as much. The condition is evaluated by the agent thread on data that was captured, never by the application's.

Permits count kept traces: one is taken when a candidate is kept, so with `-n 1` as many candidates may record side by
side as there are slots. One that ends when no permit is left is dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from tracepatch_shared.conditions import Expression
from tracepatch_shared.records import CALL, RAISE, RESUME, RETURN, SUSPEND
from tracepatch_shared.thresholds import Threshold, measures, parts, thresholds

from .codes import argument_names
from .conditions import Condition, ConditionFailed
from .having import Calls
from .objects import Plan, class_module, mro_of, name_text, plan_of, qualname_of
from .recording import Recording
from .redaction import RedactionPolicy
from .runners import Event, Node
from .thawing import thawed

if TYPE_CHECKING:
    from .choosing import Choice
    from .resolve import Function, Resolution

POSTPONED_BYTES = 1 << 20
"""Events of one candidate that wait unpacked weigh at most about this, about 2 500 calls."""
UNDECIDED = 64
"""Candidates that have ended and wait for the decision before they go on to occupy their slots."""
UNDECIDED_BYTES = 4 << 20
"""The same for what they weigh."""


class Candidate(Recording):
    """The recording of a task whose trace is not known to be kept."""

    __slots__ = ("_plans", "_press", "occurred", "raises")

    decided = True

    def __init__(self, *, press: Callable[[], None], **options: Any) -> None:
        """`press` wakes the agent thread for events that have become too many to wait unpacked; `wake` only asks to."""
        super().__init__(**options)
        self.raises: set[str] = set()
        """Names of the types of exceptions that have left a recorded call."""
        self.occurred: set[int] = set()
        """Numbers of the calls that have to occur and did (`having`)."""
        self._plans: dict[str, Plan] = {}
        self._press = press

    def raised(self, exception: BaseException) -> tuple[str, Any]:
        found = super().raised(exception)
        if found[0] not in self._plans:
            self._plans[found[0]] = plan_of(exception)
        return found

    def leave_raised(self, frame_id: int, raised: tuple[str, Any]) -> Node | None:
        if frame_id in self.open:
            self.raises.add(raised[0])
        return super().leave_raised(frame_id, raised)

    def raised_types(self) -> list[str]:
        """Return the types of exceptions that were recorded, and their base classes, as `module:qualname`."""
        found: dict[str, None] = {}
        for name in list(self.raises):
            plan = self._plans.get(name)
            cls = None if plan is None else plan.cls()
            if cls is None:
                found[":".join(name.rpartition(".")[::2])] = None
            else:
                bases = [base for base in mro_of(cls) if base is not object]
                found.update(
                    (f"{name_text(class_module(base))}:{name_text(qualname_of(base))}", None)
                    for base in bases
                )
        return list(found)

    def _weigh(self) -> bool:
        over = super()._weigh()
        if self.held_bytes > POSTPONED_BYTES:
            self._press()
        return over

    def forget(self) -> None:
        super().forget()
        self._plans.clear()


class Account:
    """What is known of a candidate's root, from its events."""

    __slots__ = ("_arguments", "_began_ns", "_end", "_suspended_ns", "_suspended_since", "_suspensions")

    def __init__(self, used: frozenset[str]) -> None:
        self._suspensions = bool(used & {"running", "waiting"})
        """They matter as well, not only the beginning and the end."""
        self._began_ns = 0
        self._end: Event | None = None
        self._arguments: list[Any] = []
        self._suspended_ns = 0
        self._suspended_since = 0

    def look(self, recording: Recording, events: Iterable[Event]) -> None:
        """Take note of events that are about to be packed."""
        root = recording.first_root
        for event in events:
            self._note(event, root)

    def close(self, recording: Recording) -> None:
        """Take note of those that wait in a recording that is done; only of those that matter, most are dropped."""
        root = recording.first_root
        events = recording.events.noted if recording.native else list(recording.events)
        for event in events:
            self._note(event, root)
            if self._began_ns and not self._suspensions:
                break
        if root is not None and recording.open.get(root.frame_id) is not root:
            for event in reversed(events):
                if self._end is not None:
                    break
                self._note(event, root)

    def _note(self, event: Event, root: Node | None) -> None:
        kind = event[0]
        if kind == CALL:
            if event[3] is root and not self._began_ns:
                self._began_ns = event[2]
                # A copy: the writer puts references to texts into the event's own list.
                self._arguments = list(event[4] or ())
        elif kind in (RETURN, RAISE):
            if event[3] is root:
                self._end = event
        elif self._suspensions and root is not None and event[1] is root.runner:
            if kind == SUSPEND:
                self._suspended_since = event[2]
            elif kind == RESUME and self._suspended_since:
                self._suspended_ns += event[2] - self._suspended_since
                self._suspended_since = 0

    def names(self, recording: Candidate) -> dict[str, Any]:
        """Return the measures of a candidate that is done, times in seconds."""
        root, end = recording.first_root, self._end
        error = end is not None and end[0] == RAISE
        returned = None if end is None or error else end[4]
        ended_ns = recording.ended_ns if end is None or recording.response is not None else end[2]
        began_ns = self._began_ns or recording.started_ns
        total = max(0, ended_ns - began_ns)
        waiting = self._suspended_ns
        if self._suspended_since:
            waiting += max(0, ended_ns - self._suspended_since)
        duration, status, route = total, None, None
        response = recording.response
        if response is not None:
            status, route = response.status, response.route
            error = error or response.failed
            if response.ended_ns:
                duration = max(0, response.ended_ns - began_ns)
        given = () if root is None else zip(root.entry.arguments, self._arguments, strict=False)
        return {
            "duration": duration / 1e9,
            "total": total / 1e9,
            "running": (total - waiting) / 1e9,
            "waiting": waiting / 1e9,
            "error": error,
            "http_status": status,
            "route": route,
            "returned": thawed(returned),
            "calls": recording.calls,
            "arg": {name: thawed(value) for name, value in given},
            "raised": recording.raised_types(),
        }


NOTHING: Final[dict[str, Any]] = {
    "keep": None,
    "not_kept": 0,
    "keep_errors": 0,
    "keep_error": None,
    "nearest": None,
    "missed": [],
    "having": [],
    "having_missed": 0,
    "having_errors": 0,
    "having_error": None,
}
"""The counters of a probe that keeps all."""


class Part:
    """One of the conditions that must all hold, and the candidates that it alone has kept out."""

    __slots__ = ("_threshold", "condition", "count", "nearest")

    def __init__(self, expression: Expression, redaction: RedactionPolicy) -> None:
        self.condition = Condition(expression.text, "keep", redaction=redaction)
        found = thresholds(expression)
        self._threshold = found[0] if len(found) == 1 else None
        self.count = 0
        self.nearest: float | None = None

    def holds(self, names: Mapping[str, Any]) -> bool:
        """Tell whether it holds; what cannot be said counts as not."""
        try:
            return self.condition.holds(names)
        except ConditionFailed:
            return False

    def miss(self, names: Mapping[str, Any]) -> None:
        """Count a candidate that meets all others."""
        self.count += 1
        self.nearest = _nearer(self._threshold, self.nearest, names)

    def to_wire(self) -> dict[str, Any]:
        text = self.condition.expression.text
        return {"part": text, "count": self.count, "nearest": _miss(self._threshold, self.nearest)}


def _nearer(threshold: Threshold | None, known: float | None, names: Mapping[str, Any]) -> float | None:
    """Return the value of a threshold's measure that is nearer to it: the one that is known, or a candidate's."""
    value = None if threshold is None else names[threshold.measure]
    if threshold is None or (type(value) is not int and type(value) is not float):
        return known
    nearer = known is None or (value > known if threshold.least else value < known)
    return float(value) if nearer else known


def _miss(threshold: Threshold | None, nearest: float | None) -> dict[str, Any] | None:
    if threshold is None or nearest is None:
        return None
    return {"measure": threshold.measure, "least": threshold.least, "value": nearest}


class Keep:
    """The keep-condition of one probe, the calls that have to occur, and what became of its candidates (agent thread)."""

    def __init__(self, expression: Expression | None, redaction: RedactionPolicy, calls: Calls) -> None:
        """Raise `Refused` where the condition asks for what is redacted."""
        self.used = frozenset() if expression is None else measures(expression)
        """The measures that it names."""
        self.calls = calls
        self.having_missed = 0
        """Candidates in which not all calls occurred that have to; the condition was not asked of them."""
        self.not_kept = 0
        self.errors = 0
        self.error: str | None = None
        """One sample of why the condition could not be evaluated."""
        self._condition = (
            None if expression is None else Condition(expression.text, "keep", redaction=redaction)
        )
        self._threshold = None if expression is None else next(iter(thresholds(expression)), None)
        self._nearest: float | None = None
        self._parts = [] if expression is None else [Part(part, redaction) for part in parts(expression)]

    def account(self) -> Account:
        """Return what is to be fed with a new candidate's events."""
        return Account(self.used)

    def decides(self, names: Mapping[str, Any], occurred: int, *, permitted: bool) -> bool:
        """Return whether a candidate is kept, and count it otherwise; without a permit it is not looked at.

        `occurred` is how many of the calls did that have to.
        """
        if permitted and occurred < len(self.calls):
            self.having_missed += 1
        elif permitted:
            try:
                if self._condition is None or self._condition.holds(names):
                    return True
            except ConditionFailed as failure:
                self.errors += 1
                self.error = self.error or failure.reason
            self._missed(names)
        self.not_kept += 1
        return False

    def _missed(self, names: Mapping[str, Any]) -> None:
        self._nearest = _nearer(self._threshold, self._nearest, names)
        if len(self._parts) > 1:
            missed = [part for part in self._parts if not part.holds(names)]
            if len(missed) == 1:
                missed[0].miss(names)

    def counters(self) -> dict[str, Any]:
        """Return its part of COUNTERS."""
        return {
            "keep": None if self._condition is None else self._condition.expression.text,
            "not_kept": self.not_kept,
            "keep_errors": self.errors,
            "keep_error": self.error,
            "nearest": _miss(self._threshold, self._nearest),
            "missed": [part.to_wire() for part in self._parts] if len(self._parts) > 1 else [],
            "having": self.calls.texts,
            "having_missed": self.having_missed,
            "having_errors": self.calls.errors,
            "having_error": self.calls.error,
        }


def keep_of(
    choice: Choice,
    resolution: Resolution,
    redaction: RedactionPolicy,
    why_not: Callable[[Function, bool], str | None] = lambda _function, _values: None,
) -> Keep | None:
    """Return what decides for a probe, None where it keeps all.

    Raises `ConditionError` for an argument that none of the functions has, where no further one can come, and `Refused`.
    """
    expression = choice.keep
    if not choice.decides:
        return None
    keep = Keep(expression, redaction, Calls(choice.having, redaction, why_not))
    functions = resolution.functions
    later = any(function.reader is not None and function.reader.announces for function in functions)
    if expression is not None and functions and not later and not resolution.waits_for_import:
        known = dict.fromkeys(name for function in functions for name in argument_names(function.code))
        first = functions[0]
        what = f"{first.module}:{first.name}" if len(functions) == 1 else f"the {len(functions)} functions"
        expression.check_names(known, f"the arguments of {what}")
    return keep
