"""`task:` targets: tasks of real loops, recorded from their start, on whatever core there is."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from tracepatch import pyversion
from tracing_helpers import Bench, bench, names

LATER = pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with 3.12")


async def worker(number: int) -> int:
    await asyncio.sleep(0)
    return step(number)


async def other(number: int) -> int:
    return await worker(number)


def step(number: int) -> int:
    return number + 1


class Pool:
    async def run(self, number: int) -> int:
        await asyncio.sleep(0)
        return step(number)


Main = Callable[[], Coroutine[Any, Any, Any]]


def run(b: Bench, main: Main, loop: str = "asyncio") -> list[Any]:
    if loop == "uvloop":
        uvloop = pytest.importorskip("uvloop")
        with_loop = uvloop.new_event_loop()
        try:
            with_loop.run_until_complete(main())
        finally:
            with_loop.close()
    else:
        asyncio.run(main())
    return b.traces()


async def created() -> None:
    await asyncio.gather(*(asyncio.create_task(worker(n), name=f"worker-{n}") for n in range(4)))


async def named_afterwards() -> None:
    tasks = [asyncio.create_task(worker(n)) for n in range(4)]
    for number, task in enumerate(tasks):
        task.set_name(f"worker-{number}")
    await asyncio.gather(*tasks)


async def made_by_the_loop() -> None:
    loop = asyncio.get_running_loop()
    await asyncio.gather(*(loop.create_task(worker(n), name=f"worker-{n}") for n in range(4)))


@pytest.mark.parametrize("main", [created, named_afterwards, made_by_the_loop])
def test_by_name(main: Main) -> None:
    with bench() as b:
        probe = b.arm("task:worker-[12]", count=2, limits={"concurrent": 2})
        traces = run(b, main)
        assert probe.seen == 2
    assert sorted(trace.task["name"] for trace in traces) == ["worker-1", "worker-2"]
    for trace in traces:
        assert names(trace) == ["worker", "step"]
        assert trace.task == {"kind": "task", "name": trace.task["name"], "coroutine": "worker"}
        assert trace.roots[0].args == {"number": int(trace.task["name"][-1])}
        assert (trace.status, trace.roots[0].returned) == ("complete", trace.roots[0].args["number"] + 1)
        assert trace.roots[0].waiting_ns > 0


async def gathered() -> None:
    await asyncio.gather(worker(1), other(2), Pool().run(3))


@pytest.mark.parametrize(
    ("target", "found"),
    [
        ("task:worker", ["worker"]),
        ("task:Pool.*", ["Pool.run"]),
        ("task:o*r", ["other"]),
        ("task:Task-*", ["other", "Pool.run", "worker"]),
    ],
)
def test_by_coroutine_and_default_name(target: str, found: list[str]) -> None:
    with bench() as b:
        b.arm(target, count=9, limits={"concurrent": 9}, where="coroutine in ('worker', 'other', 'Pool.run')")
        traces = run(b, gathered)
    assert sorted(trace.roots[0].function for trace in traces) == sorted(found)


def test_what_is_only_awaited_is_no_task() -> None:
    async def main() -> None:
        await worker(1)
        await asyncio.ensure_future(worker(2))
        await worker(3)

    with bench() as b:
        b.arm("task:worker", count=9)
        (trace,) = run(b, main)
    assert trace.roots[0].args == {"number": 2}


def test_a_task_is_judged_once() -> None:
    async def main() -> None:
        await asyncio.create_task(worker(1), name="other")
        await asyncio.create_task(
            other(2), name="outer-1"
        )  # in it `worker` begins, of which a task was made before

    with bench() as b:
        probe = b.arm("task:outer-*", where="number == 99")
        assert run(b, main) == []
        assert (probe.seen, probe.where_false) == (1, 1)


def test_a_condition_on_the_coroutines_arguments() -> None:
    with bench() as b:
        probe = b.arm("task:worker-*", count=9, where="number == 3 and name == 'worker-3'")
        (trace,) = run(b, created)
        assert (probe.seen, probe.where_false) == (4, 3)
    assert trace.roots[0].args == {"number": 3}


def test_keep_asks_for_the_coroutines_arguments() -> None:
    with bench() as b:
        b.arm("task:worker-*", count=9, keep="arg.number == 3", limits={"concurrent": 9})
        (trace,) = run(b, created)
    assert trace.task["name"] == "worker-3"


def test_tasks_that_were_made_before_and_have_not_begun() -> None:
    async def main() -> None:
        tasks = [asyncio.create_task(worker(n), name=f"worker-{n}") for n in range(3)]
        probes.append(b.arm("task:worker-1"))
        await asyncio.gather(*tasks)

    probes: list[Any] = []
    with bench() as b:
        (trace,) = run(b, main)
        assert not any("already" in note for note in probes[0].notes)
    assert trace.roots[0].args == {"number": 1}


def test_tasks_that_run_already_are_counted() -> None:
    async def main() -> None:
        going = asyncio.Event()

        async def wait(number: int) -> None:
            await going.wait()
            step(number)

        tasks = [asyncio.create_task(wait(n), name=f"worker-{n}") for n in range(3)]
        await asyncio.sleep(0)
        probes.append(b.arm("task:worker-[01]"))
        going.set()
        await asyncio.gather(*tasks)

    probes: list[Any] = []
    with bench() as b:
        assert run(b, main) == []
        (note,) = [note for note in probes[0].notes if "already" in note]
    assert note == (
        "2 tasks with this name run already: a task is recorded from its start; `stacks --task` shows where they stand"
    )


def test_an_exception_and_a_cancelled_task_are_errors() -> None:
    async def fail(number: int) -> None:
        await asyncio.sleep(0)
        raise ValueError(number)

    async def main() -> None:
        hanging = asyncio.create_task(asyncio.sleep(60), name="job-hanging")
        jobs = [asyncio.create_task(fail(1), name="job-1"), asyncio.create_task(worker(1), name="job-2")]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        hanging.cancel()
        await asyncio.gather(*jobs, hanging, return_exceptions=True)

    with bench() as b:
        b.arm("task:job-*", keep="error", count=5)
        traces = run(b, main)
    assert sorted(trace.task["name"] for trace in traces) == ["job-1", "job-hanging"]


def test_a_task_that_is_cancelled_before_it_begins_begins_nothing() -> None:
    async def main() -> None:
        task = asyncio.create_task(worker(1), name="worker-1")
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await asyncio.create_task(worker(2), name="worker-2")

    with bench() as b:
        b.arm("task:worker-*", count=5)
        traces = run(b, main)
    assert [trace.task["name"] for trace in traces][-1] == "worker-2"


def test_what_a_traced_task_starts_is_a_branch_of_it() -> None:
    async def main() -> None:
        await asyncio.create_task(parent(), name="worker-0")
        step(5)

    async def parent() -> None:
        await asyncio.gather(worker(1), asyncio.create_task(worker(2), name="worker-2"))

    with bench() as b:
        b.arm("task:worker-*", count=5)
        (trace,) = run(b, main)
    assert names(trace).count("step") == 2
    assert len(trace.branches) == 3


@pytest.mark.parametrize("ways", [("create_task", "ensure_future", "group")])
def test_on_uvloop(ways: tuple[str, ...]) -> None:
    async def main() -> None:
        await asyncio.create_task(worker(1), name="worker-1")
        await asyncio.ensure_future(other(2))
        group = getattr(asyncio, "TaskGroup", None)
        if group is not None:
            async with group() as tasks:
                tasks.create_task(worker(3), name="worker-3")

    pytest.importorskip("uvloop")
    with bench() as b:
        probe = b.arm("task:worker-*", "task:other", count=5)
        traces = run(b, main, "uvloop")
        if not pyversion.MONITORING:
            assert traces == []
            assert "on uvloop the start of a task cannot be seen before Python 3.12" in probe.notes
            return
    assert [trace.roots[0].args["number"] for trace in traces] == [1, 2, 3]


@LATER
def test_eager_tasks() -> None:
    async def main() -> None:
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined]
        await asyncio.gather(*(asyncio.create_task(worker(n), name=f"worker-{n}") for n in range(3)))

    with bench() as b:
        b.arm("task:worker-1")
        (trace,) = run(b, main)
    assert names(trace) == ["worker", "step"]


def test_tasks_of_a_derived_type() -> None:
    class Named(asyncio.Task):  # type: ignore[type-arg]
        def get_name(self) -> str:
            raise AssertionError("asked")

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_task_factory(lambda loop, coro, **given: Named(coro, loop=loop, **given))
        task = loop.create_task(worker(1))
        asyncio.Task.set_name(task, "worker-1")
        await task

    with bench() as b:
        b.arm("task:worker-1")
        traces = run(b, main)
    assert [names(trace) for trace in traces] == [["worker", "step"]]


def test_trio() -> None:
    trio = pytest.importorskip("trio")

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(waited, 1, name="worker-1")
            nursery.start_soon(waited, 2, name="other")

    async def waited(number: int) -> None:
        await trio.sleep(0)
        step(number)

    with bench() as b:
        b.arm("task:worker-*", count=5)
        trio.run(main)
        traces = b.traces()
    found = [names(trace)[-1] for trace in traces]
    assert found == (["step"] if pyversion.MONITORING else [])
