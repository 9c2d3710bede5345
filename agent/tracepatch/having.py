"""The calls that have to occur in a trace for it to be kept: `--having app.auth:load_user(user_id == 42)`.

Whether one occurs is asked where a candidate is told that a frame begins, before anything decides whether that call is
recorded: it is known also of a call inside a library, of one that is too deep or is skipped, and of one that comes when
no further ones are recorded. While nothing is recorded these functions cost nothing.

Concurrency: calls are asked on application threads inside callbacks, without a lock: what they change are sets and plain
counters. Resolved by the agent thread, and by one that imports.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from time import perf_counter_ns
from types import CodeType, FrameType, ModuleType
from typing import TYPE_CHECKING, Any, Final

from tracepatch_shared.errors import Forbidden, NotTraceable
from tracepatch_shared.having import Having

from . import pyversion
from .codes import Entry, argument_names
from .conditions import Condition, ConditionFailed
from .redaction import RedactionPolicy
from .resolve import Function, Resolution, module_matters, original_of, resolve

if TYPE_CHECKING:
    from .keeping import Candidate

MAX_SHOWN: Final = 5
"""Names that look alike, of one call."""

_SNAPSHOT = pyversion.MONITORING and not pyversion.LIVE_LOCALS
"""`f_locals` is a copy that the frame keeps (3.12); in a trace hook the interpreter needs it in any case."""


class Call:
    """One call that is asked for."""

    __slots__ = ("_condition", "having", "names", "number", "resolution")

    def __init__(self, number: int, having: Having, redaction: RedactionPolicy) -> None:
        """Raise `ConditionError` for a name that no such function has, `NotTraceable`, and `Refused`."""
        self.number = number
        self.having = having
        self.resolution: Resolution = resolve([having.target])
        functions, waits = self.resolution.functions, self.resolution.waits_for_import
        if not functions and self.resolution.refused and not waits:
            name, why = self.resolution.refused[0]
            raise NotTraceable(f"--having: calls of {name} cannot be seen: {why}")
        self._condition: Condition | None = None
        self.names: frozenset[str] = frozenset()
        if having.condition is not None:
            self._condition = Condition(having.condition.text, "where", redaction=redaction)
            expression = self._condition.expression
            self.names = frozenset(expression.arguments)
            if functions and not waits:
                known = dict.fromkeys(name for one in functions for name in argument_names(one.code))
                expression.check_names(known, f"the arguments of {having.target.text}")

    def holds(self, entry: Entry, frame: FrameType) -> bool:
        """Tell whether the call that begins in a frame is one; raise `ConditionFailed`."""
        if self._condition is None:
            return True
        names = [name for name in entry.arguments if name in self.names]
        if not names:
            return self._condition.holds({})
        values = frame.f_locals
        given = {name: values[name] for name in names if name in values}
        if _SNAPSHOT and entry.optimized:
            values.clear()  # what the function deletes would live on
        return self._condition.holds(given)


def _uncounted(_began_ns: int) -> None:
    """Not armed yet."""


class Calls:
    """All the calls that a probe asks for: each has to occur."""

    def __init__(
        self,
        asked: Sequence[Having],
        redaction: RedactionPolicy,
        why_not: Callable[[Function, bool], str | None] = lambda _function, _values: None,
    ) -> None:
        """`why_not` tells why nobody may ask about calls of a function, or about the values that they are given.

        Raise `Forbidden` where that leaves nothing of what is asked for.
        """
        self._why_not = why_not
        self.errors = 0
        """Calls of which it could not be said."""
        self.error: str | None = None
        """Why not, on the first of these."""
        self.missed: Callable[[int], None] = _uncounted
        """Told what looking at a call has taken since then."""
        self._calls = [Call(number, having, redaction) for number, having in enumerate(asked)]
        self._by_code: dict[int, tuple[CodeType, list[Call]]] = {}
        for call in self._calls:
            functions = call.resolution.functions
            if functions and not self._take(call, functions):
                first = functions[0]
                why = why_not(first, call.having.condition is not None)
                raise Forbidden(f"--having: calls of {first.module}:{first.name} cannot be asked for: {why}")

    @property
    def texts(self) -> list[str]:
        """Return them as they were asked for."""
        return [call.having.text for call in self._calls]

    def __len__(self) -> int:
        return len(self._calls)

    @property
    def waits_for_import(self) -> bool:
        """A module that is not loaded yet could bring one of them."""
        return any(call.resolution.waits_for_import for call in self._calls)

    def _take(self, call: Call, functions: Iterable[Function]) -> list[CodeType]:
        taken = []
        for function in functions:
            if self._why_not(function, call.having.condition is not None) is not None:
                continue
            calls = self._by_code.setdefault(id(function.code), (function.code, []))[1]
            if call not in calls:
                calls.append(call)
                taken.append(function.code)
        return taken

    def loaded(self, name: str, module: ModuleType, entry_of: Callable[[int], Entry | None]) -> None:
        """A module was imported: take what matches in it; `entry_of` finds what a trace has met already."""
        for call in self._calls:
            if module_matters([call.having.target], name):
                found = resolve([call.having.target], modules={name: module})
                for code in self._take(call, found.functions):
                    entry = entry_of(id(code))
                    if entry is not None:
                        self.prepare(entry)

    def prepare(self, entry: Entry) -> None:
        """Have a trace ask about the calls of this code, if it is one of these functions'."""
        if id(original_of(entry.code)) in self._by_code:
            entry.occurs = self.occurs
            entry.simple = entry.plain = False

    def occurs(self, candidate: Candidate, entry: Entry, frame: FrameType) -> None:
        """A call begins in this candidate."""
        for call in self._by_code[id(original_of(entry.code))][1]:
            if call.number not in candidate.occurred:
                began_ns = perf_counter_ns()
                try:
                    if call.holds(entry, frame):
                        candidate.occurred.add(call.number)
                except ConditionFailed as failure:
                    self.errors += 1
                    if self.error is None:
                        self.error = failure.reason
                self.missed(began_ns)

    def to_wire(self) -> list[dict[str, Any]]:
        """Return what `armed` says of each: how many functions it matches now, and names that look alike."""
        return [
            {
                "having": call.having.text,
                "matched_total": call.resolution.total,
                "near": call.resolution.near[:MAX_SHOWN],
                "waits_for_import": call.resolution.waits_for_import,
            }
            for call in self._calls
        ]
