"""anyio on both of its backends: task groups, cancel scopes, and the worker threads of FastAPI's plain endpoints."""

from __future__ import annotations

import threading
import time
from typing import Any

import anyio
import anyio.from_thread
import anyio.to_thread
import fastapi
import httpx
import pytest

from loops_helpers import application, branch_of, check, every, one, running_ns, waited
from tracepatch_shared.trace import Trace
from tracing_helpers import Bench, bench

PAUSE_S = 0.04

BACKENDS = {
    "asyncio": ("asyncio", {}),
    "uvloop": ("asyncio", {"use_uvloop": True}),
    "trio": ("trio", {}),
}


@pytest.fixture(params=BACKENDS)
def run(request: pytest.FixtureRequest) -> Any:
    """Run a coroutine function on each backend."""
    backend, options = BACKENDS[request.param]

    def runs(work: Any, *args: Any) -> Any:
        return anyio.run(work, *args, backend=backend, backend_options=options)

    return runs


async def served(number: int, work: Any, *args: Any) -> Any:
    return await work(number, *args)


async def unserved(number: int, work: Any, *args: Any) -> Any:
    return await work(number, *args)


def step(number: int, letter: str) -> str:
    return f"{letter}{number}"


async def pause(number: int) -> str:
    await anyio.sleep(PAUSE_S)
    return step(number, "p")


async def both(work: Any, *args: Any, count: int = 3) -> list[Any]:
    """Run traced and untraced tasks alternately; return what the traced ones returned, or raised."""
    results: dict[int, Any] = {}

    async def one_of(kind: Any, number: int) -> None:
        try:
            results[number] = await kind(number, work, *args)
        except Exception as error:
            results[number] = error

    async with anyio.create_task_group() as group:
        for number in range(count):
            group.start_soon(one_of, unserved, 100 + number)
            group.start_soon(one_of, served, number)
    return [results[number] for number in range(count)]


def armed(made: Bench, count: int = 3) -> None:
    made.arm(f"{__name__}:served", count=count, limits={"concurrent": count})


def checked(traces: list[Trace], expected: list[Any], count: int = 3) -> list[Trace]:
    numbers = {check(trace): trace for trace in traces}
    assert sorted(numbers) == list(range(count))
    for trace in traces:
        assert application(trace) == expected
    return [numbers[number] for number in range(count)]


async def sleeps(number: int, lock: anyio.Lock) -> list[str]:
    found = [await pause(number)]
    async with lock:
        found.append(await pause(number))
    return [*found, step(number, "z")]


def test_sleeps_and_locks(run: Any) -> None:
    async def main() -> list[Any]:
        return await both(sleeps, anyio.Lock())

    with bench() as made:
        armed(made)
        began = time.perf_counter_ns()
        assert run(main)[1] == ["p1", "p1", "z1"]
        passed = time.perf_counter_ns() - began
        traces = made.traces()
    pauses = [["pause", ["step"]]] * 2
    for trace in checked(traces, [["served", ["sleeps", *pauses, ["step"]]]]):
        for node in every(trace, "pause"):
            waited(node, PAUSE_S)
    waited(max(traces, key=lambda trace: trace.duration_ns).roots[0], 6 * PAUSE_S)
    assert running_ns(traces) <= passed


async def hangs(number: int) -> None:
    try:
        await anyio.sleep_forever()
    finally:
        with anyio.CancelScope(shield=True):
            await pause(number)


async def gives_up(number: int) -> str:
    with anyio.move_on_after(PAUSE_S):
        await hangs(number)
    try:
        with anyio.fail_after(PAUSE_S):
            await hangs(number)
    except TimeoutError:
        return step(number, "timeout")
    return "never"


def test_cancel_scopes(run: Any) -> None:
    with bench() as made:
        armed(made)
        assert run(both, gives_up) == ["timeout0", "timeout1", "timeout2"]
        traces = made.traces()
    tree = [["served", ["gives_up", *[["hangs", ["pause", ["step"]]]] * 2, ["step"]]]]
    for trace in checked(traces, tree):
        for node in every(trace, "hangs"):
            assert node.raised is not None
            assert node.raised["type"] in ("asyncio.exceptions.CancelledError", "trio.Cancelled")
            waited(node, 2 * PAUSE_S)
        assert one(trace, "gives_up").raised is None


