"""gevent: greenlets on one thread, traced beside untraced; patched before tracepatch is loaded, after, or not at all."""

from __future__ import annotations

import sys

if sys.argv[1] == "patched-first":
    import gevent.monkey

    gevent.monkey.patch_all()

from contextvars import copy_context
from typing import Any

import gevent
import gevent.lock
import gevent.pool
import gevent.server
import gevent.socket
import gevent.threadpool

import tracepatch.agent
from loops_helpers import application, branch_of, check, every, links, one
from tracing_helpers import bench

if sys.argv[1] == "patched-after":
    import gevent.monkey

    gevent.monkey.patch_all()

import threading
import time

PAUSE_S = 0.03


def step(number: int, letter: str) -> str:
    return f"{letter}{number}"


def pause(number: int) -> str:
    gevent.sleep(PAUSE_S)
    return step(number, "p")


def asks(number: int, port: int) -> str:
    with gevent.socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(str(number).encode())
        return step(number, connection.recv(100).decode())


def fails(number: int) -> None:
    pause(number)
    raise ValueError(f"task {number}")


def hangs(number: int) -> None:
    try:
        gevent.sleep(3600)
    finally:
        step(number, "cleaned")


def items(number: int) -> Any:
    for letter in "ab":
        pause(number)
        yield step(number, letter)


def work(number: int, lock: Any, port: int) -> list[str]:
    found = [pause(number)]
    with lock:
        found.append(pause(number))
    found.append(asks(number, port))
    found += items(number)
    try:
        fails(number)
    except ValueError as error:
        found.append(str(error))
    with gevent.Timeout(PAUSE_S, False):
        hangs(number)
    return found


def served(number: int, lock: Any, port: int) -> list[str]:
    return work(number, lock, port)


def unserved(number: int, lock: Any, port: int) -> list[str]:
    return work(number, lock, port)


def answer(connection: Any, _address: Any) -> None:
    text = connection.recv(100)
    gevent.sleep(PAUSE_S)
    connection.sendall(b"<" + text + b">")
    connection.close()


SLEPT = ["pause", ["step"]]
TREE = [
    "served",
    ["work", SLEPT, SLEPT, ["asks", ["step"]], ["items", SLEPT, ["step"], SLEPT, ["step"]], ["fails", SLEPT], ["hangs", ["step"]]],
]  # fmt: skip


def greenlets_keep_apart() -> None:
    server = gevent.server.StreamServer(("127.0.0.1", 0), answer)
    server.start()
    lock = gevent.lock.RLock()
    with bench() as made:
        made.arm(f"{__name__}:served", count=3, limits={"concurrent": 3})
        started = [
            gevent.spawn(kind, number, lock, server.server_port)
            for index in range(3)
            for kind, number in ((unserved, 100 + index), (served, index))
        ]
        gevent.joinall(started, raise_error=True)
        assert sys.gettrace() is None
        traces = made.traces()
    server.stop()
    assert started[3].value == ["p1", "p1", "<1>1", "a1", "b1", "task 1"], started[3].value
    assert sorted(check(trace) for trace in traces) == [0, 1, 2]
    for trace in traces:
        assert application(trace) == [TREE], application(trace)
        assert one(trace, "fails").raised["type"] == "ValueError"
        assert one(trace, "hangs").raised["type"] == "gevent.timeout.Timeout"
        for node in every(trace, "pause"):
            assert node.wall_ns >= 0.9 * PAUSE_S * 1e9


def parent(number: int) -> list[str]:
    """Its children do not inherit the Context, unless they are given it."""
    stranger = gevent.spawn(child, number + 100)
    own = gevent.spawn(copy_context().run, child, number)
    found = [pause(number), step(number, "m"), pause(number), step(number, "n")]
    gevent.joinall([own, stranger], raise_error=True)
    return [*found, *own.value]


def child(number: int) -> list[str]:
    return [pause(number), step(number, "c"), pause(number), step(number, "d")]


def children_have_a_context_of_their_own() -> None:
    with bench() as made:
        made.arm(f"{__name__}:parent")
        assert parent(1) == ["p1", "m1", "p1", "n1", "p1", "c1", "p1", "d1"]
        trace = made.trace()
    assert check(trace) == 1
    ours = one(trace, "child")
    assert [item[0] for item in application(trace)[0] if type(item) is list].count("child") <= 1
    assert [node.function for node in trace.nodes() if node.branch == ours.branch] == [
        "child", *(["pause", "sleep", "step", "step"] * 2)
    ], [node.function for node in trace.nodes()]  # fmt: skip
    assert [node.function for node in one(trace, "parent").children if node.branch == 0 and node.module == __name__] == [
        "pause", "step", "pause", "step"
    ]  # fmt: skip
    branch = branch_of(trace, ours)
    assert (branch.kind, branch.link) == ("greenlet", "inferred")


def target_in_worker(number: int) -> str:
    time.sleep(PAUSE_S)
    return step(number, threading.current_thread().name)


def threads_run_too() -> None:
    """gevent's thread pool runs real threads, `threading` real ones or greenlets."""
    pool = gevent.threadpool.ThreadPool(2)
    with bench() as made:
        made.arm(f"{__name__}:target_in_worker", count=4, limits={"concurrent": 4})
        spawned = [pool.spawn(target_in_worker, number) for number in range(2)]
        threads = [threading.Thread(target=target_in_worker, args=(number,)) for number in (2, 3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        gevent.joinall(spawned)
        traces = made.traces()
    assert sorted(check(trace) for trace in traces) == [0, 1, 2, 3]
    for trace in traces:
        assert application(trace) == [["target_in_worker", ["step"]]]


def in_thread(number: int) -> list[str]:
    return [pause(number), step(number, "t"), pause(number)]


def starts_threads(number: int) -> list[str]:
    threads = [threading.Thread(target=in_thread, args=(number,), name=f"t{index}") for index in range(2)]
    stranger = threading.Thread(target=in_thread, args=(number + 100,))
    for thread in threads:
        thread.start()
    stranger_starts(stranger)
    found = [pause(number), step(number, "m")]
    for thread in (*threads, stranger):
        thread.join()
    return found


def stranger_starts(thread: threading.Thread, number: int = 1) -> None:
    """Start a thread from where nobody traces."""
    gevent.spawn(thread.start).join()


def threads_are_followed_on_request() -> None:
    """Threads of `threading`: greenlets where it is patched."""
    with bench() as made:
        made.arm(f"{__name__}:starts_threads", threads=True)
        assert starts_threads(1) == ["p1", "m1"]
        trace = made.trace()
    assert check(trace) == 1
    mine = ["in_thread", SLEPT, ["step"], SLEPT]
    (tree,) = application(trace)
    assert tree[1:] == [mine, mine, ["stranger_starts"], SLEPT, ["step"]], tree
    assert links(trace) == [("thread", f"t{index}", "exact", "starts_threads") for index in range(2)], links(
        trace
    )
    assert sys.gettrace() is None


if __name__ == "__main__":
    assert tracepatch.agent
    for test in (
        greenlets_keep_apart,
        children_have_a_context_of_their_own,
        threads_run_too,
        threads_are_followed_on_request,
    ):
        if len(sys.argv) < 3 or test.__name__ in sys.argv:
            test()
            print(test.__name__)
