"""What a block of `tracepatch.job()` costs while nobody waits for jobs: `python -m benchmarks.job`.

Nanoseconds of one `with`, with a field, over those of a `contextlib.nullcontext`, rounds interleaved, the
best of each, since whatever else runs on the machine only adds.
"""

from __future__ import annotations

import platform
import time
from contextlib import nullcontext

import tracepatch

BLOCKS = 1_000
ROUNDS = 2_000


def nothing() -> float:
    began = time.perf_counter_ns()
    for number in range(BLOCKS):
        with nullcontext(number):
            pass
    return (time.perf_counter_ns() - began) / BLOCKS


def named() -> float:
    job = tracepatch.job
    began = time.perf_counter_ns()
    for number in range(BLOCKS):
        with job("import-users", user=number):
            pass
    return (time.perf_counter_ns() - began) / BLOCKS


def main() -> None:
    rounds = [(nothing(), named()) for _ in range(ROUNDS)]
    null, job = (min(column) for column in zip(*rounds, strict=True))
    print(
        f"CPython {platform.python_version()}: nullcontext {null:.0f} ns, job {job:.0f} ns, added {job - null:.0f} ns"
    )


if __name__ == "__main__":
    main()
