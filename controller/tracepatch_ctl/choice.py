"""How an armed probe chooses among the tasks that match, what became of the others, and what to try next.

`--slower-than D` and `--errors` are short for conditions; several conditions are joined by `and`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import floor, log10
from typing import Any

from tracepatch_shared.conditions import parse
from tracepatch_shared.errors import UsageError
from tracepatch_shared.having import parse_having, several
from tracepatch_shared.limits import (
    ATTACHED_TTL_S,
    CEILINGS,
    KEEP_CONCURRENT,
    MAX_RATE,
    MAX_SAMPLE,
    MAX_TTL_S,
    Limits,
)
from tracepatch_shared.text import duration
from tracepatch_shared.thresholds import TIMES, conjuncts, least_s, thresholds
from tracepatch_shared.traceparent import trace_id_of

from .reports import Counters, Missed, Nearest

OPTIONS = {
    "keep": "--keep",
    "having": "--having",
    "traceparent": "--traceparent",
    "sample": "--sample",
    "rate": "--rate",
    "mode": "--capture mode=repr",
}
"""What an agent has to say that it obeys, and by which option it was asked for."""


@dataclass(frozen=True, kw_only=True)
class Tally:
    """What became of the tasks that matched and were not passed over, over all agents of a session."""

    sampled_out: int = 0
    rate_limited: int = 0
    throttled: int = 0
    """They came while the budget of that second was used up."""
    unmatched: int = 0
    """Requests, jobs, tasks and threads that no target names; they are not among those seen."""
    other_traces: int = 0
    """Tasks of other distributed traces than `--traceparent` asks for."""
    not_kept: int = 0
    keep_errors: int = 0
    """Candidates on which the keep-condition failed; they are among those not kept."""
    keep_error: str | None = None
    """One sample of why."""
    nearest: Nearest | None = None
    missed: tuple[Missed, ...] = ()
    """The conditions that must all hold, and how many candidates each alone has kept out."""
    having_missed: int = 0
    """Candidates without a call that has to occur (`--having`); they are among those not kept."""
    having_errors: int = 0
    """Calls of which the condition in `--having` could not be evaluated."""
    having_error: str | None = None
    """Why not, on the first of these."""


def tally(all_counters: Iterable[Counters | None]) -> Tally:
    """Return the sums of what agents have counted."""
    found = [counters for counters in all_counters if counters is not None]
    misses = [counters.nearest for counters in found if counters.nearest is not None]
    return Tally(
        sampled_out=sum(one.sampled_out for one in found),
        rate_limited=sum(one.rate_limited for one in found),
        throttled=sum(one.throttled for one in found),
        unmatched=sum(one.unmatched for one in found),
        other_traces=sum(one.other_traces for one in found),
        not_kept=sum(one.not_kept for one in found),
        keep_errors=sum(one.keep_errors for one in found),
        keep_error=next((one.keep_error for one in found if one.keep_error), None),
        nearest=nearest(misses),
        missed=_added([one.missed for one in found]),
        having_missed=sum(one.having_missed for one in found),
        having_errors=sum(one.having_errors for one in found),
        having_error=next((one.having_error for one in found if one.having_error), None),
    )


def nearest(misses: Sequence[Nearest]) -> Nearest | None:
    """Return the one among several that is nearest to being kept."""
    if not misses:
        return None
    return (max if misses[0].least else min)(misses, key=lambda miss: miss.value)


def _added(lists: Sequence[tuple[Missed, ...]]) -> tuple[Missed, ...]:
    """Return the sums of what several agents say of the same conditions."""
    by_part: dict[str, list[Missed]] = {}
    for missed in lists:
        for one in missed:
            by_part.setdefault(one.part, []).append(one)
    return tuple(
        Missed(
            part=part,
            count=sum(one.count for one in several),
            nearest=nearest([one.nearest for one in several if one.nearest is not None]),
        )
        for part, several in by_part.items()
    )


def joined(conditions: Sequence[str], slower_than_s: float | None, errors: bool) -> str | None:
    """Return the one condition that `--keep` (any number), `--slower-than` and `--errors` are together."""
    parts = []
    if slower_than_s is not None:
        parts.append(f"duration > {literal(slower_than_s)}")
    if errors:
        parts.append("error")
    for condition in conditions:
        parse(condition, kind="keep")  # by itself: what is wrong is shown in what was typed
        parts.append(condition if len(conditions) == 1 and not parts else f"({condition})")
    return " and ".join(parts) or None


def literal(seconds: float) -> str:
    """Return a duration as it is written in a condition: `5s`, `250ms`, `20us`."""
    for unit, factor in (("s", 1.0), ("ms", 1e3)):
        if seconds * factor >= 1:
            return f"{seconds * factor:.15g}{unit}"
    return f"{seconds * 1e6:f}".rstrip("0").rstrip(".") + "us"


def requested(
    *,
    keep: str | None,
    sample: int | None,
    rate: float | None,
    live: bool,
    args: bool,
    ttl_s: float | None,
    having: Sequence[str] = (),
    traceparent: str | None = None,
) -> tuple[dict[str, Any], float | None]:
    """Return the fields of a probe, and the time to live that the condition needs; raise `UsageError`."""
    if sample is not None and not 1 <= sample <= MAX_SAMPLE:
        raise UsageError(f"one of {sample} is no sample: write 1/1 to 1/{MAX_SAMPLE}")
    if rate is not None and not 0 < rate <= MAX_RATE:
        raise UsageError(f"{rate:g} a second is not possible: write more than 0 and at most {MAX_RATE}/s")
    fields: dict[str, Any] = {"keep": keep, "sample": sample, "rate": rate}
    if traceparent is not None:
        fields["traceparent"] = trace_id_of(traceparent)
    if having:
        fields["having"] = [one.text for one in several(list(having))]
    if live and (keep is not None or having):
        raise UsageError(
            "--live shows a trace while it grows, and with --keep (--slower-than, --errors) or --having it is known at its "
            "end that it is one: leave one out"
        )
    if keep is None:
        return fields, ttl_s
    expression = parse(keep, kind="keep")
    if not args and (expression.arguments or "returned" in expression.names):
        raise UsageError("with --no-args no value is recorded, so --keep cannot look at arg.NAME or returned")
    least = least_s(expression)
    if ttl_s is None:
        if 2 * least > ATTACHED_TTL_S:
            ttl_s = min(MAX_TTL_S, 2 * least)
    elif least >= ttl_s:
        raise UsageError(
            f"no task can take {duration(least * 1e9)} within a --ttl of {duration(ttl_s * 1e9)}: raise it"
        )
    return fields, ttl_s


def ignored(probe: Mapping[str, Any], answer: Mapping[str, Any]) -> list[str]:
    """Return the options that an agent took no notice of, being older than they are."""
    return [
        option for name, option in OPTIONS.items() if probe.get(name) is not None and answer.get(name) is None
    ]


def advice(probe: Mapping[str, Any], counts: Tally, passed_over: int) -> str | None:
    """Return the one option to try next where nothing was kept: what most of the tasks were lost to; None for no idea."""
    concurrent = (probe.get("limits") or {}).get("concurrent") or (
        KEEP_CONCURRENT if probe.get("keep") or probe.get("having") else Limits().concurrent
    )
    sample, rate = probe.get("sample"), probe.get("rate")
    lost: list[tuple[int, str | None]] = [
        (counts.not_kept - counts.having_missed, _lower(probe, counts)),
        (counts.having_missed, _any_call(probe, counts)),
        (passed_over, f"--concurrent {min(2 * concurrent, CEILINGS.concurrent)}" if concurrent < CEILINGS.concurrent else None),
        (counts.sampled_out, f"--sample 1/{max(1, sample // 10)}" if sample else None),
        (counts.rate_limited, f"--rate {min(10 * rate, MAX_RATE):g}/s" if rate else None),
    ]  # fmt: skip
    return max(
        ((count, option) for count, option in lost if count and option),
        key=lambda one: one[0],
        default=(0, None),
    )[1]


def _lower(probe: Mapping[str, Any], counts: Tally) -> str | None:
    """Return the condition that the nearest miss would have met, where one threshold is all there is."""
    text, miss = probe.get("keep"), counts.nearest
    if text and counts.missed:
        return _without(text, counts)
    if not text or miss is None:
        return "--ttl" if text and not counts.keep_errors else None
    expression = parse(text, kind="keep")
    if len(conjuncts(expression.root)) > 1 or not thresholds(expression):
        return None
    shown = _met(miss)
    if miss.measure == "duration" and miss.least:
        return f"--slower-than {shown.rpartition(' ')[2]}" if miss.value > 0 else None
    return f"--keep '{shown}'"


def _without(text: str, counts: Tally) -> str | None:
    """Return the condition with that part of it lowered, or left out, which alone has kept out most candidates."""
    most = max(counts.missed, key=lambda one: one.count)
    if not most.count:
        return "--ttl" if not counts.keep_errors else None
    if most.nearest is not None:
        return (
            f"--keep '{text.replace(most.part, _met(most.nearest), 1)}'" if most.nearest.value > 0 else None
        )
    return f"--keep '{' and '.join(one.part for one in counts.missed if one is not most)}'"


def _met(miss: Nearest) -> str:
    """Return a threshold that a nearest miss would have met."""
    value = _round(miss.value, down=miss.least)
    if miss.measure == "calls":
        value = float(floor(value))
    shown = literal(value) if miss.measure in TIMES and value > 0 else f"{value:g}"
    return f"{miss.measure} {'>' if miss.least else '<'} {shown}"


def _any_call(probe: Mapping[str, Any], counts: Tally) -> str | None:
    """Return what asks for the same calls with any arguments, else to wait longer."""
    asked = [parse_having(text) for text in probe.get("having") or ()]
    if counts.having_errors:
        return None  # its reason is shown
    if any(one.condition is not None for one in asked):
        return " ".join(f"--having '{one.target.text}'" for one in asked)
    return "--ttl"


def _round(value: float, *, down: bool) -> float:
    """Return a number of one digit that is below, or above, a value: 480 -> 400, 400 -> 300, 0.48 -> 0.5."""
    if value <= 0:
        return value - 1 if down else value + 1
    unit = 10.0 ** floor(log10(value))
    digit = value / unit
    if down:
        digit = floor(digit) if digit > floor(digit) else digit - 1
        return float(f"{digit * unit:.6g}") if digit >= 1 else float(f"{0.9 * unit:.6g}")
    return float(f"{(floor(digit) + 1) * unit:.6g}")
