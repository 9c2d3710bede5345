"""What a process pays in which nothing is traced: dormant, and waiting for a function that is not called.

The same work runs without, with, with, without; in between the agent is started, armed by a real controller, and
stopped. What is armed stands in the module of the work itself, so that the other functions of a module that matches are
among those that must not pay.
"""

from __future__ import annotations

import gc
import random
import statistics
from time import thread_time_ns

from . import contenders, workload
from .contenders import Contender
from .rounds import quartiles, timed
from .tables import Table

SERVES = 500
TRIES = 8
"""The fastest of so many counts: whoever else uses the machine only ever makes it slower."""
SETTLING = 1_000
"""Starting and arming leave cold caches and code that is specialised anew: not what is measured."""

KINDS: dict[str, Contender] = {
    "bare again": contenders.bare,
    "dormant": contenders.dormant,
    "waiting": contenders.waiting("benchmarks.workload:unrelated"),
    "waiting for an import": contenders.waiting("benchmarks.not_loaded:function"),
}


def measure(rounds: int) -> dict[str, float]:
    """Measure and print; return the ratios to bare."""
    figures: dict[str, float] = {}
    table = Table("nothing is traced", "ns a call", "x bare", "+-", "lower quartile", "upper quartile")
    for name, contender in KINDS.items():
        times = [quadruple(contender) for _ in range(rounds + 1)][1:]
        ratios = [on / off for off, on in times]
        lower, middle, upper = quartiles(ratios)
        # Of a median, 1.25 standard errors of a mean; the quartiles tell the spread, outliers do not.
        error = 1.25 * (upper - lower) / 1.349 / len(ratios) ** 0.5
        per_call = statistics.median(on for _, on in times) / (2 * SERVES * workload.CALLS_PER_SERVE)
        table.row(
            name, f"{per_call:.1f}", f"{middle:.3f}", f"{2 * error:.3f}", f"{lower:.3f}", f"{upper:.3f}"
        )
        figures[f"{name} / bare"] = middle
    return figures


def quadruple(contender: Contender) -> tuple[int, int]:
    """Return the times without and with the contender, in the order off, on, on, off: drift cancels out."""
    off = once()
    with contender():
        on = once() + once()
    return off + once(), on


def once() -> int:
    """Return how long `SERVES` take."""
    gc.collect()
    # Where the next objects come to lie is worth a percent: by chance, instead of by what was made before.
    ballast = [bytes(size) for size in random.choices(range(16, 512), k=400)]
    del ballast[:: random.randint(2, 9)]
    workload.run(SETTLING)
    return min(timed(thread_time_ns, lambda: workload.run(SERVES)) for _ in range(TRIES))
