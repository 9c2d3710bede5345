"""A short soak; and what the soak looks for, it finds."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from soak import app
from soak.check import WrongTrace, check
from soak.gauge import BLOCKS, RESIDENT, Gauge
from soak.run import run
from tracepatch_shared.trace import Node, Trace
from tracing_helpers import bench

SECONDS = 15


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")
def test_a_short_soak(record_property: Any) -> None:
    result = run(SECONDS, seed=7)
    record_property("summary", "\n".join(result.lines))
    assert not result.failures, "\n".join(result.lines)


# ---- its eyes


@pytest.fixture
def trace() -> Trace:
    """One whole `handler` of task 7."""
    with bench() as made, ThreadPoolExecutor(1) as pool:
        made.arm("soak.app:handler")
        assert asyncio.run(app.handler(7, pool)) == 7
        return made.trace()


def test_a_right_trace_passes(trace: Trace) -> None:
    assert check(trace, whole=True) > 30
    assert check(trace, whole=False) > 30


def first(trace: Trace, function: str) -> Node:
    return next(node for node in trace.nodes() if node.function == function)


def carries_another_number(trace: Trace) -> None:
    first(trace, "leaf").values = (8, 0)


def returns_another_number(trace: Trace) -> None:
    first(trace, "note").returned = 8


def hangs_below_another_call(trace: Trace) -> None:
    first(trace, "fails").parent = first(trace, "stream").id


def misses_a_call(trace: Trace) -> None:
    root = trace.roots[0]
    root.children = [node for node in root.children if node.function != "fails"]


def misses_an_end(trace: Trace) -> None:
    first(trace, "leaf").state = "open"


def lost_a_call(trace: Trace) -> None:
    first(trace, "consume").state = "lost"


def has_a_call_that_does_not_carry_the_context(trace: Trace) -> None:
    first(trace, "fails").code.function = "elsewhere"


@pytest.mark.parametrize(
    "fault",
    [
        carries_another_number,
        returns_another_number,
        hangs_below_another_call,
        misses_a_call,
        misses_an_end,
        lost_a_call,
        has_a_call_that_does_not_carry_the_context,
    ],
)
def test_a_wrong_trace_is_found(trace: Trace, fault: Callable[[Trace], None]) -> None:
    fault(trace)
    with pytest.raises(WrongTrace):
        check(trace, whole=True)


def test_growth_is_the_slope_after_the_warm_up() -> None:
    gauge = Gauge(0)
    gauge.at_rest = [
        (0.0, 10, 5, 0),
        (5.0, 90, 5, 0),
        *((float(at), 100 + 2 * at, 7, 0) for at in range(10, 30)),
    ]
    slope, growth = gauge.growth(10, what=RESIDENT)
    assert (round(slope, 6), round(growth, 6)) == (2, 38)
    assert gauge.growth(10, what=BLOCKS) == (0, 0)
