"""The long run, `make oracle` and `make oracle-faults`; from the folder of the tests: `python -m oracle --help`."""

from __future__ import annotations

import argparse
import gc
import pprint
import random
import sys
import time
from collections import Counter
from collections.abc import Iterable

from .comparing import Comparison
from .faults import FAULTS, installed
from .grammar import Program, program
from .running import Difference, Run
from .shrinking import shrink
from .source import EAGER, GROUPS, source

CONSTRUCTS = (
    "call", "recurse", "generator", "for", "yield from", "send", "throw", "close", "drop", "collected",
    "passed between tasks or threads", "await", "async generator", "async for", "async comprehension", "async throw",
    "async close", "gather", "create_task", "wait_for", "timeout", "cancel", "cancellation caught", "raise", "caught",
    "finally", "finally that raises", "with", "async with", "contextmanager", "to_thread", "thread", "plain submit",
    "submit with context", "run_in_executor", "empty context", "call_soon",
    *(("TaskGroup",) if GROUPS else ()), *(("eager task",) if EAGER else ()),
)  # fmt: skip
"""What has to occur, inside a trace, in `LEAST` percent of the programs."""
LEAST = 5.0
FAULT_PROGRAMS = 2_000


def drawn(seed: int) -> Program:
    """Return the program of a seed."""
    return program(random.Random(seed).randrange)


def differs(candidate: Program, times: int = 2) -> Difference | None:
    """Return the difference that a program shows in one of a few runs."""
    for _ in range(times):
        try:
            Comparison(Run(candidate))
        except Difference as difference:
            return difference
    return None


def main() -> int:
    parser = argparse.ArgumentParser(prog="oracle")
    parser.add_argument("--programs", type=int, default=1000)
    parser.add_argument(
        "--seed", type=int, default=0, help="the first program's; each has one more than the last"
    )
    parser.add_argument("--show", action="store_true", help="print each program's source and log")
    parser.add_argument(
        "--shrink", action="store_true", help="look for a smaller program that differs, and show it"
    )
    parser.add_argument(
        "--faults", action="store_true", help="break the recorder on purpose, see each fault found"
    )
    options = parser.parse_args()
    print(f"CPython {sys.version.split()[0]}, programs from seed {options.seed} on")
    seeds = range(options.seed, options.seed + options.programs)
    if options.faults:
        return faults()
    if options.shrink:
        for seed in seeds:
            show(shrink(drawn(seed), lambda candidate: differs(candidate) is not None))
        return 0
    return compare(seeds, show_all=options.show)


def show(item: Program) -> None:
    """Print a program, its source, its log, and what differs."""
    pprint.pprint(item, width=110, sort_dicts=False)
    print(source(item))
    run = Run(item)
    for at, event in enumerate(run.log):
        print(at, *event)
    try:
        Comparison(run)
    except Difference as difference:
        print(f"difference: {difference}")


def compare(seeds: range, *, show_all: bool = False) -> int:
    """Compare programs, print constructs and nodes; return 1 where there is a difference or a construct is rare."""
    constructs: Counter[str] = Counter()
    nodes = traces = differences = 0
    began = time.perf_counter()
    for seed in seeds:
        if show_all:
            show(drawn(seed))
        run = Run(drawn(seed))
        try:
            comparison = Comparison(run)
        except Difference as difference:
            differences += 1
            print(f"seed {seed}: {difference}")
            continue
        nodes += comparison.nodes
        traces += len(run.traces)
        constructs.update(comparison.reference.constructs.keys())
        if seed % 100 == 0:
            gc.collect()  # the runs freeze what they find, and never look at it
    seconds = time.perf_counter() - began
    rare = []
    for name in sorted(CONSTRUCTS, key=constructs.__getitem__):
        percent = 100 * constructs[name] / len(seeds)
        print(f"  {name:34}{percent:6.1f} %")
        if percent < LEAST:
            rare.append(name)
    print(
        f"{len(seeds)} programs, {traces} traces, {nodes} nodes compared in {seconds:.0f} s: {differences} differences"
    )
    if rare and len(seeds) >= 1000:
        print(f"in less than {LEAST} % of the programs: {', '.join(rare)}")
        return 1
    return bool(differences)


def found_after(name: str, seeds: Iterable[int]) -> int | None:
    """Return how many programs it took to find a fault."""
    with installed(name):
        for count, seed in enumerate(seeds, 1):
            try:
                Comparison(Run(drawn(seed)))
            except Difference:
                return count
    return None


def faults() -> int:
    """Print after how many programs each fault is found; return 1 if one is not."""
    missed = 0
    for name in FAULTS:
        found = found_after(name, range(FAULT_PROGRAMS))
        missed += found is None
        print(f"  {name:40} {'not found' if found is None else f'found by program {found}'}", flush=True)
    print(f"{len(FAULTS)} faults, {missed} not found within {FAULT_PROGRAMS} programs")
    return bool(missed)


if __name__ == "__main__":
    sys.exit(main())
