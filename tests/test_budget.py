"""What others pay: throttled within the second, ended only when it goes on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from targets import steady
from tracepatch import pyversion
from tracepatch.budget import Tax
from tracing_helpers import bench

SECOND = 1_000_000_000


def test_a_second_is_used_up_and_the_next_is_not() -> None:
    tax = Tax()
    tax.add(0.03 * SECOND, 5 * SECOND)
    assert not tax.used_up(0.05, 5 * SECOND)
    tax.add(0.02 * SECOND, 5 * SECOND + 1)
    assert tax.used_up(0.05, 5 * SECOND + 2)
    assert tax.share == pytest.approx(0.05)
    assert not tax.used_up(0.05, 6 * SECOND)


def test_three_seconds_of_five_are_too_many() -> None:
    for over, passed in (
        ((1, 2), False),
        ((1, 2, 3), True),
        ((1, 3, 5), True),
        ((1, 2, 6), False),
        ((1, 2, 3, 9), False),
    ):
        tax = Tax()
        for second in range(1, max(over) + 1):
            tax.add((0.06 if second in over else 0.01) * SECOND, second * SECOND)
        assert tax.passed(0.05, max(over) * SECOND) is passed, over


def test_one_expensive_moment_ends_nothing() -> None:
    tax = Tax()
    tax.add(0.9 * SECOND, 7 * SECOND)
    assert not tax.passed(0.05, 7 * SECOND)


@pytest.mark.skipif(not pyversion.MONITORING, reason="others pay nothing before 3.12")
def test_a_bystander_in_a_hot_loop_throttles_and_then_ends_the_probe() -> None:
    enough = threading.Event()

    def repeat(function: Callable[[], object]) -> threading.Thread:
        def run() -> None:
            while not enough.is_set():
                function()

        thread = threading.Thread(target=run)
        thread.start()
        return thread

    with bench() as made:
        probe = made.arm("targets.steady:slow", count=1000, limits={"budget": 0.01})
        threads = [repeat(lambda: steady.leaf(1)), repeat(steady.slow)]
        try:
            until = time.monotonic() + 30
            while not made.tracing.over(0.01) and time.monotonic() < until:
                made.traces()
        finally:
            enough.set()
            for thread in threads:
                thread.join()
        assert made.tracing.over(0.01)
        assert probe.throttled > 0
        made.traces()
