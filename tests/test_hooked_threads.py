"""A thread that waits while its trace is ended keeps the hook (3.10, 3.11) until it goes on, and is counted until then."""

from __future__ import annotations

import sys
import threading
from _thread import LockType
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from processes import wait_for
from tracepatch.cores import core
from tracing_helpers import bench

pytestmark = pytest.mark.skipif(sys.version_info >= (3, 12), reason="the trace hook is used before 3.12 only")


def within(gates: list[LockType]) -> None:
    waits(gates[0])  # returns where no call follows
    gates[1].acquire()


def waits(gate: LockType) -> None:
    gate.acquire()


def apart(gates: list[LockType]) -> None:
    """Wait where nothing is recorded any more, then call."""
    gates[0].acquire()
    len(gates)
    waits(gates[1])


def catches(gates: list[LockType]) -> None:
    try:
        raises(gates)
    except LookupError:
        gates[1].acquire()


def raises(gates: list[LockType]) -> None:
    gates[0].acquire()
    raise LookupError


@contextmanager
def started(function: Callable[[list[LockType]], None]) -> Iterator[tuple[threading.Thread, list[LockType]]]:
    """Run a function in a thread, which waits at its gates."""

    gates = [threading.Lock(), threading.Lock()]
    for gate in gates:
        gate.acquire()
    thread = threading.Thread(target=function, args=(gates,))
    thread.start()
    try:
        yield thread, gates
    finally:
        for gate in gates:
            if gate.locked():
                gate.release()
        thread.join(10)


def stands_at(thread: threading.Thread, line: int) -> bool:
    """Tell whether a thread has come to the line that holds it, after which nothing is told before it goes on."""
    frame = sys._current_frames().get(thread.ident or 0)
    return frame is not None and frame.f_lineno == line


def line_of(function: Any, after: int = 1) -> int:
    return int(function.__code__.co_firstlineno) + after


def left() -> tuple[int, bool]:
    """Return how many threads carry the hook, and whether the agent says so for as long."""
    clean = core().clean()
    assert clean["ok"], clean
    return clean["hooked_threads"], "threads that wait" in core().reason


@pytest.mark.parametrize(
    ("function", "first", "then"),
    [(within, line_of(waits), line_of(within, 2)), (apart, line_of(apart, 2), line_of(waits))],
)
def test_a_thread_that_waits_is_counted_until_it_goes_on(function: Any, first: int, then: int) -> None:
    with started(function) as (idle, _), bench() as made:
        wait_for(lambda: stands_at(idle, first))
        made.arm(f"{__name__}:{function.__name__}")
        with started(function) as (thread, gates):
            wait_for(lambda: stands_at(thread, first))
            assert made.tracing.release()["hooked_threads"] == 1
            assert left() == (1, True), "the one that began before is not hooked"
            gates[0].release()
            wait_for(lambda: stands_at(thread, then))
            assert left() == (0, False)


def test_a_thread_that_goes_on_with_an_exception() -> None:
    with bench() as made:
        made.arm(f"{__name__}:raises")
        with started(catches) as (thread, gates):
            wait_for(lambda: stands_at(thread, line_of(raises)))
            made.tracing.release()
            assert left() == (1, True)
            gates[0].release()
            wait_for(lambda: stands_at(thread, line_of(catches, 4)))
            assert left() == (0, False)


def test_a_trace_that_ends_by_itself_leaves_no_hook() -> None:
    with bench() as made:
        made.arm(f"{__name__}:within")
        with started(within) as (thread, gates):
            wait_for(lambda: stands_at(thread, line_of(waits)))
            gates[0].release()
            wait_for(lambda: stands_at(thread, line_of(within, 2)))
            gates[1].release()
            thread.join(10)
            assert made.trace().status == "complete"
        assert made.tracing.release()["hooked_threads"] == 0


def test_a_thread_whose_hook_the_interpreter_took_off_is_not_counted() -> None:
    """As where a signal handler raises just as the hook is entered: the trace is ended by whoever looks for it."""
    with bench() as made:
        made.arm(f"{__name__}:loses")
        loses()
        for _ in range(2):
            made.tracing.expire()
        assert made.trace().reason == "interrupted"
        assert made.tracing.release()["hooked_threads"] == 0


def loses() -> None:
    sys.settrace(None)
