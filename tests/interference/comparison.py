"""A suite of CPython's own tests, bare and traced, each in a process of its own; and the difference."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .known import KNOWN, Known

FOLDER = Path(__file__).resolve().parent
VERSION = "{}.{}".format(*sys.version_info)
SUITES = (
    "test_generators",
    "test_coroutines",
    "test_asyncgen",
    "test_contextlib_async",
    "test_exceptions",
    "test_asyncio.test_tasks",
)
TRACED = ("armed", "block")
TRIES = 3
"""A test that comes out the same in one of so many runs, bare and traced, depends on something else than tracing."""


class Broken(Exception):
    """A suite did not run to its end: the process died, or something of ours was left."""


@dataclass(frozen=True)
class Line:
    """What became of one test."""

    outcome: tuple[str, ...]
    traces: int
    nodes: int


@dataclass
class Compared:
    """A suite in one way of tracing."""

    suite: str
    mode: str
    tests: int = 0
    traced: int = 0
    nodes: int = 0
    different: dict[str, tuple[Line, Line | None]] = field(default_factory=dict)
    """Test -> bare, traced: neither known nor unstable."""
    known: list[str] = field(default_factory=list)
    unstable: list[str] = field(default_factory=list)
    """Different once, the same when run again."""


def run(suite: str, mode: str, only: Sequence[str] = (), *, timeout_s: float = 1800.0) -> dict[str, Line]:
    """Return test -> outcome; raise `Broken`."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "outcomes"
        # Tests write into the working directory, and find more of themselves by the interpreter's own means.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        process = subprocess.run(
            [sys.executable, str(FOLDER / "suite.py"), f"test.{suite}", mode, str(output), *only],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout_s,
        )
        lines = (
            [json.loads(line) for line in output.read_text("utf-8").splitlines()] if output.exists() else []
        )
    if process.returncode or not lines or "end" not in lines[-1]:
        last = lines[-1]["test"] if lines and "test" in lines[-1] else "none"
        text = process.stderr.decode(errors="replace")[-3000:]
        raise Broken(f"{suite} {mode}: exit status {process.returncode}, last test {last}\n{text}")
    return {line["test"]: _line(line) for line in lines[:-1]}


def _line(line: dict[str, Any]) -> Line:
    return Line(tuple(line["outcome"]), line["traces"], line["nodes"])


def compare(suite: str, bare: dict[str, Line], mode: str) -> Compared:
    """Run a suite traced and compare it with its bare run."""
    result = Compared(suite, mode)
    again: list[str] = []
    traced = run(suite, mode)
    _count(result, traced)
    for test, line in bare.items():
        if not _same(line, traced.get(test)):
            if known(test) is not None:
                result.known.append(test)
            else:
                again.append(test)
    for test in again:
        for _ in range(TRIES - 1):
            plain, second = run(suite, "bare", [test])[test], run(suite, mode, [test]).get(test)
            if _same(plain, second):
                result.unstable.append(test)
                break
        else:
            result.different[test] = bare[test], traced.get(test)
    return result


def _count(result: Compared, lines: dict[str, Line]) -> None:
    result.tests = len(lines)
    result.traced = sum(line.traces > 0 for line in lines.values())
    result.nodes = sum(line.nodes for line in lines.values())


def _same(bare: Line, traced: Line | None) -> bool:
    return traced is not None and bare.outcome == traced.outcome


def known(test: str) -> Known | None:
    """Return what is known of a test on this Python."""
    for item in KNOWN:
        if test.endswith("." + item.test) and (not item.pythons or VERSION in item.pythons):
            return item
    return None


def not_confirmed(suite: str, bare: dict[str, Line]) -> list[str]:
    """Return the known tests of a suite that a tracer which does nothing leaves as they are."""
    listed = [test for test in bare if known(test) is not None]
    for _ in range(TRIES):  # one of them waits for a signal, and a busy machine is late
        if listed:
            idle = run(suite, "idle", listed)
            listed = [test for test in listed if _same(bare[test], idle.get(test))]
    return listed


def importable(suite: str) -> bool:
    """Tell whether this Python has the suite: its newest are not in the oldest, and some come without tests."""
    command = [sys.executable, str(FOLDER / "suite.py"), f"test.{suite}", "find", os.devnull]
    return subprocess.run(command, capture_output=True).returncode == 0


def summary(results: Iterable[Compared]) -> str:
    """Return one line a result, as a table."""
    head = f"{'suite':<28} {'way':<6} {'tests':>6} {'traced':>7} {'nodes':>9} {'differ':>7} {'known':>6} {'unstable':>9}"
    rows = [
        f"{item.suite:<28} {item.mode:<6} {item.tests:>6} {item.traced:>7} {item.nodes:>9} {len(item.different):>7}"
        f" {len(item.known):>6} {len(item.unstable):>9}"
        for item in results
    ]
    return "\n".join([head, *rows])
