"""trio: traced tasks beside untraced ones; cancel scopes, nurseries' exceptions, locks and sockets."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
import trio

from loops_helpers import application, check, every, one, running_ns, waited
from tracepatch_shared.trace import Trace
from tracing_helpers import Bench, bench

PAUSE_S = 0.04


async def served(number: int, work: Any, *args: Any) -> Any:
    return await work(number, *args)


async def unserved(number: int, work: Any, *args: Any) -> Any:
    return await work(number, *args)


def step(number: int, letter: str) -> str:
    return f"{letter}{number}"


async def pause(number: int) -> str:
    await trio.sleep(PAUSE_S)
    return step(number, "p")


async def both(work: Any, *args: Any, count: int = 3) -> list[Any]:
    """Run traced and untraced tasks alternately; return what the traced ones returned, or raised."""
    results: dict[int, Any] = {}

    async def one_of(kind: Callable[..., Any], number: int) -> None:
        try:
            results[number] = await kind(number, work, *args)
        except (Exception, trio.Cancelled) as error:
            results[number] = error
            if isinstance(error, trio.Cancelled):
                raise

    async with trio.open_nursery() as nursery:
        for number in range(count):
            nursery.start_soon(one_of, unserved, 100 + number)
            nursery.start_soon(one_of, served, number)
    return [results[number] for number in range(count)]


def armed(made: Bench, count: int = 3) -> None:
    made.arm(f"{__name__}:served", count=count, limits={"concurrent": count})


def checked(traces: list[Trace], expected: list[Any], count: int = 3) -> list[Trace]:
    numbers = {check(trace): trace for trace in traces}
    assert sorted(numbers) == list(range(count))
    for trace in traces:
        assert application(trace) == expected
    return [numbers[number] for number in range(count)]


async def sleeps(number: int) -> list[str]:
    found = [step(number, "a")]
    for _ in range(3):
        found.append(await pause(number))
    return [*found, step(number, "z")]


def test_sleeping_tasks_keep_apart_and_their_waiting_is_no_running() -> None:
    with bench() as made:
        armed(made)
        began = time.perf_counter_ns()
        results = trio.run(both, sleeps)
        passed = time.perf_counter_ns() - began
        traces = made.traces()
    assert results[1] == ["a1", "p1", "p1", "p1", "z1"]
    tree = [["served", ["sleeps", ["step"], *[["pause", ["step"]]] * 3, ["step"]]]]
    for number, trace in enumerate(checked(traces, tree)):
        assert one(trace, "sleeps").returned == results[number]
        for node in every(trace, "pause"):
            waited(node, PAUSE_S)
        assert {node.waiting_ns for node in every(trace, "step")} == {0}
    assert running_ns(traces) <= passed


async def locks(number: int, lock: trio.Lock) -> str:
    async with lock:
        return await pause(number)


def test_waiting_for_a_lock_is_waiting() -> None:
    async def main() -> None:
        await both(locks, trio.Lock())

    with bench() as made:
        armed(made)
        trio.run(main)
        traces = checked(made.traces(), [["served", ["locks", ["pause", ["step"]]]]])
    # trio starts tasks in an order of its own: whoever was last has waited for all six.
    longest = max(traces, key=lambda trace: trace.roots[0].waiting_ns)
    waited(longest.roots[0], 5 * PAUSE_S)
    for trace in traces:
        waited(one(trace, "pause"), PAUSE_S)


async def asks(number: int, port: int) -> bytes:
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        await stream.send_all(step(number, "ask").encode())
        return await stream.receive_some(100)


def test_waiting_for_a_socket_is_waiting() -> None:
    async def answer(stream: trio.SocketStream) -> None:
        line = await stream.receive_some(100)
        await trio.sleep(PAUSE_S)
        await stream.send_all(line.upper())

    async def main() -> list[Any]:
        async with trio.open_nursery() as nursery:
            (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
            nursery.start_soon(trio.serve_listeners, answer, [listener])
            found = await both(asks, listener.socket.getsockname()[1])
            nursery.cancel_scope.cancel()
        return found

    with bench() as made:
        armed(made)
        assert trio.run(main) == [b"ASK0", b"ASK1", b"ASK2"]
        traces = made.traces()
    for trace in checked(traces, [["served", ["asks", ["step"]]]]):
        waited(one(trace, "asks"), PAUSE_S)


async def fails(number: int) -> None:
    try:
        await breaks(number)
    except LookupError:
        await pause(number)
        raise ValueError(f"task {number}") from None


async def breaks(number: int) -> None:
    await pause(number)
    raise KeyError(number)


def test_exceptions_show_where_they_were() -> None:
    with bench() as made:
        armed(made)
        assert [type(error) for error in trio.run(both, fails)] == [ValueError] * 3
        traces = made.traces()
    tree = [["served", ["fails", ["breaks", ["pause", ["step"]]], ["pause", ["step"]]]]]
    for number, trace in enumerate(checked(traces, tree)):
        assert one(trace, "breaks").error == ("KeyError", str(number))
        for name in ("fails", "served"):
            assert one(trace, name).error == ("ValueError", f"task {number}")


async def hangs(number: int) -> None:
    try:
        await trio.sleep_forever()
    finally:
        step(number, "cleaned")


async def gives_up(number: int) -> str:
    with trio.move_on_after(PAUSE_S):
        await hangs(number)
    with pytest.raises(trio.TooSlowError), trio.fail_after(PAUSE_S):
        await hangs(number)
    return step(number, "timeout")


def test_a_cancel_scope_cancels_what_is_in_it() -> None:
    with bench() as made:
        armed(made)
        assert trio.run(both, gives_up) == ["timeout0", "timeout1", "timeout2"]
        traces = made.traces()
    tree = [["served", ["gives_up", ["hangs", ["step"]], ["hangs", ["step"]], ["step"]]]]
    for trace in checked(traces, tree):
        for node in every(trace, "hangs"):
            assert node.raised is not None
            assert node.raised["type"] == "trio.Cancelled"
            waited(node, PAUSE_S)
        assert one(trace, "gives_up").raised is None


async def shields(number: int) -> str:
    try:
        await hangs(number)
    finally:
        with trio.CancelScope(shield=True):
            await pause(number)


def test_a_cancelled_task_cleans_up_and_ends_its_trace() -> None:
    async def main() -> None:
        with trio.move_on_after(PAUSE_S):
            await both(shields)

    with bench() as made:
        armed(made)
        trio.run(main)
        traces = made.traces()
    for trace in checked(traces, [["served", ["shields", ["hangs", ["step"]], ["pause", ["step"]]]]]):
        assert trace.roots[0].raised["type"] == "trio.Cancelled"  # type: ignore[index]
        waited(one(trace, "hangs"), PAUSE_S)
        waited(one(trace, "pause"), PAUSE_S)