async def streams(number: int) -> list[str]:
    send, receive = anyio.create_memory_object_stream[str](0)
    found: list[str] = []
    async with anyio.create_task_group() as group:
        group.start_soon(sends, number, send)
        async with receive:
            async for item in receive:
                found.append(item)
    return found


async def sends(number: int, stream: Any) -> None:
    async with stream:
        for letter in "ab":
            await pause(number)
            await stream.send(step(number, letter))


def test_a_task_group_and_a_stream_between_its_tasks(run: Any) -> None:
    with bench() as made:
        armed(made)
        assert run(both, streams) == [["a0", "b0"], ["a1", "b1"], ["a2", "b2"]]
        traces = made.traces()
    sending = ["sends", *[["pause", ["step"]], ["step"]] * 2]
    for trace in checked(traces, [["served", ["streams", sending]]]):
        waited(one(trace, "streams"), 2 * PAUSE_S)
        waited(one(trace, "sends"), 2 * PAUSE_S)
        assert branch_of(trace, one(trace, "sends")).kind == "task"


def blocks(number: int) -> str:
    time.sleep(PAUSE_S)
    return blocked(number, threading.current_thread().name)


def blocked(number: int, thread: str) -> str:
    return step(number, thread)


async def offloads(number: int) -> str:
    return await anyio.to_thread.run_sync(blocks, number)


def test_worker_threads(run: Any) -> None:
    with bench() as made:
        armed(made)
        results = run(both, offloads)
        traces = made.traces()
    for number, trace in enumerate(
        checked(traces, [["served", ["offloads", ["blocks", ["blocked", ["step"]]]]]])
    ):
        assert one(trace, "step").returned == results[number]
        waited(one(trace, "offloads"), PAUSE_S)
        assert one(trace, "blocks").running_ns >= PAUSE_S * 1e9, "the worker blocks, it does not wait"


async def answers(number: int) -> str:
    return await pause(number)


def asks_back(number: int) -> str:
    return str(anyio.from_thread.run(answers, number))


async def offloads_and_back(number: int) -> str:
    return await anyio.to_thread.run_sync(asks_back, number)


def test_a_worker_thread_may_ask_its_loop(run: Any) -> None:
    with bench() as made:
        armed(made)
        assert run(both, offloads_and_back) == ["p0", "p1", "p2"]
        traces = made.traces()
    for trace in traces:
        check(trace)
        assert {node.function for node in trace.nodes() if node.args.get("number") is not None} >= {
            "served", "offloads_and_back", "asks_back", "answers", "pause", "step",
        }  # fmt: skip
        waited(one(trace, "answers"), PAUSE_S)


# ---- FastAPI ------------------------------------------------------------------------------------------------------

web = fastapi.FastAPI()


def owner(number: int) -> str:
    time.sleep(PAUSE_S / 4)
    return step(number, "owner")


@web.get("/plain/{number}")
def plain(number: int, whose: str = fastapi.Depends(owner)) -> str:
    time.sleep(PAUSE_S)
    return step(number, whose)


@web.get("/other/{number}")
def other(number: int, whose: str = fastapi.Depends(owner)) -> str:
    time.sleep(PAUSE_S)
    return step(number, whose)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_plain_endpoints_of_fastapi(backend: str) -> None:
    async def main() -> None:
        transport = httpx.ASGITransport(app=web)
        async with (
            httpx.AsyncClient(transport=transport, base_url="http://shop") as client,
            anyio.create_task_group() as group,
        ):
            for number in range(3):
                group.start_soon(client.get, f"/other/{number + 100}")
                group.start_soon(client.get, f"/plain/{number}")

    with bench() as made:
        made.arm(f"{__name__}:plain", count=3, limits={"concurrent": 3})
        anyio.run(main, backend=backend)
        traces = made.traces()
    for trace in checked(traces, [["plain", ["step"]]]):
        assert trace.roots[0].running_ns >= PAUSE_S * 1e9
