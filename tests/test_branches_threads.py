"""Threads and pools' work that a traced task starts, with `--threads`, on every core."""

from __future__ import annotations

import asyncio
import gc
import queue
import sys
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import tracepatch
from loops_helpers import application, branch_of, check, every, links, one, run_target
from tracepatch.recording import current
from tracepatch_shared.trace import Trace
from tracing_helpers import bench


def step(number: int, letter: str) -> str:
    return f"{letter}{number}"


def work(number: int) -> str:
    step(number, "one")
    return step(number, threading.current_thread().name)


def served(number: int, start: Callable[[int], Any]) -> Any:
    return start(number)


def traced(start: Callable[[int], Any], *, threads: bool = True) -> Trace:
    with bench() as made:
        made.arm(f"{__name__}:served", threads=threads)
        served(1, start)
        trace = made.trace()
    assert check(trace) == 1
    return trace


WORK = ["work", ["step"], ["step"]]


def starts(number: int) -> None:
    thread = threading.Thread(target=work, args=(number,), name="worker-1")
    thread.start()
    thread.join()


class Subclass(threading.Thread):
    def __init__(self, number: int) -> None:
        super().__init__(name="sub")
        self.number = number

    def run(self) -> None:
        work(self.number)


def starts_subclass(number: int) -> None:
    thread = Subclass(number=number)
    thread.start()
    thread.join()


def starts_timer(number: int) -> None:
    thread = threading.Timer(0.001, work, (number,))
    thread.name = "timer"
    thread.start()
    thread.join()


def submits(number: int) -> list[str]:
    with ThreadPoolExecutor(1, "pool") as pool:
        return list(pool.map(work, [number, number]))


@pytest.mark.parametrize(
    ("start", "name"), [(starts, "worker-1"), (starts_timer, "timer"), (submits, "pool_0")]
)
def test_a_started_thread_is_a_branch_of_the_node_that_started_it(
    start: Callable[[int], Any], name: str
) -> None:
    trace = traced(start)
    (root,) = application(trace)
    times = 2 if start is submits else 1
    assert root == ["served", [start.__name__, *[WORK] * times]]
    # `Executor.map` is the library's border: it submits.
    assert links(trace) == [("thread", name, "exact", "map" if start is submits else start.__name__)] * times
    for node in every(trace, "work"):
        assert node.returned == f"{name}1"


def test_a_subclass_of_thread() -> None:
    with bench() as made:
        made.arm(f"{__name__}:served", threads=True)
        served(1, starts_subclass)
        trace = made.trace()
    assert links(trace) == [("thread", "sub", "exact", "starts_subclass")]
    assert one(trace, "run").children[0].function == "work"
    assert not [node for node in trace.nodes() if node.state == "lost" or node.open]


def test_without_the_option_threads_are_nobodys() -> None:
    for start in (starts, submits):
        trace = traced(start, threads=False)
        assert application(trace) == [["served", [start.__name__]]]
        assert links(trace) == []


def test_branches_run_in_parallel_in_the_trees_times() -> None:
    gate = threading.Barrier(3)

    def meets(number: int) -> None:
        gate.wait(10)
        step(number, "met")
        gate.wait(10)

    def start(number: int) -> None:
        threads = [threading.Thread(target=meets, args=(number,)) for _ in range(2)]
        for thread in threads:
            thread.start()
        gate.wait(10)
        gate.wait(10)
        for thread in threads:
            thread.join()

    trace = traced(start)
    first, second = every(trace, "meets")
    assert first.branch != second.branch
    assert second.start_ns < first.start_ns + first.wall_ns
    assert first.start_ns < second.start_ns + second.wall_ns


