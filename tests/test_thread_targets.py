"""`thread:` targets: real threads and pools, recorded from their start, on whatever core there is."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from tracing_helpers import bench, names


def work(number: int) -> int:
    return step(number)


def step(number: int) -> int:
    return number + 1


def fail(number: int) -> None:
    step(number)
    raise ValueError(number)


class Own(threading.Thread):
    def run(self) -> None:
        work(7)


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(threading, "excepthook", lambda _args: None)
    yield


def ran(*threads: threading.Thread) -> None:
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.mark.parametrize(
    "made",
    [
        lambda name: threading.Thread(target=work, args=(1,), name=name),
        lambda name: threading.Thread(target=partial(work, 1), name=name),
        lambda name: threading.Timer(0, work, (1,)),
        lambda name: Own(name=name),
    ],
    ids=["thread", "partial", "timer", "own run"],
)
def test_the_next_run_of_a_thread(made: Callable[[str], threading.Thread]) -> None:
    with bench() as b:
        probe = b.arm("thread:importer-*", count=2)
        ran(threading.Thread(target=work, args=(0,), name="other"))
        for number in range(3):
            thread = made(f"importer-{number}")
            thread.name = f"importer-{number}"
            ran(thread)
        traces = b.traces()
        assert (probe.unmatched, probe.seen) == (1, 3)
    assert [trace.task["name"] for trace in traces] == ["importer-0", "importer-1"]
    for trace in traces:
        assert trace.roots[0].function == "Thread._bootstrap_inner"
        assert names(trace)[-2:] == ["work", "step"]
        assert (trace.status, trace.task["failed"]) == ("complete", False)


def test_its_function_is_a_name_of_where() -> None:
    with bench() as b:
        probe = b.arm("thread:*", where="endswith(function, '.work') and name == 'b'", count=5)
        ran(*(threading.Thread(target=work, args=(1,), name=name) for name in "abc"))
        ran(threading.Thread(target=step, args=(1,), name="b"))
        (trace,) = b.traces()
        assert (probe.seen, probe.where_false) == (4, 3)
    assert trace.task["function"].endswith(".work")


def test_an_exception_is_an_error_although_the_thread_returns(quiet: None) -> None:
    with bench() as b:
        b.arm("thread:x*", keep="error", count=5)
        ran(*(threading.Thread(target=function, args=(1,), name="x1") for function in (work, fail, work)))
        (trace,) = b.traces()
    assert (trace.task["failed"], names(trace)[:2]) == (True, ["fail", "step"])


def test_a_thread_that_a_traced_one_starts_is_a_branch_of_it() -> None:
    def parent() -> None:
        ran(threading.Thread(target=work, args=(1,), name="x-child"))
        with ThreadPoolExecutor(1, thread_name_prefix="x-pool") as pool:
            pool.submit(work, 2).result()

    with bench() as b:
        probe = b.arm("thread:x-*", threads=True, count=5, limits={"concurrent": 4})
        ran(threading.Thread(target=parent, name="x-parent"))
        trace = b.trace()
        assert (probe.seen, probe.recording) == (1, 0)
    assert names(trace).count("work") == 2
    assert [branch.kind for branch in trace.branches] == ["root", "thread", "thread"]


def test_the_failure_of_a_thread_that_it_starts_is_not_its_own(quiet: None) -> None:
    def parent() -> None:
        ran(threading.Thread(target=fail, args=(1,)))
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(fail, 2).exception() is not None

    with bench() as b:
        b.arm("thread:parent", threads=True)
        ran(threading.Thread(target=parent, name="parent"))
        trace = b.trace()
    assert names(trace).count("fail") == 2
    assert trace.task["failed"] is False


def test_the_next_work_of_a_pool() -> None:
    with ThreadPoolExecutor(1, thread_name_prefix="pool") as pool:
        pool.submit(step, 0).result()  # its thread runs when it is armed
        with bench() as b:
            probe = b.arm("thread:pool*", keep="error or calls > 2", count=9, limits={"concurrent": 9})
            assert probe.notes == ()
            assert pool.submit(work, 1).result() == 2
            assert isinstance(pool.submit(fail, 2).exception(), ValueError)
            pool.submit(len, ()).result()
            wait = pool.submit(lambda: None)
            wait.result()
            pool.submit(int).result()
            pool.submit(int).result()  # then the one before has ended
            traces = b.traces()
    assert [trace.roots[0].function for trace in traces] == ["_WorkItem.run"] * 2
    assert [trace.task["failed"] for trace in traces] == [False, True]
    assert [names(trace)[-2:] for trace in traces] == [["work", "step"], ["fail", "step"]]


def test_a_pool_whose_thread_starts_later() -> None:
    with bench() as b:
        b.arm("thread:late*", count=2)
        with ThreadPoolExecutor(1, thread_name_prefix="late") as pool:
            pool.submit(work, 1).result()
            pool.submit(work, 2).result()
        traces = b.traces()
    assert [trace.roots[0].function for trace in traces] == ["_WorkItem.run"] * 2


def test_work_with_a_context_of_its_own() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(1, thread_name_prefix="io"))
        await asyncio.to_thread(work, 1)
        await loop.run_in_executor(None, contextvars.copy_context().run, work, 2)
        await loop.run_in_executor(None, work, 3)

    with bench() as b:
        b.arm("thread:io*", count=3)
        asyncio.run(main())
        traces = b.traces()
    assert [names(trace)[-2:] for trace in traces] == [["work", "step"]] * 3
    assert {trace.task["function"].rpartition(".")[2] for trace in traces} == {"work"}


def test_work_on_a_worker_thread_of_anyio() -> None:
    anyio = pytest.importorskip("anyio")

    async def main() -> None:
        step(0)
        assert await anyio.to_thread.run_sync(work, 1) == 2
        work(2)  # the same function, on no thread of that name
        with pytest.raises(ValueError):
            await anyio.to_thread.run_sync(partial(fail, 3))
        await anyio.to_thread.run_sync(work, 4)

    with bench() as b:
        probe = b.arm("thread:AnyIO*", count=2)
        anyio.run(main)
        traces = b.traces()
        assert probe.seen == 3
    assert [names(trace) for trace in traces] == [["work", "step"], ["fail", "step"]]
    assert [trace.roots[0].state for trace in traces] == ["returned", "raised"]


def test_work_with_the_context_of_a_traced_task_is_a_branch_of_it() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(1, thread_name_prefix="io"))
        await asyncio.create_task(asyncio.to_thread(work, 1), name="traced")
        await asyncio.to_thread(work, 2)

    with bench() as b:
        tasks, threads = b.arm("task:traced"), b.arm("thread:io*", count=3)
        asyncio.run(main())
        traces = b.traces()
        assert (tasks.seen, threads.seen) == (1, 1)
    assert [names(trace) for trace in traces] == [["work", "step"]] * 2
    assert [branch.kind for branch in traces[0].branches] == ["root", "thread"]


def test_threads_that_run_already_are_said() -> None:
    going = threading.Event()
    threads = [threading.Thread(target=going.wait, name=f"waiter-{number}") for number in range(2)]
    for thread in threads:
        thread.start()
    try:
        with bench() as b:
            assert b.arm("thread:waiter-*").notes == (
                "2 threads with this name run already: a thread is recorded from its start; "
                "`stacks --thread` shows where they stand",
            )
            assert b.arm("thread:waiter-1").notes[0].startswith("1 thread with this name runs already")
    finally:
        going.set()
        for thread in threads:
            thread.join()
