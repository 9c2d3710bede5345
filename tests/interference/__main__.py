"""Runs CPython's own suites bare and traced on this Python, and prints the table: `python tests/interference`.

Fails when a test comes out differently and is not listed in `known`, when one that is listed is not changed by a
tracer that does nothing, when a suite cannot be found, or when fewer nodes were recorded than wanted.
"""

from __future__ import annotations

import argparse
import sys
import time
from itertools import cycle
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from interference.comparison import (
    SUITES,
    TRACED,
    VERSION,
    Compared,
    compare,
    importable,
    known,
    not_confirmed,
    run,
    summary,
)

FURTHER = ("test_contextlib", "test_functools", "test_asyncio.test_taskgroups", "test_asyncio.test_timeouts")
"""Suites that the same is asked of when armed, where the Python has them. A block adds a call around a test method, and
some of these look at the chain of awaits above them."""

WANTED_NODES = 1_000_000


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("suites", nargs="*", default=[], help="default: the five of them, and four more")
    parser.add_argument("--nodes", type=int, default=WANTED_NODES, help="go round until so many are recorded")
    options = parser.parse_args()
    missing = [suite for suite in options.suites or SUITES if not importable(suite)]
    if missing:
        print(
            f"CPython {VERSION} has no {', '.join(missing)}: `.ci/cpython-tests` may find them",
            file=sys.stderr,
        )
        return 2
    began = time.monotonic()
    suites = options.suites or [*SUITES, *(suite for suite in FURTHER if importable(suite))]
    bare, results, wrong = {}, [], []
    for suite in suites:
        bare[suite] = run(suite, "bare")
        wrong += [f"listed, but nothing changes it: {test}" for test in not_confirmed(suite, bare[suite])]
        ways = TRACED if suite not in FURTHER else TRACED[:1]
        results += [_traced(suite, bare[suite], mode) for mode in ways]
    quick = [suite for suite in suites if suite in SUITES and suite != "test_asyncio.test_tasks"] or suites
    rounds = cycle([(suite, mode) for suite in quick for mode in TRACED])
    while sum(result.nodes for result in results) < options.nodes:
        suite, mode = next(rounds)
        results.append(_traced(suite, bare[suite], mode))
    print(f"\nCPython {sys.version.split()[0]}: CPython's own tests, each test method traced\n")
    print(summary(_added(results)))
    for result in results:
        for test, (plain, traced) in result.different.items():
            wrong.append(
                f"{result.mode}: {test}\n    bare   {plain.outcome}\n    traced {traced and traced.outcome}"
            )
    reasons = {test: item for result in results for test in result.known if (item := known(test))}
    for test, item in sorted(reasons.items()):
        print(f"known: {test}: {item.reason}")
    for test in sorted({test for result in results for test in result.unstable}):
        print(f"unstable, the same when run again: {test}")
    for text in wrong:
        print(f"WRONG {text}")
    total, nodes = sum(result.traced for result in results), sum(result.nodes for result in results)
    tests = sum(len(lines) for lines in bare.values())
    print(
        f"CPython {VERSION}: {tests} tests, {total} runs traced, {nodes} nodes recorded, {len(wrong)} differences, "
        f"{len(reasons)} known; {time.monotonic() - began:.0f} s"
    )
    return 1 if wrong else 0


def _traced(suite: str, bare: dict, mode: str) -> Compared:
    result = compare(suite, bare, mode)
    print(f"  {suite} {mode}: {result.tests} tests, {result.nodes} nodes", file=sys.stderr, flush=True)
    return result


def _added(results: list[Compared]) -> list[Compared]:
    """Return one result for each suite and way, further rounds added to the first."""
    first: dict[tuple[str, str], Compared] = {}
    for result in results:
        known_one = first.get((result.suite, result.mode))
        if known_one is None:
            first[result.suite, result.mode] = Compared(**vars(result))
        else:
            known_one.tests += result.tests
            known_one.traced += result.traced
            known_one.nodes += result.nodes
            known_one.different = {**known_one.different, **result.different}
            known_one.known = sorted({*known_one.known, *result.known})
            known_one.unstable = sorted({*known_one.unstable, *result.unstable})
    return list(first.values())


if __name__ == "__main__":
    sys.exit(main())
