"""`tracepatch.job()`: blocks, decorated functions and coroutines that `job:` targets match, on whatever core there is."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

import tracepatch
from tracepatch import block
from tracing_helpers import bench, names, outline


def step(number: int) -> int:
    return inner(number) + 1


def inner(number: int) -> int:
    return number


async def awaited(number: int) -> int:
    await asyncio.sleep(0)
    return step(number)


@pytest.fixture(autouse=True)
def nobody_waits_afterwards() -> Iterator[None]:
    yield
    assert block.waiting == []
    assert block.heeded == []


def test_it_does_nothing_while_nobody_waits() -> None:
    assert block.waiting == []
    with tracepatch.job("import-users", user=42) as job:
        assert step(1) == 2
    assert (job.name, job.fields) == ("import-users", {"user": 42})


def test_it_needs_no_agent_and_loads_nothing() -> None:
    code = (
        "import sys, tracepatch\n"
        "with tracepatch.job('x', name=1): pass\n"
        "assert not {'zmq', 'msgpack', 'asyncio', 'inspect', 'tracepatch.agent'} & set(sys.modules)"
    )
    subprocess.run(
        [sys.executable, "-S", "-c", f"import sys; sys.path[:0] = {sys.path!r}\n{code}"], check=True
    )


def test_a_block_is_the_task() -> None:
    with bench() as b:
        b.arm("job:import-*")
        with tracepatch.job("export-users"):
            step(0)
        with tracepatch.job("import-users", user=42):
            step(1)
            inner(2)
        step(3)
        trace = b.trace()
    assert outline(trace) == [["step", ["inner"]], ["inner"]]
    assert trace.task == {"kind": "job", "name": "import-users", "id": None, "queue": None, "failed": False}
    assert trace.target == "job:import-users"
    assert trace.status == "complete"
    assert trace.duration_ns >= sum(root.wall_ns for root in trace.roots) > 0


@pytest.mark.parametrize("target", ["job:users", "job:app.imports.users", "job:*.users", "job:u[rs]ers"])
def test_the_last_part_of_a_name_is_enough(target: str) -> None:
    with bench() as b:
        b.arm(target)
        with tracepatch.job("app.imports.users"):
            step(1)
        assert len(b.traces()) == 1


def test_its_fields_are_names_of_where() -> None:
    with bench() as b:
        probe = b.arm("job:*", where="user == 42 and name == 'a' and kwargs['kind'] in ('x', 'y')", count=5)
        for user, name, kind in ((42, "a", "x"), (41, "a", "x"), (42, "b", "y"), (42, "a", "z")):
            with tracepatch.job(name, user=user, kind=kind):
                step(user)
        with tracepatch.job("a"):
            step(0)
        assert len(b.traces()) == 1
    assert (probe.seen, probe.where_false, probe.where_errors) == (5, 3, 1)
    assert probe.where_error == "user has no value"


def test_an_exception_that_leaves_the_block_is_an_error_of_the_job() -> None:
    with bench() as b:
        b.arm("job:*", keep="error", count=5)
        for number in range(3):
            with contextlib.suppress(ZeroDivisionError), tracepatch.job("divide", number=number):
                with contextlib.suppress(ZeroDivisionError):
                    step(1 // 0)
                step(1 // number)
        (trace,) = b.traces()
    assert trace.task["failed"] is True


def test_a_decorated_function_is_a_job_each_time() -> None:
    @tracepatch.job("add")
    def add(number: int) -> int:
        return step(number)

    with bench() as b:
        b.arm("job:add", count=2)
        assert [add(1), add(2), add(3)] == [2, 3, 4]
        traces = b.traces()
    assert [names(trace)[1:] for trace in traces] == [["step", "inner"]] * 2
    assert traces[0].task["failed"] is False


def test_what_its_caller_handles_is_no_error_of_a_decorated_function() -> None:
    @tracepatch.job("work")
    def work(number: int) -> float:
        return 1 / number

    with bench() as b:
        b.arm("job:work", count=2)
        try:
            raise ValueError
        except ValueError:
            work(1)
            with pytest.raises(ZeroDivisionError):
                work(0)
        assert [trace.task["failed"] for trace in b.traces()] == [False, True]


def test_decorated_coroutines_and_generators() -> None:
    @tracepatch.job("pull")
    def pull() -> Iterator[int]:
        for number in range(3):
            yield step(number)

    @tracepatch.job("pull")
    async def wait() -> int:
        return await awaited(1)

    @tracepatch.job("pull")
    async def stream() -> AsyncIterator[int]:
        yield await awaited(1)

    async def all_of_it() -> list[int]:
        return [item async for item in stream()]

    with bench() as b:
        b.arm("job:pull", count=3, limits={"concurrent": 3})
        generator = pull()
        assert next(generator) == 1
        step(99)  # the consumer's, no part of it
        assert list(generator) == [2, 3]
        assert asyncio.run(wait()) == 2
        assert asyncio.run(all_of_it()) == [2]
        traces = b.traces()
    assert [names(trace).count("step") for trace in traces] == [3, 1, 1]
    assert [trace.task["failed"] for trace in traces] == [False] * 3


def test_tasks_that_share_one_object() -> None:
    shared = tracepatch.job("shared")

    async def one(number: int) -> None:
        async with shared:
            for _ in range(
                1 if number else 5
            ):  # the others leave while the first one, which is recorded, is inside
                await asyncio.sleep(0)
            with shared:
                await awaited(number)
            await awaited(number)

    async def all_of_them() -> None:
        await asyncio.gather(*map(one, range(4)))

    with bench() as b:
        probe = b.arm("job:shared", count=3, limits={"concurrent": 1})
        asyncio.run(all_of_them())
        (trace,) = b.traces()
        assert probe.recording == 0
    assert [node.function for node in trace.nodes()].count("awaited") == 2


def test_a_block_around_several_and_its_child_tasks() -> None:
    async def run() -> None:
        async with tracepatch.job("outer"):
            with tracepatch.job("inner"):
                await asyncio.gather(awaited(1), awaited(2))
        await awaited(3)

    with bench() as b:
        b.arm("job:outer", "job:inner", count=2)
        asyncio.run(run())
        trace = b.trace()
    assert trace.task["name"] == "outer"
    assert [branch.kind for branch in trace.branches] == ["root", "task", "task"]
    assert names(trace).count("step") == 2


def test_a_block_that_ends_in_another_context_ends() -> None:
    """As a dependency that is a generator, whose two halves run in different threads of a pool."""

    def on_a_thread(function: Callable[[], object]) -> None:
        thread = threading.Thread(target=function)
        thread.start()
        thread.join()

    with bench() as b:
        probe = b.arm("job:split")
        block = tracepatch.job("split")
        on_a_thread(block.__enter__)
        assert probe.recording == 1
        on_a_thread(lambda: block.__exit__(None, None, None))
        assert probe.recording == 0
        assert b.trace().status == "complete"


def test_inside_a_block_of_trace_both_record() -> None:
    with bench() as b:
        b.arm("job:both")
        with tracepatch.trace(cache=False) as outside:
            step(1)
            with tracepatch.job("both"):
                step(2)
            step(3)
        trace = b.trace()
    assert names(trace) == ["step", "inner"]
    assert [node.name for node in outside.roots] == ["step", "step", "step"]


def test_it_ends_with_an_exit_stack_too() -> None:
    with bench() as b:
        b.arm("job:stack")
        with contextlib.ExitStack() as stack:
            stack.enter_context(tracepatch.job("stack"))
            step(1)
        step(2)
        trace = b.trace()
    assert names(trace) == ["step", "inner"]


def test_a_block_that_nobody_leaves_ends_when_it_is_dropped() -> None:
    """As where a signal handler raises when `__exit__` is entered: the statement is over, and nobody calls it."""
    with bench() as b:
        probe = b.arm("job:dropped")
        block = tracepatch.job("dropped")
        block.__enter__()
        step(1)
        del block
        assert probe.recording == 0
        step(2)
        trace = b.trace()
    assert names(trace) == ["step", "inner"]
    assert sys.gettrace() is None


def test_a_probe_that_ends_meanwhile() -> None:
    with bench() as b:
        probe = b.arm("job:cut")
        with tracepatch.job("cut"):
            step(1)
            b.tracing.trip(probe, "disarm")
            b.tracing.disarm(probe)
            step(2)
        trace = b.trace()
    assert (trace.status, trace.reason) == ("tripped", "disarm")
    assert names(trace) == ["step", "inner"]
    assert sys.gettrace() is None


@pytest.mark.parametrize("name", [None, 5, ["x"], "x" * 10_000])
def test_whatever_it_is_given_it_does_not_raise(name: Any) -> None:
    with bench() as b:
        b.arm("job:*")
        with tracepatch.job(name, error=Exception, self=b):
            step(1)
        assert len(b.traces()) == 1
