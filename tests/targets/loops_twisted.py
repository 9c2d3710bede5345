"""Twisted's reactor, which runs once in a process: Deferreds, coroutines and threads, traced beside untraced."""

from __future__ import annotations

import time
from typing import Any

from twisted.internet import defer, protocol, reactor, task, threads
from twisted.protocols.basic import LineReceiver

from loops_helpers import application, branch_of, check, every, one, running_ns, waited
from tracing_helpers import bench

PAUSE_S = 0.04


def step(number: int, letter: str) -> str:
    return f"{letter}{number}"


@defer.inlineCallbacks
def old_pause(number: int) -> Any:
    yield task.deferLater(reactor, PAUSE_S)
    return step(number, "o")


async def pause(number: int) -> str:
    await task.deferLater(reactor, PAUSE_S)
    return step(number, "p")


def blocks(number: int) -> str:
    time.sleep(PAUSE_S)
    return step(number, "b")


class Asks(LineReceiver):
    """A client that sends its task's number and gets it back."""

    def __init__(self, number: int, answer: defer.Deferred[str]) -> None:
        self.number = number
        self.answer = answer

    def connectionMade(self) -> None:
        self.sendLine(str(self.number).encode())

    def lineReceived(self, line: bytes) -> None:
        self.answer.callback(line.decode())
        self.transport.loseConnection()


class Answers(LineReceiver):
    def lineReceived(self, line: bytes) -> None:
        reactor.callLater(PAUSE_S, self.sendLine, line)


async def asks(number: int) -> str:
    answer: defer.Deferred[str] = defer.Deferred()
    creator = protocol.ClientCreator(reactor, Asks, number, answer)
    await creator.connectTCP("127.0.0.1", PORT)
    return step(number, await answer)


async def work(number: int, lock: defer.DeferredLock) -> list[Any]:
    found: list[Any] = [await pause(number), await old_pause(number)]
    found.append(await threads.deferToThread(blocks, number))
    await lock.acquire()
    try:
        found.append(await pause(number))
    finally:
        lock.release()
    found.append(await asks(number))
    try:
        await fails(number)
    except ValueError as error:
        found.append(str(error))
    timeout: defer.Deferred[Any] = defer.ensureDeferred(hangs(number))
    timeout.addTimeout(PAUSE_S, reactor)
    try:
        await timeout
    except Exception as error:
        found.append(type(error).__name__)
    return found


async def fails(number: int) -> None:
    await pause(number)
    raise ValueError(f"task {number}")


async def hangs(number: int) -> None:
    try:
        await defer.Deferred()
    finally:
        step(number, "cleaned")


async def served(number: int, lock: Any) -> list[Any]:
    return await work(number, lock)


async def unserved(number: int, lock: Any) -> list[Any]:
    return await work(number, lock)


@defer.inlineCallbacks
def old_served(number: int) -> Any:
    found = [(yield old_pause(number))]
    found.append((yield defer.ensureDeferred(pause(number))))
    return found


def main() -> None:
    results: list[Any] = []

    def run() -> Any:
        lock = defer.DeferredLock()
        started = [
            defer.ensureDeferred(kind(number, lock))
            for number in range(2)
            for kind, number in ((unserved, 100 + number), (served, number))
        ]
        started += [old_served(number) for number in (7, 8)]
        return defer.gatherResults(started, consumeErrors=True)

    def ends(result: Any) -> None:
        results.append(result)
        reactor.stop()

    with bench() as made:
        made.arm(f"{__name__}:served", f"{__name__}:old_served", count=4, limits={"concurrent": 4})
        reactor.callWhenRunning(lambda: run().addBoth(ends))
        began = time.perf_counter_ns()
        reactor.run(installSignalHandlers=False)
        passed = time.perf_counter_ns() - began
        traces = made.traces()
    assert type(results[0]) is list, results
    for number, found in ((0, results[0][1]), (1, results[0][3])):
        words = ["p", "o", "b", "p", str(number)]
        assert found == [*(f"{word}{number}" for word in words), f"task {number}", "TimeoutError"], found
    by_number = {check(trace): trace for trace in traces}
    assert sorted(by_number) == [0, 1, 7, 8]
    leaf = ["step"]
    slept = ["pause", leaf]
    tree = [
        slept, ["old_pause", leaf], slept, ["asks", ["__init__"], leaf], ["fails", slept], ["hangs", leaf],
    ]  # fmt: skip
    for number in (0, 1):
        trace = by_number[number]
        assert application(trace) == [["served", ["work", *tree]]], "Twisted's threads copy no Context"
        for node in every(trace, "pause"):
            waited(node, PAUSE_S)
        waited(trace.roots[0], 6 * PAUSE_S)
        waited(one(trace, "asks"), PAUSE_S)
        assert one(trace, "fails").error == ("ValueError", f"task {number}")
        assert one(trace, "hangs").raised["type"] == "twisted.internet.defer.CancelledError"
    for number in (7, 8):
        trace = by_number[number]
        assert application(trace) == [["old_served", ["old_pause", leaf], ["pause", leaf]]]
        waited(trace.roots[0], 2 * PAUSE_S)
        assert branch_of(trace, trace.roots[0]).kind == "root"
    assert running_ns(traces) <= passed


if __name__ == "__main__":
    factory = protocol.ServerFactory()
    factory.protocol = Answers
    PORT = reactor.listenTCP(0, factory, interface="127.0.0.1").getHost().port
    main()
