"""The agent's thread gets the GIL beside threads that let go of it all the time, and gives back what it set for that."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from ctl import ctl, environment
from processes import TARGETS, python_process, wait_for
from tracepatch import awake
from tracepatch.cores import core
from tracing_helpers import bench

native: Any = pytest.importorskip(
    "tracepatch.cores._native", reason="installed where no C compiler is", exc_type=ImportError
)

pytestmark = pytest.mark.skipif(
    sys.version_info < (3, 12), reason="the interval stays: see cores/native/wait.c"
)

OURS_US = 103


def interval_us() -> int:
    return round(sys.getswitchinterval() * 1e6)


@pytest.mark.parametrize("turn", ["0.0005", "0.004"])
def test_a_loop_that_is_never_idle_is_reached(runtime_dir, turn: str) -> None:
    """Its turns are shorter than the interpreter's 5 ms, so that nobody asks it for the GIL."""
    with python_process(TARGETS / "never_idle.py", turn) as app:
        app.expect("up")
        done = ctl(
            "arm", "__main__:turn", "-n", "3", "--ttl", "20s", "--pid", str(app.pid), env=environment()
        )
        assert "3 of 3 kept" in done.stderr, done.stderr
        told = len(app.lines)
        wait_for(lambda: len(app.lines) > told + 1, 10)
    assert app.lines[-1] == "interval 0.005", "as before"


@pytest.fixture(params=["native", "python"])
def slept(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The module as it is with the native core, and without it."""
    if request.param == "native":
        yield awake
        awake.rest()
        return
    import importlib.util

    monkeypatch.setitem(sys.modules, "tracepatch.cores._native", None)
    spec = importlib.util.spec_from_file_location("tracepatch.awake_without_c", awake.__file__)
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    assert made.wait is not native.wait
    yield made
    made.rest()


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    yield reader, writer
    os.close(reader)
    os.close(writer)


def test_the_interval_is_short_as_long_as_the_thread_is_awake(slept: Any, pipe: tuple[int, int]) -> None:
    before = interval_us()
    during: list[int] = []
    reader, writer = pipe

    def looks() -> None:
        wait_for(lambda: during or interval_us() == before)
        during.append(interval_us())
        os.write(writer, b"x")

    slept.wait(reader, reader, 0)
    assert interval_us() == OURS_US
    looker = threading.Thread(target=looks)
    looker.start()
    slept.wait(reader, reader, 10_000)
    looker.join()
    assert during == [before]
    assert interval_us() == OURS_US
    slept.rest()
    assert interval_us() == before


def test_what_others_set_meanwhile_stays(slept: Any, pipe: tuple[int, int]) -> None:
    before = interval_us()
    try:
        slept.wait(pipe[0], pipe[0], 0)
        sys.setswitchinterval(0.02)
        slept.wait(pipe[0], pipe[0], 0)
        assert interval_us() == OURS_US
        slept.rest()
        assert interval_us() == 20_000
        sys.setswitchinterval(0.00001)
        slept.wait(pipe[0], pipe[0], 0)
        assert interval_us() == 10
        slept.rest()
        assert interval_us() == 10
    finally:
        sys.setswitchinterval((before + 0.25) / 1e6)


def test_what_somebody_read_meanwhile_and_sets_again_is_not_taken_for_his(
    slept: Any, pipe: tuple[int, int]
) -> None:
    before = interval_us()
    try:
        slept.wait(pipe[0], pipe[0], 0)
        read = sys.getswitchinterval()
        sys.setswitchinterval(1e-6)
        slept.wait(pipe[0], pipe[0], 0)
        slept.rest()
        sys.setswitchinterval(read)
        slept.wait(pipe[0], pipe[0], 0)
        slept.rest()
        assert interval_us() == before
    finally:
        sys.setswitchinterval((before + 0.25) / 1e6)


def test_a_file_that_was_closed_is_no_reason_to_turn_for_ever(slept: Any, pipe: tuple[int, int]) -> None:
    closed = os.dup(pipe[0])
    os.close(closed)
    with pytest.raises(OSError):
        slept.wait(pipe[0], closed, 1_000)


def test_a_fork_child_of_a_thread_that_is_awake_has_its_own_interval(pipe: tuple[int, int]) -> None:
    from tracepatch.endpoint import Endpoint

    before = interval_us()
    awake.wait(pipe[0], pipe[0], 0)
    Endpoint.after_fork_in_child(None)  # type: ignore[arg-type]
    assert interval_us() == before


def aimed_at() -> int:
    return 1


@pytest.mark.skipif(sys.version_info < (3, 12), reason="`Turn` does this before 3.12")
def test_a_task_that_meets_the_agents_thread_at_the_gate_is_recorded() -> None:
    gate = core()._gate  # type: ignore[attr-defined]
    with bench() as made:
        made.arm(f"{__name__}:aimed_at", count=2)
        gate["turn"] = object()
        threading.Timer(0.001, gate.clear).start()
        aimed_at()
        assert len(made.traces()) == 1
        gate["turn"] = object()
        began = time.perf_counter()
        aimed_at()
        assert time.perf_counter() - began > 0.004, "it waited"
        gate.clear()
        assert len(made.traces()) == 1
        aimed_at()
        assert len(made.traces()) == 2
