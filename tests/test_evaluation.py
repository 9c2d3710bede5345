"""The evaluation hook (3.10, 3.11): what it leaves to the trace hook comes there as without it, and what it takes is right."""

from __future__ import annotations

import asyncio
import cProfile
import gc
import os
import pstats
import re
import sys
import threading
from collections.abc import Iterator
from contextvars import ContextVar
from types import FrameType
from typing import Any

import pytest

from processes import wait_for
from targets import evaluated
from tracepatch import recording
from tracepatch.cores import core
from tracing_helpers import bench, names

pytestmark = pytest.mark.skipif(
    sys.version_info >= (3, 12) or core().name != "native", reason="the native core's on 3.10 and 3.11"
)


# ---- what comes to the trace hook -----------------------------------------------------------------------------------


class Listener:
    """A trace hook that writes down what it is told in one Context."""

    def __init__(self) -> None:
        self.here: ContextVar[object] = ContextVar("here", default=None)
        self.told: list[Any] = []
        self.called = self._called

    def _called(self, frame: FrameType, event: str, _value: object) -> Any:
        if self.here.get() is None or frame.f_code.co_filename != evaluated.__file__:
            return None
        names = sorted((name, type(value).__name__) for name, value in frame.f_locals.items())
        self.told.append((event, frame.f_code.co_name, names))
        frame.f_trace_lines = False
        return self._follows

    def _follows(self, frame: FrameType, event: str, value: Any) -> Any:
        frame.f_trace_lines = event == "exception"
        if event == "exception":
            value = (value[0].__name__, str(value[1]))
        shown = re.sub(r"0x\w+|\d+\.\d+", "", repr(value))
        self.told.append((event, frame.f_code.co_name, frame.f_lineno, shown))
        return self._follows

    def listen(self, program: Any) -> list[Any]:
        self.told.clear()
        token = self.here.set(self)
        sys.settrace(self.called)
        try:
            program()
        finally:
            sys.settrace(None)
            self.here.reset(token)
        return list(self.told)


@pytest.fixture
def listener() -> Iterator[Listener]:
    """With the evaluation hook in, for its trace hook, and nobody recording: all that is in its Context is left to it."""
    from tracepatch.cores import _native

    made = Listener()
    of_core = dict(core()._evaluates)  # type: ignore[attr-defined]
    _native.prepare(**{**of_core, "trace_hook": made.called, "variable": made.here})
    try:
        yield made
    finally:
        _native.stop()
        _native.prepare(**of_core)


