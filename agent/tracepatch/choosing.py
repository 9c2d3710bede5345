"""How a probe chooses among the tasks that match: `--keep`, `--having`, `--sample`, `--rate`, checked as they come from a controller."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

from tracepatch_shared.conditions import Expression, parse
from tracepatch_shared.errors import MessageError, NoRoom, UsageError
from tracepatch_shared.having import Having, several
from tracepatch_shared.limits import CEILINGS, KEEP_CONCURRENT, MAX_RATE, MAX_SAMPLE, Limits
from tracepatch_shared.messages import field as checked
from tracepatch_shared.text import duration
from tracepatch_shared.thresholds import least_s, measures
from tracepatch_shared.traceparent import trace_id_of

MAX_CHARACTERS: Final = 2000
"""Of one call that has to occur, with its condition."""
ROOM: Final = 1.25
"""A recording that has to reach a duration may take so many times as long."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What was asked for."""

    keep: Expression | None = None
    """Decides at the end of a task whether its trace is kept; None: it is."""
    having: tuple[Having, ...] = ()
    """Calls that have to occur in a trace that is kept, each of them."""
    traceparent: str | None = None
    """Only tasks of the distributed trace with this id."""
    sample: int = 1
    """Of the tasks that match every so many-th, on average, is recorded."""
    rate: float | None = None
    """So many recordings begin in a second at the most."""

    @property
    def decides(self) -> bool:
        """It is known at the end of a task only whether its trace is kept."""
        return self.keep is not None or bool(self.having)

    def to_wire(self) -> dict[str, Any]:
        """Return what `armed` repeats: an agent that does not know an option cannot."""
        keep = None if self.keep is None else self.keep.text
        having = [one.text for one in self.having] or None
        return {
            "keep": keep,
            "having": having,
            "traceparent": self.traceparent,
            "sample": self.sample,
            "rate": self.rate,
        }


def choice_from_wire(probe: dict[str, Any]) -> Choice:
    """Return the choice in a PROBE map; raise `MessageError`, or `ConditionError` for a condition that means nothing."""
    text = checked(probe, "keep", str, None)
    traceparent = checked(probe, "traceparent", str, None)
    sample = checked(probe, "sample", int, None)
    rate = checked(probe, "rate", (int, float), None)
    if sample is not None and not 1 <= sample <= MAX_SAMPLE:
        raise MessageError(f"arm: sample must be 1 to {MAX_SAMPLE}, not {sample}")
    if rate is not None and not 0 < rate <= MAX_RATE:
        raise MessageError(f"arm: rate must be more than 0 and at most {MAX_RATE} a second, not {rate!r}")
    keep = None if text is None else parse(text, kind="keep")
    having = tuple(several(texts_of(probe, "having")))
    if (keep is not None or having) and checked(probe, "live", bool, False):
        raise UsageError(
            "--live shows a trace while it grows, and with --keep or --having it is known at its end that it is one: "
            "leave one out"
        )
    if keep is not None and not checked(probe, "args", bool, True) and measures(keep) & {"arg", "returned"}:
        raise UsageError("with --no-args no value is recorded, so --keep cannot look at arg.NAME or returned")
    return Choice(
        keep=keep,
        having=having,
        traceparent=None if traceparent is None else trace_id_of(traceparent),
        sample=1 if sample is None else sample,
        rate=None if rate is None else float(rate),
    )


def texts_of(probe: dict[str, Any], field_name: str) -> list[str]:
    """Return a list of texts, empty where it is missing; raise `MessageError`."""
    texts: list[Any] = checked(probe, field_name, list, None) or []
    if not all(type(text) is str and 0 < len(text) <= MAX_CHARACTERS for text in texts):
        raise MessageError(f"arm: {field_name} must be texts of 1 to {MAX_CHARACTERS} characters")
    return texts


def fitted(
    limits: Limits, given: object, choice: Choice, ttl_s: float, ceilings: Limits = CEILINGS
) -> tuple[Limits, list[str]]:
    """Return limits under which the condition can hold, and a sentence for each that was raised for it.

    `given` is the map of limits as it was asked for. Raise `NoRoom` where the ceilings do not allow for it.
    """
    if not choice.decides:
        return limits, []
    if not (isinstance(given, dict) and "concurrent" in given):
        limits = replace(limits, concurrent=min(KEEP_CONCURRENT, ceilings.concurrent))
    if choice.keep is None:
        return limits, []
    least = least_s(choice.keep)
    said: list[str] = []
    if least >= ttl_s:
        raise NoRoom(
            f"no task can take {duration(least * 1e9)} within the {duration(ttl_s * 1e9)} for which the probe lives: "
            "raise --ttl"
        )
    if least >= limits.max_duration_s:
        if least >= ceilings.max_duration_s:
            raise NoRoom(
                f"a trace records for {duration(ceilings.max_duration_s * 1e9)} at the most here, so none is seen to take "
                f"{duration(least * 1e9)}: ask for less"
            )
        raised = min(least * ROOM, ceilings.max_duration_s)
        limits = replace(limits, max_duration_s=raised)
        said.append(
            f"max_duration_s is raised to {duration(raised * 1e9)}, or nothing could take {duration(least * 1e9)}"
        )
    return limits, said