def test_a_pooled_thread_goes_on_with_other_work_untraced() -> None:
    seen: list[Any] = []

    def stranger(number: int) -> str:
        seen.append((current.get(), sys.gettrace()))
        return step(number, "s")

    with ThreadPoolExecutor(1) as pool, Stranger() as other, bench() as made:
        pool.submit(stranger, 90).result()
        made.arm(f"{__name__}:served", threads=True)

        def start(number: int) -> None:
            for _ in range(2):
                pool.submit(work, number).result()
                other.asked.put((pool.submit, stranger, 91))
                other.answers.get().result()

        served(1, start)
        pool.submit(stranger, 93).result()
        trace = made.trace()
    assert check(trace) == 1
    assert application(trace) == [["served", ["start", WORK, WORK]]]
    assert seen == [(None, None)] * 4


class Stranger:
    """A thread that is not traced, and calls what it is told to."""

    def __init__(self) -> None:
        self.asked: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def serve(self) -> None:
        while (call := self.asked.get()) is not None:
            self.answers.put(call[0](*call[1:]))

    def __enter__(self) -> Stranger:
        return self

    def __exit__(self, *_error: object) -> None:
        self.asked.put(None)
        self.thread.join()


def test_a_pool_that_a_traced_task_fills_serves_others_untraced() -> None:
    """Its worker threads are started by the traced task, and are nobody's."""
    done: list[Any] = []

    def stranger(number: int) -> None:
        done.append((current.get(), sys.gettrace()))
        step(number, "s")

    with ThreadPoolExecutor(2) as pool, Stranger() as other, bench() as made:
        made.arm(f"{__name__}:served", threads=True)

        def start(number: int) -> None:
            pool.submit(work, number).result()
            for _ in range(3):
                other.asked.put((pool.submit, stranger, 91))
                other.answers.get().result()

        served(1, start)
        trace = made.trace()
    assert application(trace) == [["served", ["start", WORK]]]
    assert check(trace) == 1
    assert done == [(None, None)] * 3


@pytest.mark.skipif(sys.version_info < (3, 14), reason="threads inherit no Context")
@pytest.mark.parametrize("threads", [True, False])
def test_a_pool_whose_threads_inherit_the_context_serves_others_untraced(threads: bool) -> None:
    run_target("branches_inherit.py", str(threads), options=["-X", "thread_inherit_context=1"])


def test_what_never_began_does_not_attach_a_stranger_at_its_address() -> None:
    held = threading.Event()

    def strangers() -> None:
        with ThreadPoolExecutor(1) as pool:
            for _ in range(50):
                pool.submit(work, 77).result()

    def start(number: int) -> None:
        busy = ThreadPoolExecutor(1)
        busy.submit(held.wait, 10)
        for _ in range(50):
            busy.submit(work, number)
        busy.shutdown(wait=False, cancel_futures=True)  # these fifty are dead, and their addresses free
        other.asked.put((strangers,))
        other.answers.get()
        held.set()
        busy.shutdown()

    with Stranger() as other:
        trace = traced(start)
    assert application(trace) == [["served", ["start"]]]
    assert trace.unstarted == 0


def test_cancelled_work_is_forgotten() -> None:
    held = threading.Event()
    pool = ThreadPoolExecutor(1)
    live: list[Any] = []

    def start(number: int) -> None:
        pool.submit(held.wait, 10)
        for _ in range(5):
            future = pool.submit(work, number)
            assert future.cancel()
            live.append(weakref.ref(future))

    try:
        with bench() as made:
            made.arm(f"{__name__}:served", threads=True)
            served(1, start)
            held.set()
            pool.shutdown()
            trace = made.trace()
    finally:
        held.set()
        pool.shutdown()
    gc.collect()
    assert application(trace) == [["served", ["start"]]]
    assert [reference() for reference in live] == [None] * 5


