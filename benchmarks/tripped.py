"""A hot function under a condition that is too expensive: when it is throttled, when the budget ends it, and what a call
costs before and after: `python -m benchmarks.tripped`.

A process of its own calls one small function all the time and notes how long each round of calls takes; a second one does
the same and is never armed: what its rounds differ by is what this machine can resolve.

The function makes no objects, nor does the loop: an arming leaves CPython's memory pools in another order, and where each
call makes an integer, that order makes it some 3 ns faster or slower, whoever made it.
"""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any

from tracepatch_ctl import Client
from tracepatch_ctl.events import End, Progress

ROUND = 200_000
REST_S = 4.0
NEVER_S = 2.0
PROGRAM = f"""
import itertools
import time
import tracepatch

def leaf(number):
    return number

def calls():
    for number in itertools.repeat(5, {ROUND}):
        leaf(number)

tracepatch.start(service="bench-tripped")
while True:
    began = time.perf_counter()
    calls()
    print(time.monotonic(), time.perf_counter() - began, flush=True)
"""
CONDITION = " or ".join(f"number == -{number}" for number in range(1, 30))


def main() -> None:
    """Measure and print."""
    print(f"CPython {platform.python_version()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    measure(armed=True)
    measure(armed=False)


def measure(*, armed: bool) -> None:
    """Run the program, with a probe in between, or nothing for as long as one takes."""
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch, tempfile.TemporaryFile("w+") as rounds:
        os.environ["TRACEPATCH_RUNTIME_DIR"] = scratch
        with subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=rounds) as program:
            try:
                time.sleep(REST_S)
                began = time.monotonic()
                if armed:
                    throttled, ended, reason = watch(program.pid, began)
                    print(f"throttled after {throttled:.2f} s, ended after {ended:.2f} s: {reason}")
                else:
                    ended = NEVER_S
                    time.sleep(ended)
                time.sleep(REST_S)
            finally:
                program.kill()
        rounds.seek(0)
        took = [tuple(map(float, line.split())) for line in rounds.read().splitlines()]
    before = [s for at, s in took if at < began][2:]
    after = [s for at, s in took if at - s > began + ended + 0.1]
    ratio = statistics.median(after) / statistics.median(before)
    print(
        f"{'a round before' if armed else 'never armed: a round before'} {ms(before)}, after {ms(after)}: {ratio:.3f} x"
        f" ({len(before)} and {len(after)} rounds)"
    )


def watch(pid: int, began: float) -> tuple[float, float, Any]:
    """Arm, and return after how many seconds tasks were passed over for the budget, and the probe ended, and why."""
    throttled = 0.0
    reason: Any = None
    with Client(pid=[pid]) as client, client.arm(["__main__:leaf"], where=CONDITION, ttl_s=60) as session:
        for event in session:
            if isinstance(event, Progress) and event.tally.throttled and not throttled:
                throttled = time.monotonic() - began
            if isinstance(event, End):
                reason = event.reason
    return throttled, time.monotonic() - began, reason


def ms(seconds: list[float]) -> str:
    return f"{statistics.median(seconds) * 1e3:.2f} ms"


if __name__ == "__main__":
    main()
