"""tornado: requests over real sockets, native coroutines and decorated generators, beside untraced ones."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import tornado.gen
import tornado.httpclient
import tornado.httpserver
import tornado.testing
import tornado.web
from tornado.ioloop import IOLoop

from loops_helpers import application, branch_of, check, every, library, one, running_ns, waited
from tracing_helpers import bench

PAUSE_S = 0.04


def step(number: int, letter: str) -> str:
    return f"{letter}{number}"


async def pause(number: int) -> str:
    await tornado.gen.sleep(PAUSE_S)
    return step(number, "p")


@tornado.gen.coroutine
def old_style(number: int) -> Any:
    yield tornado.gen.sleep(PAUSE_S)
    step(number, "old")
    return (yield pause(number))


def blocks(number: int) -> str:
    time.sleep(PAUSE_S)
    return step(number, "b")


class Works(tornado.web.RequestHandler):
    """What both handlers do."""

    async def work(self, number: int) -> None:
        found = [await pause(number), await old_style(number)]
        if number % 3 == 2:
            raise tornado.web.HTTPError(503, "too busy")
        self.write(",".join(found))


class Traced(Works):
    async def get(self, text: str) -> None:
        await served(int(text), self)


class Untraced(Works):
    async def get(self, text: str) -> None:
        await unserved(int(text), self)


async def served(number: int, handler: Works) -> None:
    step(number, "first")
    await handler.work(number=number)


async def unserved(number: int, handler: Works) -> None:
    step(number, "first")
    await handler.work(number=number)


def test_requests_keep_apart() -> None:
    async def main() -> list[int]:
        socket, port = tornado.testing.bind_unused_port()
        routes = [(r"/traced/(\d+)", Traced), (r"/untraced/(\d+)", Untraced)]
        server = tornado.httpserver.HTTPServer(tornado.web.Application(routes, log_function=lambda _: None))
        server.add_socket(socket)
        client = tornado.httpclient.AsyncHTTPClient(force_instance=True)
        answers = await asyncio.gather(
            *(
                client.fetch(f"http://127.0.0.1:{port}/{kind}/{number}", raise_error=False)
                for number in range(3)
                for kind in ("untraced", "traced")
            )
        )
        client.close()
        server.stop()
        await server.close_all_connections()
        return [answer.code for answer in answers]

    with bench() as made:
        made.arm(f"{__name__}:served", count=3, limits={"concurrent": 3})
        began = time.perf_counter_ns()
        assert asyncio.run(main()) == [200, 200, 200, 200, 503, 503]
        passed = time.perf_counter_ns() - began
        traces = made.traces()
    assert sorted(check(trace) for trace in traces) == [0, 1, 2]
    for trace in traces:
        names = sorted(node.function.rpartition(".")[2] for node in trace.nodes() if not library(node))
        assert names == ["old_style", "pause", "pause", "served", "step", "step", "step", "step", "work"]
        assert [child.function for child in one(trace, "old_style").children] == ["sleep", "step"]
        # What a decorated generator yields is started by tornado, not by the generator.
        assert {branch_of(trace, node).kind for node in every(trace, "pause")} == {"root", "task"}
        waited(trace.roots[0], 3 * PAUSE_S)
        for node in every(trace, "pause"):
            waited(node, PAUSE_S)
        raised = one(trace, "work").raised
        assert (raised is not None) == (one(trace, "work").args["number"] == 2)
        if raised is not None:
            assert raised["type"] == "tornado.web.HTTPError"
    assert running_ns(traces) <= passed


async def offloads(number: int) -> str:
    return await IOLoop.current().run_in_executor(None, blocks, number)


def test_a_decorated_generator_as_target_and_an_executor() -> None:
    async def main() -> list[Any]:
        return await asyncio.gather(*(old_style(number) for number in range(2)), offloads(5))

    with bench() as made:
        made.arm(f"{__name__}:old_style", f"{__name__}:offloads", count=3, limits={"concurrent": 3})
        assert asyncio.run(main()) == ["p0", "p1", "b5"]
        traces = made.traces()
    found = {check(trace): trace for trace in traces}
    assert application(found[5]) == [["offloads"]], "an executor copies no Context"
    waited(found[5].roots[0], PAUSE_S)
    for number in range(2):
        assert application(found[number]) == [["old_style", ["step"]]], "only what runs inside the generator"
