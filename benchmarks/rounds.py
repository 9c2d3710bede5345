"""Timed rounds, interleaved over contenders: what drifts on the machine meets all of them."""

from __future__ import annotations

import asyncio
import gc
import statistics
from collections.abc import Mapping
from time import perf_counter_ns

from . import workload
from .contenders import Contender

Rounds = dict[str, list[float]]
"""Nanoseconds per call, a list per contender; the same index is the same round."""


def calls(contenders: Mapping[str, Contender], *, rounds: int, serves: int, settle: int = 0) -> Rounds:
    """Time synchronous calls inside each contender, after `settle` serves that are not timed."""
    times: Rounds = {name: [] for name in contenders}
    workload.run(serves)
    for number in range(rounds + 1):
        for name in turn(list(contenders), number):
            gc.collect()
            with contenders[name]():
                workload.run(settle)
                begin = perf_counter_ns()
                workload.run(serves)
                spent = perf_counter_ns() - begin
            if number:  # the first round warms up
                times[name].append(spent / (serves * workload.CALLS_PER_SERVE))
    return times


def bystanders(contenders: Mapping[str, Contender], *, rounds: int, serves: int) -> tuple[Rounds, Rounds]:
    """Time calls and awaits of a task while another task of the same loop sits inside each contender."""
    call_times: Rounds = {name: [] for name in contenders}
    await_times: Rounds = {name: [] for name in contenders}
    for number in range(rounds + 1):
        for name in turn(list(contenders), number):
            gc.collect()
            call_ns, await_ns = asyncio.run(beside(contenders[name], serves))
            if number:
                call_times[name].append(call_ns)
                await_times[name].append(await_ns)
    return call_times, await_times


async def beside(contender: Contender, serves: int) -> tuple[float, float]:
    """Return ns per call and ns per await (20 frames deep) beside a task that waits inside the contender."""
    entered, leave = asyncio.Event(), asyncio.Event()

    async def traced() -> None:
        with contender():
            await asyncio.sleep(0)
            entered.set()
            workload.run(1)
            await leave.wait()

    task = asyncio.create_task(traced())
    await entered.wait()
    begin = perf_counter_ns()
    workload.run(serves)
    between = perf_counter_ns()
    await workload.descend(workload.AWAIT_DEPTH)
    end = perf_counter_ns()
    leave.set()
    await task
    return (between - begin) / (serves * workload.CALLS_PER_SERVE), (end - between) / workload.AWAITS


def turn(names: list[str], number: int) -> list[str]:
    """Return the names in another order each round: nobody always follows the same neighbour."""
    shift = number % len(names)
    return names[shift:] + names[:shift]


def median(times: Rounds, name: str) -> float:
    """Return the median in ns."""
    return statistics.median(times[name])


def ratio(times: Rounds, name: str, base: str) -> float:
    """Return the median of the ratios within each round, which drift cancels out of."""
    return statistics.median(a / b for a, b in zip(times[name], times[base], strict=True))


def added_ratio(times: Rounds, name: str, base: str, floor: str) -> float:
    """Like `ratio`, of what each adds to `floor`."""
    return statistics.median(
        (a - c) / (b - c) for a, b, c in zip(times[name], times[base], times[floor], strict=True)
    )
