"""One soak from beginning to end: the process, the driver, and what must be true afterwards."""

from __future__ import annotations

import os
import platform
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from processes import Process, process, short_directory, wait_for

from .driver import Driver
from .gauge import BLOCKS, RESIDENT

FLAT = 2 << 20
"""Bytes that the process may grow by after its warm-up."""
MORE_BLOCKS = 2_000
"""Blocks of memory that its objects may take more: 2 %, what another moment of 200 tasks makes."""
MOST_TOGGLES = 1 << 24
"""`set_events` calls that 3.13.0 allows in a process's life."""
WARM_UP = 0.25
JUDGED_S = 120.0
"""Shorter soaks are warm-up: what they grow by is printed only."""
BUDGET = "recording cost other work more than"
"""A warning that is right: what is armed here is called all the time, and the most that may be asked for is 25 %."""


@dataclass
class Result:
    """What to print, and what is wrong."""

    lines: list[str]
    failures: list[str]


def run(seconds: float, *, seed: int) -> Result:
    """Soak for so long."""
    with short_directory() as folder:
        env = {**os.environ, "TRACEPATCH_RUNTIME_DIR": str(folder / "r")}
        env["PYTHONPATH"] = str(Path(__file__).resolve().parents[1])
        with process([sys.executable, "-u", "-m", "soak.process"], env=env) as app:
            driver = Driver(app, app.expect("up").split()[1], seed)
            wait_for(lambda: driver.state()["rounds"] > 400, 60, what="threads and caches made")
            before = driver.state()
            threads, descriptors = driver.gauge.threads(), driver.gauge.descriptors()
            driver.soak(seconds)
            after = driver.state()
            failures = compared(driver, before, after, threads, descriptors)
            failures += ended(app)
    slope, growth = driver.gauge.growth(WARM_UP * seconds, what=RESIDENT)
    _, blocks = driver.gauge.growth(WARM_UP * seconds, what=BLOCKS)
    if seconds >= JUDGED_S and growth > FLAT:
        failures.append(f"it grew by {growth / 1e6:.1f} MB after its warm-up")
    if seconds >= JUDGED_S and blocks > MORE_BLOCKS:
        failures.append(f"its objects take {blocks:.0f} more blocks of memory than after its warm-up")
    if after["toggles"] * 100 > MOST_TOGGLES:
        failures.append(f"{after['toggles']} set_events calls")
    report = driver.report
    failures += report.problems
    resident = driver.gauge.resident
    return Result(
        lines=[
            f"CPython {platform.python_version()}, {seconds:.0f} s, seed {seed}: "
            f"{after['rounds'] - before['rounds']} rounds with {after['local']} blocks of trace() and {report.armed} probes",
            f"{sum(report.traces.values())} traces, {report.nodes} nodes checked: {dict(report.traces.most_common())}",
            f"sessions ended by {dict(report.ends.most_common())}; the agent was late {report.silent} times",
            f"set_events calls: {after['toggles']}, 2^24 after {lasts(after['toggles'], seconds)}",
            f"resident {min(resident) / 1e6:.1f} to {max(resident) / 1e6:.1f} MB, {slope * 60 / 1e3:+.0f} kB a minute, "
            f"{growth / 1e6:+.2f} MB and {blocks:+.0f} blocks since the warm-up",
            f"at rest, MB / 1000 blocks / rounds a second: {driver.gauge.series()}",
            f"threads {threads}, descriptors {descriptors}, the same at the end; clean {after['clean']}",
            *(f"WRONG: {failure}" for failure in failures[:20]),
            f"{len(failures)} failures" if failures else "nothing wrong, nothing left",
        ],
        failures=failures,
    )


def compared(
    driver: Driver, before: dict[str, Any], after: dict[str, Any], threads: int, descriptors: int
) -> list[str]:
    """Return what is not as it was before anything was armed."""
    failures = [f"the application: {wrong}" for wrong in after["wrong"]]
    if not after["clean"]["ok"] or after["tools"] or after["hooks"] or after["changed"]:
        failures.append(f"left behind: {after}")
    if after["threads"] != before["threads"]:
        failures.append(f"threads were {before['threads']}, are {after['threads']}")
    try:
        # A connection that was closed just now takes ZeroMQ a moment.
        wait_for(lambda: driver.gauge.descriptors() <= descriptors, 10, what=f"{descriptors} descriptors")
        wait_for(lambda: driver.gauge.threads() <= threads, 10, what=f"{threads} threads")
    except AssertionError as problem:
        failures.append(str(problem))
    return failures


def ended(app: Process) -> list[str]:
    """End the process; return what it complained of."""
    app.tell("stop")
    code = app.wait()
    return [f"it ended with {code}"] * bool(code) + [
        line for line in app.errors if line and BUDGET not in line
    ]


def lasts(toggles: int, seconds: float) -> str:
    """Return how long `MOST_TOGGLES` last at this rate."""
    return f"{MOST_TOGGLES / toggles * seconds / 86400:.0f} days at this rate" if toggles else "never"
