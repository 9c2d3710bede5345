"""Timed rounds, interleaved over contenders, and what is read from them."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

Times = dict[str, list[float]]
"""Nanoseconds, a list per contender; the same index is the same round."""

_T = TypeVar("_T")


def turns(contenders: Mapping[str, _T], rounds: int) -> Iterator[tuple[str, _T, bool]]:
    """Yield each contender in each round, in another order each time; the first round only warms up (False)."""
    names = list(contenders)
    for number in range(rounds + 1):
        shift = number % len(names)
        for name in names[shift:] + names[:shift]:
            yield name, contenders[name], number > 0


def timed(clock: Callable[[], int], run: Callable[[], object]) -> int:
    """Return how long `run` takes."""
    begin = clock()
    run()
    return clock() - begin


def median(times: Times, name: str) -> float:
    """Return the median."""
    return statistics.median(times[name])


def added(times: Times, name: str, floor: str) -> float:
    """Return the median of what a contender adds to `floor`."""
    return statistics.median(a - b for a, b in zip(times[name], times[floor], strict=True))


def ratio(times: Times, name: str, base: str) -> float:
    """Return the median of the ratios within each round, which drift cancels out of."""
    return statistics.median(a / b for a, b in zip(times[name], times[base], strict=True))


def added_ratio(times: Times, name: str, base: str, floor: str) -> float:
    """Like `ratio`, of what each adds to `floor`."""
    # A round in which the machine was elsewhere may show that `base` adds nothing.
    rows = zip(times[name], times[base], times[floor], strict=True)
    return statistics.median((a - c) / max(b - c, 1e-9) for a, b, c in rows)


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """Return lower quartile, median and upper quartile."""
    lower, middle, upper = statistics.quantiles(values, n=4)
    return lower, middle, upper
