"""asyncio, on its own loop and on uvloop: traced tasks beside untraced ones that make the same calls."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
import uvloop

from loops_helpers import application, check, every, one, running_ns, waited
from tracepatch_shared.trace import Trace
from tracing_helpers import Bench, bench

PAUSE_S = 0.04

LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Iterator[Callable[[Any], Any]]:
    """Run a coroutine on each kind of loop."""
    loop = LOOPS[request.param]()
    asyncio.set_event_loop(loop)
    try:
        yield loop.run_until_complete
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
    finally:
        asyncio.set_event_loop(None)
        loop.close()


# ---- the application ----------------------------------------------------------------------------------------------


async def served(number: int, work: Any, *args: Any) -> Any:
    return await work(number, *args)


async def unserved(number: int, work: Any, *args: Any) -> Any:
    return await work(number, *args)


def step(number: int, letter: str) -> str:
    return f"{letter}{number}"


async def pause(number: int) -> str:
    await asyncio.sleep(PAUSE_S)
    return step(number, "p")


async def sleeps(number: int) -> list[str]:
    found = [step(number, "a")]
    for _ in range(3):
        found.append(await pause(number))
    return [*found, step(number, "z")]


def both(traced: int, bystanders: int, work: Any, *args: Any) -> Any:
    """Return a coroutine that runs traced and untraced tasks alternately, and gathers what they return."""

    async def main() -> list[Any]:
        tasks = []
        for number in range(max(traced, bystanders)):
            if number < bystanders:
                tasks.append(asyncio.ensure_future(unserved(100 + number, work, *args)))
            if number < traced:
                tasks.append(asyncio.ensure_future(served(number, work, *args)))
        return await asyncio.gather(*tasks, return_exceptions=True)

    return main()


def armed(made: Bench, count: int = 3) -> None:
    made.arm(f"{__name__}:served", count=count, limits={"concurrent": count})


def checked(traces: list[Trace], expected: list[Any], count: int = 3) -> list[Trace]:
    """Check that these are the traces of tasks 0, 1, ..., each with the same calls; return them in that order."""
    numbers = {check(trace): trace for trace in traces}
    assert sorted(numbers) == list(range(count))
    for trace in traces:
        assert application(trace) == expected
    return [numbers[number] for number in range(count)]


# ---- suspensions --------------------------------------------------------------------------------------------------


def test_sleeping_tasks_keep_apart_and_their_waiting_is_no_running(run: Callable[[Any], Any]) -> None:
    with bench() as made:
        armed(made)
        began = time.perf_counter_ns()
        results = run(both(3, 3, sleeps))
        passed = time.perf_counter_ns() - began
        traces = made.traces()
    assert [result[0] for result in results] == ["a100", "a0", "a101", "a1", "a102", "a2"]
    tree = [["served", ["sleeps", ["step"], *[["pause", ["step"]]] * 3, ["step"]]]]
    for number, trace in enumerate(checked(traces, tree)):
        assert one(trace, "sleeps").returned == results[2 * number + 1]
        for node in every(trace, "pause"):
            waited(node, PAUSE_S)
        waited(trace.roots[0], 3 * PAUSE_S)
        assert {node.waiting_ns for node in every(trace, "step")} == {0}
    assert running_ns(traces) <= passed


def runs_a_loop(number: int) -> list[str]:
    found = asyncio.run(sleeps(number))
    return [*found, step(number, "end")]


def test_a_plain_function_that_runs_a_whole_loop() -> None:
    with bench() as made:
        made.arm(f"{__name__}:runs_a_loop")
        assert runs_a_loop(1)[-2:] == ["z1", "end1"]
        trace = made.trace()
    assert check(trace) == 1
    slept = [["step"], *[["pause", ["step"]]] * 3, ["step"]]
    assert application(trace) == [["runs_a_loop", ["sleeps", *slept], ["step"]]]
    waited(one(trace, "sleeps"), 3 * PAUSE_S)


async def locks(number: int, lock: asyncio.Lock) -> str:
    async with lock:
        return await pause(number)


def test_waiting_for_a_lock_is_waiting(run: Callable[[Any], Any]) -> None:
    async def main() -> None:
        lock = asyncio.Lock()
        await both(3, 3, locks, lock)

    with bench() as made:
        armed(made)
        run(main())
        traces = made.traces()
    # The lock goes in turn: each task waits for those before it, and then sleeps itself.
    for number, trace in enumerate(checked(traces, [["served", ["locks", ["pause", ["step"]]]]])):
        waited(trace.roots[0], (2 * number + 2) * PAUSE_S)
        waited(one(trace, "pause"), PAUSE_S)


async def asks(number: int, port: int) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(step(number, "ask").encode() + b"\n")
    answer = await reader.readline()
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()
    return answer


def test_waiting_for_a_socket_is_waiting(run: Callable[[Any], Any]) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = await reader.readline()
        await asyncio.sleep(PAUSE_S)
        writer.write(line.upper())
        await writer.drain()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    async def main() -> list[Any]:
        server = await asyncio.start_server(answer, "127.0.0.1", 0, family=socket.AF_INET)
        async with server:
            return await both(3, 3, asks, server.sockets[0].getsockname()[1])  # type: ignore[no-any-return]

    with bench() as made:
        armed(made)
        results = run(main())
        traces = made.traces()
    assert results[1::2] == [b"ASK0\n", b"ASK1\n", b"ASK2\n"]
    for trace in checked(traces, [["served", ["asks", ["step"]]]]):
        waited(one(trace, "asks"), PAUSE_S)


async def items(number: int, count: int) -> AsyncIterator[str]:
    for index in range(count):
        await asyncio.sleep(PAUSE_S / 4)
        yield step(number, f"i{index}-")


@contextlib.asynccontextmanager
async def opened(number: int) -> AsyncIterator[int]:
    step(number, "open")
    await asyncio.sleep(0)
    try:
        yield number
    finally:
        await pause(number)


async def iterates(number: int) -> list[str]:
    found = []
    async with opened(number):
        async for item in items(number, 3):
            found.append(item)  # before 3.12 a comprehension is a call of its own
    return found


def test_asynchronous_generators_and_contexts(run: Callable[[Any], Any]) -> None:
    with bench() as made:
        armed(made)
        results = run(both(3, 3, iterates))
        traces = made.traces()
    assert results[1] == ["i0-0", "i1-0", "i2-0"]
    tree = ["iterates", ["opened", ["step"], ["pause", ["step"]]], ["items", *[["step"]] * 3]]
    for trace in checked(traces, [["served", tree]]):
        (generator,) = every(trace, "items")
        assert [child.returned for child in every(trace, "step")[2:]] == [
            f"i{index}-{generator.args['number']}" for index in range(3)
        ]
        waited(generator, 3 * PAUSE_S / 4)
        waited(one(trace, "pause"), PAUSE_S)


# ---- exceptions and cancellation ----------------------------------------------------------------------------------


async def fails(number: int) -> None:
    try:
        await breaks(number)
    except LookupError:
        await pause(number)
        raise ValueError(f"task {number}") from None


async def breaks(number: int) -> None:
    await pause(number)
    raise KeyError(number)


def test_exceptions_show_where_they_were(run: Callable[[Any], Any]) -> None:
    with bench() as made:
        armed(made)
        results = run(both(3, 3, fails))
        traces = made.traces()
    assert [type(result) for result in results] == [ValueError] * 6
    tree = [["served", ["fails", ["breaks", ["pause", ["step"]]], ["pause", ["step"]]]]]
    for number, trace in enumerate(checked(traces, tree)):
        assert one(trace, "breaks").error == ("KeyError", str(number))
        for name in ("fails", "served"):
            assert one(trace, name).error == ("ValueError", f"task {number}")


hanging: list[int] = []


async def hangs(number: int) -> None:
    hanging.append(number)
    try:
        await asyncio.sleep(3600)
    finally:
        step(number, "cleaned")


async def all_hang(count: int) -> None:
    """Wait until so many tasks hang, and a while longer."""
    while len(hanging) < count:
        await asyncio.sleep(0)
    hanging.clear()
    await asyncio.sleep(PAUSE_S)


async def gives_up(number: int) -> str:
    try:
        await asyncio.wait_for(hangs(number), PAUSE_S)
    except (TimeoutError, asyncio.TimeoutError):
        return step(number, "timeout")
    return "never"


def test_a_timeout_cancels_what_it_waits_for(run: Callable[[Any], Any]) -> None:
    with bench() as made:
        armed(made)
        hanging.clear()
        assert run(both(3, 3, gives_up))[1::2] == ["timeout0", "timeout1", "timeout2"]
        traces = made.traces()
    for trace in checked(traces, [["served", ["gives_up", ["hangs", ["step"]], ["step"]]]]):
        assert one(trace, "hangs").raised["type"] == "asyncio.exceptions.CancelledError"  # type: ignore[index]
        assert one(trace, "gives_up").raised is None
        assert one(trace, "hangs").waiting_ns > 0  # the timeout runs from before it hangs


async def resists(number: int) -> str:
    try:
        await hangs(number)
    except asyncio.CancelledError:
        await pause(number)
        return step(number, "resisted")
    return "never"


def test_a_cancelled_task_may_go_on(run: Callable[[Any], Any]) -> None:
    async def main() -> list[Any]:
        hanging.clear()
        tasks = [
            asyncio.ensure_future(kind(number, resists))
            for number, kind in ((100, unserved), (0, served), (101, unserved), (1, served))
        ]
        await all_hang(4)
        for task in tasks:
            task.cancel()
        return await asyncio.gather(*tasks)

    with bench() as made:
        armed(made, 2)
        assert run(main()) == ["resisted100", "resisted0", "resisted101", "resisted1"]
        traces = made.traces()
    tree = [["served", ["resists", ["hangs", ["step"]], ["pause", ["step"]], ["step"]]]]
    for trace in checked(traces, tree, 2):
        assert one(trace, "hangs").raised["type"] == "asyncio.exceptions.CancelledError"  # type: ignore[index]
        waited(one(trace, "hangs"), PAUSE_S)
        waited(one(trace, "pause"), PAUSE_S)


def test_a_task_that_is_cancelled_ends_its_trace(run: Callable[[Any], Any]) -> None:
    async def main() -> list[Any]:
        hanging.clear()
        tasks = [
            asyncio.ensure_future(kind(number, hangs))
            for number, kind in ((100, unserved), (0, served), (101, unserved), (1, served))
        ]
        await all_hang(4)
        for task in tasks:
            task.cancel()
        return await asyncio.gather(*tasks, return_exceptions=True)

    with bench() as made:
        armed(made, 2)
        assert [type(result) for result in run(main())] == [asyncio.CancelledError] * 4
        traces = made.traces()
    for trace in checked(traces, [["served", ["hangs", ["step"]]]], 2):
        assert trace.roots[0].raised["type"] == "asyncio.exceptions.CancelledError"  # type: ignore[index]
        waited(trace.roots[0], PAUSE_S)
