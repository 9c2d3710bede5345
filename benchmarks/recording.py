"""What a recorded call pays, program by program, here and elsewhere."""

from __future__ import annotations

import gc

from . import contenders
from .contenders import Contender
from .programs import PROGRAMS, Program, task
from .rounds import Times, added, added_ratio, median, timed, turns
from .tables import Table

BARE = "bare (whole call)"
SAFE = "tracepatch, safe"
SAME_DEPTH = "tracepatch, safe, same depth"
PYTHON = "the same, in Python"
ARMED = "tracepatch, armed"
SEED = "tracepatch 0.1.0"
ARGS = "VizTracer, a+r"
NO_ARGS = "VizTracer, no arguments"


def measure(rounds: int) -> dict[str, float]:
    """Measure and print; return the ratios to VizTracer. Raises `OSError` where tracepatch 0.1.0 cannot be had."""
    former = contenders.seed_tracing()
    counts = {program.name: calls(program) for program in PROGRAMS}
    measured = {
        program.name: measure_one(program, counts[program.name], former, rounds) for program in PROGRAMS
    }
    names = list(measured["fib"])
    table = Table("a recorded call: ns added", *measured)
    table.row("calls", *map(str, counts.values()))
    for name in names:
        table.row(name, *(_added(times, name) for times in measured.values()))
    ratios = {
        (name, program): added_ratio(times, name, ARGS, BARE)
        for name in names[1:]
        for program, times in measured.items()
        if name in times
    }
    table = Table(f"the same, x {ARGS}", *measured)
    for name in names[1:]:
        table.row(
            name,
            *(f"{ratios[name, program]:.2f}" if (name, program) in ratios else "-" for program in measured),
        )
    return {f"{name}: {program}": ratio for (name, program), ratio in ratios.items()}


def measure_one(program: Program, count: int, former: Contender, rounds: int) -> Times:
    """Return ns per call of each contender."""
    kinds = {
        BARE: contenders.bare,
        SAFE: contenders.tracing("safe"),
        SAME_DEPTH: contenders.to_depth(program.depth or 0),
        PYTHON: contenders.in_python(contenders.to_depth(program.depth or 0)),
        "tracepatch, repr": contenders.tracing(),
        ARMED: contenders.armed(program.target, tasks=program.tasks),
        SEED: former,
        ARGS: contenders.viztracer(log_func_args=True, log_func_retval=True),
        NO_ARGS: contenders.viztracer(),
        "cProfile": contenders.cprofile,
        "no-op callbacks": contenders.noop,
    }
    if program.depth is None:
        del kinds[SAME_DEPTH], kinds[PYTHON]
    times: Times = {name: [] for name in kinds}
    for name, contender, counted in turns(kinds, rounds):
        gc.collect()
        with contender():
            spent = timed(program.clock, lambda: task(program.run))
        if counted:
            times[name].append(spent / count)
    return times


def calls(program: Program) -> int:
    """Return how many calls the whole program makes, as a trace of everything counts them."""
    import tracepatch

    task(program.run)  # what is imported and cached on the way is none of it
    with tracepatch.trace(cache=False, capture="safe", **contenders.MOST) as trace:  # type: ignore[arg-type]
        task(program.run)
    return trace.call_count


def _added(times: Times, name: str) -> str:
    if name not in times:
        return "-"
    return f"{median(times, name) if name == BARE else added(times, name, BARE):.0f}"
