"""`--where`: which of the tasks that begin are traced, in this process and from the command line."""

from __future__ import annotations

import asyncio
import gc
import json
import re
import sys
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import tracepatch
from ctl import COMMAND, ctl, environment
from processes import Process, process, python_process, wait_for
from targets import customers, kinds
from targets.customers import Basket
from tracepatch.cores import core
from tracepatch_shared.errors import ConditionError, Refused
from tracing_helpers import bench, names

PAY = "targets.customers:pay"
TARGET = Path(customers.__file__)


def pay(user_id: int, *extra: str, total: int = 5, **options: object) -> str:
    return customers.pay(user_id, Basket(total), *extra, **options)


def test_only_tasks_that_are_meant_are_traced() -> None:
    with bench() as made:
        probe = made.arm(PAY, count=2, where="user_id == 42 and basket.total > 3")
        for user_id in (41, 42, 42, 42):
            pay(user_id)
        pay(42, total=1)
        traces = made.traces()
        counters = probe.counters(0.0, held=0, held_bytes=0)
    assert [trace.roots[0].args["user_id"] for trace in traces] == [42, 42]
    assert names(traces[0]) == ["pay", "charge"]
    assert (counters["seen"], counters["where_false"], counters["where_errors"]) == (5, 2, 0)
    assert counters["passed_over"] == 1
    assert counters["where"] == "user_id == 42 and basket.total > 3"


def test_starred_arguments_have_their_names() -> None:
    with bench() as made:
        made.arm(PAY, count=2, where="extra[0] == 'a' and options['voucher'] == 3 and len(extra) == 1")
        pay(1)
        pay(2, "a", voucher=3)
        pay(3, "a", "b", voucher=3)
        assert made.trace().roots[0].args["user_id"] == 2


def test_what_cannot_be_evaluated_is_counted_with_the_first_reason() -> None:
    with bench() as made:
        probe = made.arm(PAY, where="basket.price > 3")
        pay(1)
        customers.pay(1, None)
        assert made.traces() == []
    assert (probe.where_errors, probe.where_false, probe.passed_over) == (2, 0, 0)
    assert probe.where_error is not None
    assert probe.where_error.startswith("targets.customers.Basket holds no attribute price")
    assert len(probe.slots) == probe.limits.concurrent


@pytest.mark.parametrize("name", kinds.CALLS)
def test_every_kind_of_function_can_be_asked(name: str) -> None:
    """And is neither called differently nor traced when the condition says no."""
    with bench() as made:
        probe = made.arm(f"targets.kinds:{name}", count=2, where="1 == 2")
        kinds.CALLS[name]()
        assert made.traces() == []
        assert probe.seen == probe.where_false > 0


@pytest.mark.parametrize(
    ("where", "kind", "says"),
    [
        (
            "usr_id == 42",
            ConditionError,
            "usr_id is none of the arguments of targets.customers:pay: did you mean user_id?",
        ),
        ("user_id = 42", ConditionError, "write == to compare"),
        ("options['password'] == 'x'", Refused, "password is redacted"),
        ("path == '/a'", ConditionError, "path is none of the arguments"),
    ],
)
def test_mistakes_are_refused_when_it_is_armed(where: str, kind: type[Exception], says: str) -> None:
    with bench() as made, pytest.raises(kind, match=re.escape(says)):
        made.arm(PAY, where=where)


def test_a_name_that_one_of_several_functions_has_is_enough() -> None:
    with bench() as made:
        probe = made.arm("targets.customers:*", count=5, where="amount == 5")
        pay(42)
        (trace,) = made.traces()
    assert names(trace) == ["charge"]
    assert probe.where_error == "amount has no value"


def test_a_module_that_comes_later_may_have_the_name() -> None:
    with bench() as made:
        made.arm("not.there.yet:pay", where="anything == 42")


def test_arguments_live_no_longer_than_without_a_condition() -> None:
    gone: list[bool] = []

    # A generator, as whoever calls a plain function holds its arguments, too (3.10).
    def target(basket: Any) -> Iterator[bool]:
        watch = weakref.ref(basket)
        del basket
        yield watch() is None

    globals()["short_lived"] = target
    gc.disable()
    try:
        with bench() as made:
            made.arm(f"{__name__}:*target", where="basket.total == 4")
            gone.extend(target(Basket(5)))
    finally:
        gc.enable()
        del globals()["short_lived"]
    assert gone == [True]


def test_variables_of_closures_stay_what_they_are_inside_a_block() -> None:
    """Where the interpreter copies variables around each call of a hook, a stale copy must not come back (3.10, 3.11)."""

    def target(start: int) -> tuple[int, ...]:
        def add(step: int) -> int:
            nonlocal start
            start += step
            return start

        thread = threading.Thread(target=add, args=(10,))
        thread.start()
        thread.join()
        start += 1
        return start, add(1), start

    globals()["closure_target"] = target
    try:
        with bench() as made:
            made.arm(f"{__name__}:*target", where="start == 4")
            with tracepatch.trace(cache=False):
                assert target(5) == (16, 17, 17)
            assert target(5) == (16, 17, 17)
            assert made.traces() == []
            assert target(4) == (15, 16, 16)
            assert len(made.traces()) == 1
    finally:
        del globals()["closure_target"]


