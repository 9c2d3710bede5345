"""Runs one suite of CPython's own tests, bare or with each of its test methods traced; a line of JSON for each.

    python suite.py MODULE MODE OUTPUT [TEST ...]

MODE is `bare`; `armed`: a probe on every test method, recording all; `block`: `tracepatch.trace()` around each;
`idle`: a tracer written in Python that does nothing; `find`: only look whether the suite is there.
The agent itself does not run here: its thread would be one thread more in tests that count threads.
"""

from __future__ import annotations

import functools
import gc
import importlib.util
import json
import re
import sys
import traceback
import unittest
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
RECORDER_CALLS = 6
"""How many calls of its own a recorder makes above the function that it is told of."""
MAX_CALLS = 100_000
"""Nodes of one test; what a test calls beyond is not recorded."""


class Outcomes(unittest.TestResult):
    """What became of each test, as text that does not change from run to run."""

    def __init__(self, write: Callable[[dict[str, Any]], None], nodes: Callable[[], tuple[int, int]]) -> None:
        super().__init__()
        self._write = write
        self._nodes = nodes
        self._outcome: list[str] = []

    def startTest(self, test: unittest.TestCase) -> None:
        super().startTest(test)
        self._outcome = []

    def stopTest(self, test: unittest.TestCase) -> None:
        super().stopTest(test)
        traces, nodes = self._nodes()
        outcome = self._outcome or ["nothing"]
        self._write({"test": test.id(), "outcome": outcome, "traces": traces, "nodes": nodes})

    def addSuccess(self, test: unittest.TestCase) -> None:
        self._outcome.append("ok")

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:
        self._outcome.append(f"skipped: {reason}")

    def addFailure(self, test: unittest.TestCase, err: Any) -> None:
        self._outcome.append(_error("failed", err))

    def addError(self, test: unittest.TestCase, err: Any) -> None:
        self._outcome.append(_error("error", err))

    def addExpectedFailure(self, test: unittest.TestCase, err: Any) -> None:
        self._outcome.append(_error("expected failure", err))

    def addUnexpectedSuccess(self, test: unittest.TestCase) -> None:
        self._outcome.append("unexpected success")

    def addSubTest(self, test: unittest.TestCase, subtest: unittest.TestCase, err: Any) -> None:
        if err is not None:
            self._outcome.append(_error(f"{subtest._subDescription()}", err))  # type: ignore[attr-defined]


def _error(what: str, err: Any) -> str:
    text = "".join(traceback.format_exception_only(err[0], err[1]))
    return f"{what}: {re.sub('0x[0-9a-f]+', '0x', text.strip())[:2000]}"


def tests_of(suite: unittest.TestSuite) -> Iterator[unittest.TestCase]:
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from tests_of(item)
        else:
            yield item


class Armed:
    """A probe on every test method, and the work that the agent's thread does with it, after each test."""

    def __init__(self, tests: list[unittest.TestCase]) -> None:
        from tracepatch import tracing
        from tracepatch.probe import Probe, options_from_wire
        from tracepatch.resolve import resolve
        from tracepatch_shared.targets import parse_target

        modules = {cls.__module__ for test in tests for cls in type(test).__mro__}
        targets = [f"{module}:*.test*" for module in sorted(modules) if module.startswith("test.")]
        targets.append("doctest:DocTestCase.runTest")
        limits = {"max_calls": MAX_CALLS, "max_bytes": 64 << 20, "max_duration_s": 600.0, "max_depth": 1000}
        options = {"probe_id": "0" * 8, "targets": targets, "count": 1000, "ttl_s": 3600, "lease_s": None}
        options.update(operator="test@here", scope={"all": True}, limits=limits)
        self._probe = Probe(options_from_wire(options))
        self._tracing = tracing.Tracing(int)
        parsed = [parse_target(target) for target in targets]
        resolution = resolve(parsed)
        assert not resolution.refused, resolution.refused
        # What a test method defines is the test's own business: one gives such a function a table of lines for the
        # bytecode that it has without a call inserted.
        resolution.functions[:] = [function for function in resolution.functions if _is_method(function.name)]
        self._tracing.arm(self._probe, parsed, resolution)

    def __call__(self) -> tuple[int, int]:
        """Return the number of traces since last time and the nodes in their trees."""
        from tracepatch_shared.tree import TraceReader

        self._probe.permits.extend([None] * (1000 - len(self._probe.permits)))
        self._tracing.expire(2**62)
        readers: dict[str, TraceReader] = {}
        for piece in self._tracing.drain():
            readers.setdefault(piece.trace_id, TraceReader()).feed(piece.data)
        return len(readers), sum(sum(1 for _ in reader.trace.nodes()) for reader in readers.values())

    def wrap(self, test: unittest.TestCase) -> None:
        """Nothing: the test method is armed."""

    def end(self) -> None:
        clean = self._tracing.release()
        assert clean["ok"], clean


