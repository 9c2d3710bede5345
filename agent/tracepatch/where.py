"""The condition of --where: which of the tasks that begin are meant.

Concurrency: `Where.holds` runs on application threads, inside callbacks, and changes only the plain counters of its probe.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from inspect import CO_OPTIMIZED
from types import CodeType, FrameType
from typing import TYPE_CHECKING, Any

from . import pyversion
from .arrival import Arrival
from .codes import argument_names
from .conditions import Condition, ConditionFailed
from .kinds import kind_of
from .redaction import RedactionPolicy

if TYPE_CHECKING:
    from .probe import Probe
    from .resolve import Resolution

NamesOf = Callable[[CodeType, FrameType], Mapping[str, Any]]
"""Returns the values of the names that a condition is asked with; the frame has just begun and has run nothing."""


class Where:
    """A probe's condition, and what supplies its names."""

    __slots__ = ("_probe", "condition", "names_of")

    def __init__(self, probe: Probe, condition: Condition, names_of: NamesOf) -> None:
        self._probe = probe
        self.condition = condition
        self.names_of = names_of

    def holds(self, code: CodeType, frame: FrameType, arrival: Arrival | None) -> bool:
        """Tell whether the task that begins in a frame, or what enters there, is meant; count it where it is not."""
        probe = self._probe
        try:
            if self.condition.holds(self.names_of(code, frame) if arrival is None else arrival.names()):
                return True
        except ConditionFailed as failure:
            probe.where_errors += 1
            if probe.where_error is None:
                probe.where_error = failure.reason
            return False
        probe.where_false += 1
        return False


class Arguments:
    """The arguments of a call, by name."""

    __slots__ = ("_known", "_wanted")

    def __init__(self, wanted: Iterable[str]) -> None:
        self._wanted = frozenset(wanted)
        self._known: dict[int, tuple[CodeType, tuple[str, ...]]] = {}

    def __call__(self, code: CodeType, frame: FrameType) -> dict[str, Any]:
        known = self._known.get(id(code))
        if known is None:
            names = tuple(name for name in argument_names(code) if name in self._wanted)
            known = self._known[id(code)] = (code, names)
        if not known[1]:
            return {}
        values = frame.f_locals
        found = {name: values[name] for name in known[1] if name in values}
        if not pyversion.LIVE_LOCALS and code.co_flags & CO_OPTIMIZED:
            values.clear()  # the frame keeps this copy: what the function deletes would live on
        return found


def of_arguments(probe: Probe, resolution: Resolution, redaction: RedactionPolicy) -> Where | None:
    """Return what asks a probe's condition about the arguments of functions, None where it has none.

    Raises `ConditionError`, also for a name that no function has where no further one can come, and `Refused`.
    """
    if probe.options.where is None:
        return None
    condition = Condition(probe.options.where, "where", redaction=redaction)
    functions = [function for function in resolution.functions if function.reader is None]
    kinds = {kind_of(target) for target in probe.targets}
    if kinds != {None}:
        if len(kinds) == 1 and (kind := kinds.pop()) is not None and not kind.open_names:
            condition.expression.check_names(kind.known, f"what is known of {kind.called} when it begins")
    elif functions and not resolution.waits_for_import:
        known = dict.fromkeys(name for function in functions for name in argument_names(function.code))
        first = functions[0]
        what = f"{first.module}:{first.name}" if len(functions) == 1 else f"the {len(functions)} functions"
        condition.expression.check_names(known, f"the arguments of {what}")
    return Where(probe, condition, Arguments(condition.expression.arguments))