def test_a_debugger_that_comes_later_sees_the_present_variables() -> None:
    def target(start: int) -> tuple[int, int]:
        start += 1
        frame = sys._getframe()
        frame.f_trace = hook
        sys.settrace(hook)
        found = start
        start += 1
        sys.settrace(None)
        return found, start

    def hook(frame: Any, event: str, argument: Any) -> Any:
        frame.f_locals
        return hook

    globals()["debugged_target"] = target
    before = sys.gettrace()
    try:
        with bench() as made:
            made.arm(f"{__name__}:*target", where="start == 1")
            assert target(5) == (6, 7)
    finally:
        sys.settrace(before)
        del globals()["debugged_target"]


def test_many_tasks_at_the_same_time() -> None:
    async def handle(user_id: int) -> int:
        await asyncio.sleep(0)
        return user_id

    globals()["handled"] = handle

    async def main() -> None:
        await asyncio.gather(*(handle(number % 100) for number in range(1_000)))

    try:
        with bench() as made:
            probe = made.arm(f"{__name__}:*handle", count=3, where="user_id == 42", limits={"concurrent": 16})
            asyncio.run(main())
            traces = made.traces()
    finally:
        del globals()["handled"]
    assert [trace.roots[0].returned for trace in traces] == [42, 42, 42]
    assert (probe.seen, probe.where_false, probe.passed_over) == (1_000, 990, 7)


def test_a_function_is_as_it_was_afterwards() -> None:
    before = customers.pay.__code__
    with bench() as made:
        made.arm(PAY, where="user_id == 42")
        pay(1)
    assert customers.pay.__code__ is before
    assert core().clean()["ok"]


# ---- from the command line


@pytest.fixture
def server(runtime_dir: Path) -> Iterator[Process]:
    with serving() as running:
        yield running


@contextmanager
def serving() -> Iterator[Process]:
    with python_process(TARGET) as running:
        running.expect("serving")
        yield running
        running.tell("end")


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    return environment(XDG_STATE_HOME=str(tmp_path / "state"))


def test_arm_brings_those_of_one_customer(server: Process, env: dict[str, str]) -> None:
    done = ctl(
        "arm",
        "customers:pay",
        "--where",
        "user_id == 42 and basket is not None",
        "-n",
        "3",
        "--json",
        env=env,
    )
    assert done.returncode == 0, done.stderr
    forms = [json.loads(line) for line in done.stdout.splitlines()]
    traces = [form for form in forms if form["type"] == "trace"]
    assert [trace["roots"][0]["args"]["user_id"] for trace in traces] == [42, 42, 42]
    end = forms[-1]
    assert (end["type"], end["kept"], end["where_errors"], end["clean"]) == ("end", 3, 0, True)
    assert end["where_false"] > 90 and end["where_false"] + end["passed_over"] + 3 == end["seen"]


def test_the_account_says_what_was_left_out_and_why(server: Process, env: dict[str, str]) -> None:
    done = ctl("arm", "customers:pay", "--where", "user_id == 42 and basket.total > 0", "-n", "8", env=env)
    assert done.returncode == 0, done.stderr
    assert re.search(
        r"8 of 8 kept, \d+ seen, \d+ where-false, \d where-errors?, \d+ passed over", done.stderr
    )
    assert (
        "--where could not be evaluated 1 time, the first time: None holds no attribute total" in done.stderr
    )


def test_status_shows_the_condition(server: Process, env: dict[str, str]) -> None:
    with process([*COMMAND, "arm", "customers:pay", "--where", "user_id == 99"], env=env) as running:
        wait_for(lambda: "armed" in running.stderr)
        wait_for(lambda: "where-false" in ctl("status", env=env).stdout)
        assert "customers:pay --where 'user_id == 99'" in ctl("status", env=env).stdout


@pytest.mark.parametrize(
    ("where", "said", "caret"),
    [
        ("user_id = 42", "= is no part of conditions: write == to compare", "        ^"),
        ("1 < duration", "duration is known only at the end: use --keep", "    ^^^^^^^^"),
    ],
)
def test_a_mistake_is_said_before_anybody_is_reached(
    where: str, said: str, caret: str, env: dict[str, str]
) -> None:
    done = ctl("arm", "customers:pay", "--where", where, "--connect", "ipc:///nobody", env=env)
    assert done.returncode == 2
    sentence, *pointed = done.stderr.splitlines()
    assert said in sentence
    assert pointed == ["    " + where, "    " + caret]


def test_an_agent_says_what_only_it_can_know(server: Process, env: dict[str, str]) -> None:
    done = ctl("arm", "customers:pay", "--where", "usr_id == 42", env=env)
    assert done.returncode == 4
    assert "usr_id is none of the arguments of customers:pay: did you mean user_id?" in done.stderr
    assert "    usr_id == 42\n    ^^^^^^" in done.stderr
    done = ctl("arm", "customers:pay", "--where", "options['password'] == 'x'", env=env)
    assert done.returncode == 4
    assert "password is redacted, and so a condition may not ask for it" in done.stderr
