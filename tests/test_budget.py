"""What others pay: throttled within the second, ended only when it goes on."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ctl import ctl, environment
from processes import TARGETS, python_process
from targets import kept, steady
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


def test_what_is_looked_at_and_not_recorded_is_paid_by_others_too() -> None:
    tax = Tax()
    for second in (1, 2, 3):
        tax.miss(SECOND // 50, second * SECOND)
        tax.add(0.04 * SECOND, second * SECOND + 5)
        assert tax.passed(0.05, second * SECOND + 6) is (second == 3)
    assert tax.used_up(0.05, 3 * SECOND + 7)
    assert not tax.used_up(0.05, 4 * SECOND)
    assert tax.share == pytest.approx(0.06)
    assert tax.missed_ns == 3 * SECOND // 50
    tax.add(0.0, 20 * SECOND)
    assert (tax.share, tax._missed) == (0.0, {})


def test_an_expensive_condition_on_a_hot_function_throttles_and_then_ends_the_probe() -> None:
    enough = threading.Event()
    items = [str(number) for number in range(400)]

    def run() -> None:
        while not enough.is_set():
            kept.leaf(items)  # type: ignore[arg-type]

    with bench() as made:
        probe = made.arm("targets.kept:leaf", where='"x" in value or "y" in value', limits={"budget": 0.01})
        thread = threading.Thread(target=run)
        thread.start()
        try:
            until = time.monotonic() + 30
            while not made.tracing.over(0.01) and time.monotonic() < until:
                assert made.traces() == []
                time.sleep(0.02)  # the agent's thread looks ten times a second at the most
        finally:
            enough.set()
            thread.join()
        assert made.tracing.over(0.01)
        assert probe.throttled > probe.where_false > 0
        spent_ns, share = made.tracing.tax()
        assert spent_ns > 0
        assert share > 0.01


def test_a_condition_that_costs_little_for_few_tasks_is_never_throttled() -> None:
    with bench() as made:
        probe = made.arm("targets.kept:leaf", where="value == 'b'")
        for _ in range(20):
            kept.leaf("a")
        made.traces()
        assert (probe.where_false, probe.throttled) == (20, 0)
        spent_ns, share = made.tracing.tax()
        assert 0 < spent_ns < SECOND // 10
        assert 0 < share < 0.05
        assert not made.tracing.over(0.05)


def test_looking_at_calls_that_have_to_occur_is_counted() -> None:
    with bench() as made:
        made.arm("targets.kept:work", having=["targets.kept:leaf(value == 'b')"])
        kept.work("a")
        made.traces()
        assert made.tracing.tax()[0] > 0
        assert made.tracing._tax.missed_ns > 0


def test_the_probe_says_that_it_ended_by_its_budget(runtime_dir: Path, tmp_path: Path) -> None:
    env = environment(XDG_STATE_HOME=str(tmp_path))
    with python_process(TARGETS / "hot.py") as app:
        app.expect("up")
        done = ctl(
            "arm",
            "__main__:leaf",
            "--where",
            "number == -1",
            "--pid",
            str(app.pid),
            "--json",
            "--ttl",
            "1m",
            env=env,
        )
    end = json.loads(done.stdout.splitlines()[-1])
    assert (done.returncode, end["reason"], end["option"], end["clean"]) == (5, "budget", "--budget", True)
    assert end["throttled"] > end["where_false"] > 0
    assert end["others_share"] > 0.05
