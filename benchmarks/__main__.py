"""Run all contenders and print one table."""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile

from . import contenders, rounds

ARGS = "VizTracer, arguments and returns"
NO_ARGS = "VizTracer, no arguments"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few rounds: does it work?")
    quick = parser.parse_args().quick
    print(
        f"CPython {platform.python_version()}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}"
    )
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        os.environ["TRACEPATCH_RUNTIME_DIR"] = os.path.join(scratch, "run")
        os.environ["TRACEPATCH_STORE"] = os.path.join(scratch, "traces.db")
        quiet(5 if quick else 60)
        recording(2 if quick else 9)
        bystander(3 if quick else 25)


def quiet(count: int) -> None:
    """Show what a process pays in which nothing is traced."""
    kinds = {"bare": contenders.bare, "dormant": contenders.dormant, "waiting": contenders.waiting}
    # Starting and arming leave cold caches and threads that are about to end: not what is measured.
    times = rounds.calls(kinds, rounds=count, serves=8000, settle=8000)
    header("nothing is traced", "ns per call", "x bare")
    for name in kinds:
        row(name, rounds.median(times, name), f"{rounds.ratio(times, name, 'bare'):.3f}")


def recording(count: int) -> None:
    """Show what a traced call pays, here and elsewhere."""
    kinds = {
        "bare": contenders.bare,
        "tracepatch": contenders.tracing(capture="safe"),
        "tracepatch, repr": contenders.tracing(),
        ARGS: contenders.viztracer(log_func_args=True, log_func_retval=True),
        NO_ARGS: contenders.viztracer(),
        "cProfile": contenders.cprofile,
        "no-op callbacks": contenders.noop,
    }
    try:
        kinds["tracepatch 0.1.0"] = contenders.seed_tracing()
    except OSError as error:
        print(f"left out: {error}", file=sys.stderr)
    times = rounds.calls(kinds, rounds=count, serves=900)
    header("a traced call", "ns added", "x VizTracer a+r", "x VizTracer")
    for name in kinds:
        added = rounds.median(times, name) - rounds.median(times, "bare")
        if name == "bare":
            row("bare (whole call)", rounds.median(times, "bare"))
        else:
            row(
                name,
                added,
                *(f"{rounds.added_ratio(times, name, base, 'bare'):.2f}" for base in (ARGS, NO_ARGS)),
            )


def bystander(count: int) -> None:
    """Show what a task pays while another task of its loop is traced."""
    kinds = {
        "nobody traced": contenders.bare,
        "tracepatch": contenders.tracing(capture="safe"),
        "no-op callbacks": contenders.noop,
    }
    calls, awaits = rounds.bystanders(kinds, rounds=count, serves=900)
    header("a task beside a traced one", "ns per call", "x bare", "x no-op added", "ns per await", "x bare")
    for name in kinds:
        added = (
            ""
            if name == "nobody traced"
            else f"{rounds.added_ratio(calls, name, 'no-op callbacks', 'nobody traced'):.2f}"
        )
        row(
            name,
            rounds.median(calls, name),
            f"{rounds.ratio(calls, name, 'nobody traced'):.3f}",
            added,
            f"{rounds.median(awaits, name):.0f}",
            f"{rounds.ratio(awaits, name, 'nobody traced'):.3f}",
        )


def header(title: str, *columns: str) -> None:
    """Print the head of one part of the table."""
    print(f"\n{title:34}" + "".join(f"{column:>16}" for column in columns))


def row(name: str, ns: float, *more: str) -> None:
    """Print one line."""
    print(f"{name:34}{ns:16.1f}" + "".join(f"{column:>16}" for column in more), flush=True)


if __name__ == "__main__":
    main()
