"""What a session says of the tasks that matched and of which no trace came."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from tracepatch_shared.thresholds import TIMES

from .durations import milliseconds

if TYPE_CHECKING:
    from ..choice import Tally
    from ..reports import Missed, Nearest


def passed_over(count: int, *, wanting: bool) -> str:
    """Return `40 passed over (--concurrent)`, the option where `wanting` says that more would have been taken."""
    return f"{count} passed over{' (--concurrent)' if count and wanting else ''}"


def left_out(counts: Tally) -> Iterator[str]:
    """Yield what else was left out: `90 sampled out (--sample)`, `769 not kept: slowest 480 ms`."""
    if counts.sampled_out:
        yield f"{counts.sampled_out} sampled out (--sample)"
    if counts.rate_limited:
        yield f"{counts.rate_limited} over the rate (--rate)"
    if counts.throttled:
        yield f"{counts.throttled} over the budget of others (--budget)"
    if counts.unmatched:
        yield f"{counts.unmatched} that no target names"
    if counts.other_traces:
        yield f"{counts.other_traces} of other traces (--traceparent)"
    if counts.not_kept:
        yield not_kept(counts.not_kept, counts.nearest, counts.missed)
    if counts.having_missed:
        yield f"{counts.having_missed} of these without the call of --having"
    if counts.having_errors:
        why = f": {counts.having_error}" if counts.having_error else ""
        yield f"--having failed on {counts.having_errors} calls{why}"
    if counts.keep_errors:
        yield f"--keep failed on {counts.keep_errors}{f': {counts.keep_error}' if counts.keep_error else ''}"


def not_kept(count: int, miss: Nearest | None, missed: Sequence[Missed] = ()) -> str:
    """Return `769 not kept: slowest 480 ms`, or of several conditions `…: 12 only for error, 3 only for calls > 9 (…)`."""
    alone = [
        f"{one.count} only for {one.part}{'' if one.nearest is None else f' ({nearest(one.nearest)})'}"
        for one in missed
        if one.count
    ]
    if alone:
        return f"{count} not kept: {', '.join(alone)}"
    return f"{count} not kept{'' if miss is None else f': {nearest(miss)}'}"


def nearest(miss: Nearest) -> str:
    """Return `slowest 480 ms`, `fastest 3.2 s`, `highest calls 812`."""
    shown = milliseconds(miss.value * 1e9) if miss.measure in TIMES else f"{miss.value:g}"
    if miss.measure == "duration":
        return f"{'slowest' if miss.least else 'fastest'} {shown}"
    return f"{'highest' if miss.least else 'lowest'} {miss.measure} {shown}"