@pytest.fixture(autouse=True)
def nothing_collects() -> Iterator[None]:
    """Libraries of other tests are told by calls when the collector runs."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def test_what_is_left_to_the_trace_hook_comes_as_without_the_evaluation_hook(listener: Listener) -> None:
    from tracepatch.cores import _native

    without = listener.listen(evaluated.everything)
    assert len(without) > 200
    assert _native.start()
    assert listener.listen(evaluated.everything) == without


def test_bystanders_are_passed_over_but_what_they_call_in_the_context_is_not(listener: Listener) -> None:
    from tracepatch.cores import _native

    def calls_from_outside() -> None:
        inside = listener.here.get()
        listener.here.set(None)
        evaluated.many(1)
        list(evaluated.items(2))
        listener.here.set(inside)
        evaluated.plain(7)

    without = listener.listen(calls_from_outside)
    assert [told[1] for told in without if told[0] == "call"] == ["plain", "inner"]
    assert _native.start()
    assert listener.listen(calls_from_outside) == without


# ---- what is recorded -----------------------------------------------------------------------------------------------


def test_python_is_not_asked_about_ordinary_functions(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    called, returned = recording.Recording.called, recording.Recording.returned
    monkeypatch.setattr(recording.Recording, "called", lambda *event: asked.append(event) or called(*event))
    monkeypatch.setattr(
        recording.Recording, "returned", lambda *event: asked.append(event) or returned(*event)
    )
    with bench() as made:
        made.arm("targets.evaluated:many")
        evaluated.many(100)
        assert made.trace().calls == 201
    assert len(asked) < 10


@pytest.mark.parametrize("stack_size", [0, 256 * 1024])
def test_deep_recursion_runs_as_deep_as_without(stack_size: int) -> None:
    depth = 60_000 if sys.version_info >= (3, 11) else 5_000
    if stack_size and depth == 5_000:
        pytest.skip("3.10 needs the stack by itself")
    limit = sys.getrecursionlimit()
    before = threading.stack_size(stack_size)
    reached = []
    with bench() as made:
        made.arm("targets.evaluated:descends", limits={"max_depth": 5_000})
        thread = threading.Thread(target=lambda: reached.append(evaluated.descends(depth)))
        sys.setrecursionlimit(2 * depth)
        try:
            thread.start()
            thread.join()
        finally:
            sys.setrecursionlimit(limit)
            threading.stack_size(before)
        trace = made.trace()
    assert reached == [depth]
    assert trace.status == "complete"
    assert trace.calls == 5_000
    assert {node.state for node in trace.nodes()} == {"returned"}
    assert sum(node.elided for node in trace.nodes()) == depth + 1 - 5_000


def test_the_recursion_limit_is_met_and_told() -> None:
    with bench() as made:
        made.arm("targets.evaluated:bottomless", limits={"max_depth": 5_000})
        assert evaluated.bottomless() == "caught"
        trace = made.trace()
    assert trace.status == "complete"
    root, *rest = trace.nodes()
    assert root.state == "returned"
    assert len(rest) > 500
    assert {node.state for node in rest} == {"raised"}


def test_a_profiler_counts_the_same() -> None:
    def counted() -> dict[str, int]:
        profile = cProfile.Profile()
        evaluated.profiled(profile)
        return {place[2]: calls[0] for place, calls in pstats.Stats(profile).stats.items()}  # type: ignore[attr-defined]

    without = counted()
    assert without["plain"] == 3
    with bench() as made:
        made.arm("targets.evaluated:profiled")
        assert counted() == without
        assert names(made.trace()).count("plain") == 3


def test_a_debugger_that_comes_is_told_everything_from_there_on() -> None:
    without: list[tuple[str, str]] = []
    evaluated.above(without)
    assert ("return", "descends") in without
    told: list[tuple[str, str]] = []
    with bench() as made:
        made.arm("targets.evaluated:above")
        evaluated.above(told)
        for _ in range(2):
            made.tracing.expire()
        assert made.trace().reason == "interrupted"
        assert made.tracing.release()["hooked_threads"] == 0
    assert told == without


def test_a_greenlet_that_goes_on_is_not_masked() -> None:
    pytest.importorskip("greenlet")
    with bench() as made:
        made.arm("targets.evaluated:switches")
        assert asyncio.run(evaluated.switches()) == ("from below", "from above", "last")
        trace = made.trace()
    assert trace.status == "complete"
    assert {node.state for node in trace.nodes()} == {"returned"}


def test_beside_another_evaluation_hook_the_trace_hook_does_it_all() -> None:
    from tracepatch.cores import _native

    with bench() as made:

        def beside(count: int) -> None:
            made.arm("targets.evaluated:many")
            evaluated.many(count)

        assert _native.evaluations(beside, 3) > 3
        assert "another tool evaluates" in core().reason
        assert names(made.trace()).count("plain") == 3
        made.arm("targets.evaluated:many")
        evaluated.many(3)
        assert made.traces()[-1].calls == 7
        assert "another tool" not in core().reason


def test_the_hook_is_out_when_nothing_records_any_more() -> None:
    from tracepatch.cores import _native

    with bench() as made:
        made.arm("targets.evaluated:many")
        evaluated.many(1)
        made.trace()
        assert _native.evaluations(evaluated.descends, 1) == 2


def test_threads_go_on_while_the_hook_comes_and_goes() -> None:
    ends = threading.Event()
    rounds = [0] * 2

    def works(index: int) -> None:
        while not ends.is_set():
            evaluated.catches()
            rounds[index] += 1

    threads = [threading.Thread(target=works, args=(index,)) for index in range(len(rounds))]
    for thread in threads:
        thread.start()
    try:
        with bench() as made:
            for number in range(1, 5):
                made.arm("targets.evaluated:catches")
                wait_for(lambda number=number: len(made.traces()) == number)
            assert {trace.status for trace in made.traces()} == {"complete"}
    finally:
        ends.set()
        for thread in threads:
            thread.join()
    assert all(rounds)


def test_a_child_has_no_hook() -> None:
    from tracepatch.cores import _native

    reading, writing = os.pipe()

    def forks() -> int:
        child = os.fork()
        if child == 0:
            os.write(writing, bytes([_native.evaluations(evaluated.descends, 1) == 2]))
            os._exit(0)
        return child

    with bench() as made:
        made.arm("targets.evaluated:calls")
        child = evaluated.calls(forks)
        assert made.trace().status == "complete"
    assert os.read(reading, 1) == b"\x01"
    os.close(reading)
    os.close(writing)
    os.waitpid(child, 0)
