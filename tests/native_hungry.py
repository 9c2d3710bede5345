"""Traced calls where every further allocation fails from the n-th on: run by test_native_ends.py, prints what came of it."""

from __future__ import annotations

import _testcapi  # type: ignore[import-not-found, unused-ignore]
import sys
from collections import Counter

from targets import everyday
from tracepatch.containment import report
from tracing_helpers import bench


def calls() -> None:
    for number in range(6):
        if (
            number == 3
        ):  # what is met for the first time takes Python, and the interpreter itself is not safe there
            _testcapi.set_nomemory(n, n + 1 + n % 3)
        everyday.add(number, 70_000)
        everyday.leaf("a text that is not short" * 2)
        everyday.get_token("ann")
        everyday.keyword_only(1, {"a": [number]}, fourth="text of this" * 9)  # type: ignore[arg-type]
    _testcapi.remove_mem_hooks()


everyday.hungry = calls  # type: ignore[attr-defined]
calls.__module__ = "targets.everyday"
whole = 0
found: Counter[str] = Counter()
for n in range(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])):
    with bench() as made:
        made.arm("targets.everyday:hungry", limits={"max_calls": 10_000})
        passed = ""
        try:
            calls()
        except MemoryError:
            passed = ", MemoryError"
        finally:
            _testcapi.remove_mem_hooks()
        made.tracing.expire(2**62)
        problem = report()
        traces = made.traces()
        if not traces:
            found["not recorded" + passed] += 1
            continue
        (trace,) = traces  # a stream that the reader takes
        whole = whole or trace.calls
        missing = (
            problem is not None or trace.status != "complete" or any(node.open for node in trace.nodes())
        )
        if not passed and not missing and trace.calls != len(list(trace.nodes())):
            found["a call is missing and nothing says so"] += 1
        shape = [node.function for node in trace.nodes()]
        if not passed and not missing and shape.count("keyword_only") + shape.count("add") != 12:
            found["incomplete and nothing says so"] += 1
        found[f"{trace.status} {trace.reason}{passed}"] += 1
print(dict(found))