def _is_method(name: str) -> bool:
    return name.rpartition(".")[2].startswith(("test", "runTest"))


class Block:
    """`trace()` around every test method."""

    def __init__(self, tests: list[unittest.TestCase]) -> None:
        self._blocks: list[Any] = []

    def __call__(self) -> tuple[int, int]:
        traces, nodes = len(self._blocks), sum(block.call_count for block in self._blocks)
        self._blocks.clear()
        return traces, nodes

    def wrap(self, test: unittest.TestCase) -> None:
        import tracepatch

        block = tracepatch.trace(cache=False, capture="safe", max_calls=MAX_CALLS, max_depth=1000)
        name = test._testMethodName
        method = getattr(test, name)

        def counted() -> None:
            self._blocks.append(block)
            delattr(test, name)  # a suite's thousands of trees would keep the collector busy

        test.addCleanup(counted)
        setattr(test, name, functools.wraps(method)(block(method)))

    def end(self) -> None:
        from tracepatch.cores import core

        clean = core().clean()
        assert clean["ok"], clean


class Bare:
    def __init__(self, tests: list[unittest.TestCase]) -> None:
        pass

    def __call__(self) -> tuple[int, int]:
        return 0, 0

    def wrap(self, test: unittest.TestCase) -> None:
        pass

    def end(self) -> None:
        pass


class Idle(Bare):
    """Callbacks for the events that a core uses, which do nothing but look at arguments, and stand as high on the stack
    as a recorder's that is written in Python: what they change, any tracer changes."""

    def __init__(self, tests: list[unittest.TestCase]) -> None:
        if sys.version_info >= (3, 12):
            monitoring, kinds = sys.monitoring, sys.monitoring.events
            names = ("PY_START", "PY_RETURN", "PY_UNWIND", "PY_THROW", "PY_YIELD", "PY_RESUME")
            monitoring.use_tool_id(4, "idle")
            for name in names:
                monitoring.register_callback(4, getattr(kinds, name), lambda *_: None)
            monitoring.set_events(4, sum(getattr(kinds, name) for name in names))
        else:
            self._lines: dict[int, int] = {}
            sys.settrace(self._followed)

    def _followed(self, frame: Any, event: str, _value: object) -> Any:
        # Which exception leaves a frame shows by the lines of its handlers.
        lines = self._lines
        lines[id(frame)] = 2 if event == "exception" else lines.get(id(frame), 0) - 1
        frame.f_trace_lines = lines[id(frame)] > 0
        if event == "call":
            len(frame.f_locals)
        _stand(RECORDER_CALLS)
        return self._followed


def _stand(calls: int) -> None:
    if calls > 1:
        _stand(calls - 1)


MODES: dict[str, Any] = {"bare": Bare, "armed": Armed, "block": Block, "idle": Idle}


def find_tests() -> None:
    """Make CPython's tests importable where this Python came without them and `.ci/cpython-tests` unpacked them."""
    import test

    unpacked = FOLDER.parent.parent / ".venvs" / "cpython-tests" / sys.version.split()[0] / "test"
    if unpacked.is_dir():
        test.__path__.append(str(unpacked))


def main(module: str, mode: str, output: str, only: list[str]) -> None:
    find_tests()
    if mode == "find":
        sys.exit(importlib.util.find_spec(module) is None)
    tests = list(tests_of(unittest.defaultTestLoader.loadTestsFromModule(importlib.import_module(module))))
    tests = [test for test in tests if not only or test.id() in only]
    with open(output, "w", encoding="utf-8") as stream:

        def write(line: dict[str, Any]) -> None:
            print(json.dumps(line), file=stream, flush=True)

        tracer = MODES[mode](tests)
        for test in tests:
            tracer.wrap(test)
        unittest.TestSuite(tests).run(Outcomes(write, tracer))
        gc.collect()
        tracer.end()
        write({"end": len(tests)})


if __name__ == "__main__":
    sys.path[0] = str(FOLDER.parent)
    main(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:])