def test_work_of_others_is_freed_as_ever() -> None:
    """A pool's work lets go of itself where it failed, so that nothing waits for the collector."""
    held = threading.Event()
    freed: list[Any] = []

    def fails(number: int) -> None:
        raise KeyError(number)

    def look() -> None:
        future = pool.submit(fails, 77)
        assert type(future.exception()) is KeyError
        pool.submit(int).result()  # the worker has let go of the work before
        reference = weakref.ref(future)
        del future
        freed.append(reference())

    def start(number: int) -> None:
        busy.submit(held.wait, 10)
        busy.submit(work, number)  # waits: the trace expects it
        other.asked.put((look,))
        other.answers.get()
        held.set()
        busy.shutdown()

    gc.disable()
    try:
        with ThreadPoolExecutor(1) as busy, ThreadPoolExecutor(1) as pool, Stranger() as other:
            trace = traced(start)
    finally:
        gc.enable()
        held.set()
    assert freed == [None]
    assert len(every(trace, "work")) == 1


def test_a_thread_that_outlives_the_trace_does_not_grow_it() -> None:
    inside, release = threading.Event(), threading.Event()
    threads: list[threading.Thread] = []

    def goes_on(number: int) -> None:
        step(number, "before")
        inside.set()
        assert release.wait(10)
        step(number, "after")

    def start(number: int) -> None:
        thread = threading.Thread(target=goes_on, args=(number,))
        threads.append(thread)
        thread.start()
        assert inside.wait(10)

    with bench() as made:
        made.arm(f"{__name__}:served", threads=True)
        served(1, start)
        trace = made.trace()
        release.set()
        threads[0].join()
        assert len(made.traces()) == 1
    assert trace.status == "complete"
    assert [node.args["letter"] for node in every(trace, "step")] == ["before"]
    assert one(trace, "goes_on").open


def test_an_executor_of_the_loop() -> None:
    async def main(number: int) -> Any:
        loop = asyncio.get_running_loop()
        return await asyncio.gather(
            loop.run_in_executor(None, work, number), asyncio.to_thread(work, number), asyncio.sleep(0)
        )

    def start(number: int) -> Any:
        return asyncio.run(main(number))

    trace = traced(start)
    assert len(every(trace, "work")) == 2
    for node in every(trace, "work"):
        branch = branch_of(trace, node)
        assert (branch.kind, branch.link) == ("thread", "exact")
        assert branch.name == node.returned[: -len("1")]


def test_a_block_of_trace_follows_threads_when_it_is_asked_to() -> None:
    def run() -> None:
        thread = threading.Thread(target=work, args=(1,), name="mine")
        thread.start()
        thread.join()

    with tracepatch.trace(cache=False) as without:
        run()
    with tracepatch.trace(cache=False, threads=True) as with_threads:
        run()
    assert "work(" not in without.tree()
    assert "[thread 'mine'] " in with_threads.tree()
    assert "work(number=1)" in with_threads.tree()
    assert (current.get(), sys.gettrace()) == (None, None)


def test_a_trace_inside_a_trace_sees_its_threads_each() -> None:
    def run() -> None:
        thread = threading.Thread(target=work, args=(1,))
        thread.start()
        thread.join()

    with bench() as made:
        made.arm(f"{__name__}:served", threads=True)
        with tracepatch.trace(cache=False, threads=True) as block:
            served(1, lambda number: starts(number))
        trace = made.trace()
    assert [node.function for node in every(trace, "work")] == ["work"]
    assert block.tree().count(".work(") == 1


def test_a_thread_ends_without_a_hook_and_without_the_trace() -> None:
    """Also the one that an exception ends."""
    seen: list[Any] = []

    def excepthook(args: Any, number: int = 1) -> None:
        seen.append(args.exc_type)

    def breaks(number: int) -> None:
        raise KeyError(number)

    def start(number: int) -> None:
        thread = threading.Thread(target=breaks, args=(number,))
        thread.start()
        thread.join()

    before, threading.excepthook = threading.excepthook, excepthook
    try:
        trace = traced(start)
    finally:
        threading.excepthook = before
    assert seen == [KeyError]
    assert one(trace, "breaks").error == ("KeyError", "1")
