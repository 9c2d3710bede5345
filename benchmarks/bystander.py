"""What a task pays while another task of its loop is recorded, and what a trace pays for calls that it leaves out."""

from __future__ import annotations

import asyncio
import gc
import os
import sysconfig
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager
from time import thread_time_ns
from types import coroutine
from typing import Any

from . import contenders, programs, workload
from .rounds import Times, added, added_ratio, median, ratio, timed, turns
from .tables import Table, say

NOBODY = "nobody traced"
ARMED = "tracepatch, armed"
NOOP = "no-op callbacks"

SERVES = 300
DEPTH = 20
TIMES = 2_000
WAKE_UPS = 300
THINGS = ("call", "await", "item", "wake-up")
"""What a bystander does."""


# ---- what the bystander does


@coroutine
def pause() -> Generator[None, None, None]:
    """Suspend whoever awaits this, again and again, without a call."""
    while True:
        yield


async def descend(depth: int) -> None:
    await (descend(depth - 1) if depth else pause())


def items() -> Iterator[None]:
    for _ in range(TIMES):
        yield


def awaits(chain: Any) -> None:
    send = chain.send
    for _ in range(TIMES):
        send(None)


def iterate() -> None:
    for _ in items():
        pass


async def wake_up() -> None:
    for _ in range(WAKE_UPS):
        await asyncio.sleep(0)


# ---- beside whom


async def hang(entered: asyncio.Event, leave: asyncio.Event) -> None:
    """Be the task that is traced: call something, then wait."""
    workload.serve(1)
    entered.set()
    await leave.wait()


async def block(contender: contenders.Contender, entered: asyncio.Event, leave: asyncio.Event) -> None:
    """Be the task whose block is traced."""
    with contender():
        await hang(entered, leave)


async def beside(contender: contenders.Contender, *, inside: bool) -> dict[str, float]:
    """Return ns of each thing that a task does while another one waits, traced."""
    entered, leave = asyncio.Event(), asyncio.Event()
    with contenders.bare() if inside else contender():
        traced = asyncio.create_task(block(contender, entered, leave) if inside else hang(entered, leave))
        await entered.wait()
        await asyncio.sleep(0)  # the traced task's step has ended
        chain = descend(DEPTH)
        chain.send(None)
        found = {
            "call": timed(thread_time_ns, lambda: workload.run(SERVES)) / SERVES / workload.CALLS_PER_SERVE,
            "await": timed(thread_time_ns, lambda: awaits(chain)) / TIMES,
            "item": timed(thread_time_ns, iterate) / TIMES,
        }
        begin = thread_time_ns()
        await wake_up()
        found["wake-up"] = (thread_time_ns() - begin) / WAKE_UPS
        chain.close()
        leave.set()
        await traced
    return found


def measure(rounds: int) -> dict[str, float]:
    """Measure and print what bystanders pay; return what the summary shows."""
    # Contender, and whether the traced task itself enters it.
    kinds = {
        NOBODY: (contenders.bare, False),
        ARMED: (contenders.armed("benchmarks.bystander:hang"), False),
        "tracepatch, a block of trace()": (contenders.tracing("safe"), True),
        NOOP: (contenders.noop, False),
    }
    measured: dict[str, Times] = {what: {kind: [] for kind in kinds} for what in THINGS}
    for name, (contender, inside), counted in turns(kinds, rounds):
        gc.collect()
        for what, ns in asyncio.run(beside(contender, inside=inside)).items():
            if counted:
                measured[what][name].append(ns)
    calls = measured["call"]
    table = Table(
        "a task beside a traced one", "ns a call", "x no-op added", *(f"{what}, x bare" for what in THINGS)
    )
    figures: dict[str, float] = {}
    for name in kinds:
        ratios = {what: ratio(measured[what], name, NOBODY) for what in THINGS}
        against = added_ratio(calls, name, NOOP, NOBODY)
        if name == ARMED:
            figures = {
                "beside / no-op": against,
                **{f"beside: {what}": value for what, value in ratios.items()},
            }
        table.row(
            name,
            f"{median(calls, name):.0f}",
            "" if name == NOBODY else f"{against:.2f}",
            *(f"{value:.2f}" for value in ratios.values()),
        )
    say(
        f"(an await suspends and resumes {DEPTH} frames, without a call; a wake-up is a turn of the loop, with its calls)"
    )
    return figures


# ---- calls that are left out


def left_out(rounds: int) -> dict[str, float]:
    """Measure and print what calls cost that a trace does not show; return the ratios to recorded ones."""
    target = "benchmarks.programs:task"
    serve: Callable[[], None] = lambda: workload.run(SERVES)  # noqa: E731
    library: Callable[[], None] = lambda: in_library(SERVES)  # noqa: E731
    skipping = contenders.armed(target, scope={"skip": ["benchmarks.workload"]})
    kinds: dict[str, tuple[Callable[[], AbstractContextManager[Any]], Callable[[], None]]] = {
        "bare": (contenders.bare, serve),
        "recorded": (contenders.armed(target), serve),
        "skipped": (skipping, serve),
        "inside a library": (contenders.armed(target), library),
    }
    in_library = as_library()
    times: Times = {name: [] for name in kinds}
    for name, (contender, run), counted in turns(kinds, rounds):
        gc.collect()
        with contender():
            spent = timed(thread_time_ns, lambda run=run: programs.task(run))
        if counted:
            times[name].append(spent / SERVES / workload.CALLS_PER_SERVE)
    table = Table("a call in a traced task", "ns added", "x recorded")
    figures: dict[str, float] = {}
    for name in list(kinds)[1:]:
        figures[f"{name} / recorded"] = added_ratio(times, name, "recorded", "bare")
        table.row(name, f"{added(times, name, 'bare'):.0f}", f"{figures[f'{name} / recorded']:.2f}")
    return figures


def as_library() -> Callable[[int], None]:
    """Return `workload.run` as it would be, were it installed: code belongs to a library by its file."""
    file = os.path.join(sysconfig.get_paths()["purelib"], "installed_workload.py")
    with open(workload.__file__, encoding="utf-8") as source:
        names: dict[str, Any] = {"__name__": "installed_workload"}
        exec(compile(source.read(), file, "exec"), names)
    run: Callable[[int], None] = names["run"]
    return run
