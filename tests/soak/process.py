"""The process that is soaked: `python -m soak.process`. It says `up`, works, and answers a line with its state."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import random
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import tracepatch
from tracepatch.cores import core

from . import app
from .check import check_block

TASKS = 200
THREADS = 8
PERIOD_S = 0.4
"""One `handler` of each task in about this time: half a core, so that there is room for tracing."""
BLOCKS = 1 / 100
"""The part of tasks that trace themselves, in a block of `trace()`."""


class Work:
    """What has been done, and what went wrong in the application itself."""

    def __init__(self) -> None:
        self.rounds = 0
        self.blocks = 0
        self.running = 0
        """Blocks that have not ended."""
        self.in_blocks = False
        """Some tasks trace themselves now."""
        self.wrong: list[str] = []
        self.stopped = False

    async def run(self, task: int, pool: ThreadPoolExecutor) -> None:
        chance = random.Random(task)
        while not self.stopped:
            await asyncio.sleep(PERIOD_S * 2 * chance.random())
            try:
                if self.in_blocks and chance.random() < BLOCKS:
                    await self.block(task, pool)
                elif await app.handler(task, pool) != task:
                    self.wrong.append(f"task {task} returned another one's number")
            except BaseException as error:
                self.wrong.append(f"{type(error).__name__}: {error}")
                raise
            self.rounds += 1

    async def block(self, task: int, pool: ThreadPoolExecutor) -> None:
        self.running += 1
        with tracepatch.trace(cache=False, max_depth=100) as trace:
            await app.handler(task, pool)
        self.running -= 1
        self.blocks += 1
        check_block(trace.roots, task)


async def main() -> None:
    """Work until standard input says otherwise."""
    loop = asyncio.get_running_loop()
    asked: asyncio.Queue[str] = asyncio.Queue()
    threading.Thread(target=listen, args=(loop, asked), daemon=True).start()
    work = Work()
    default = ThreadPoolExecutor(THREADS, thread_name_prefix="default")
    loop.set_default_executor(default)
    with ThreadPoolExecutor(THREADS, thread_name_prefix="pool") as pool:
        for executor in (default, pool):
            fill(executor)
        tasks = [asyncio.create_task(work.run(task, pool)) for task in range(TASKS)]
        print("up", tracepatch.start(service="soak").endpoint, flush=True)
        while (line := await asked.get()) != "stop":
            if line == "state":
                print(json.dumps(state(work)), flush=True)
            else:
                work.in_blocks = line == "blocks on"
        work.stopped = True
        await asyncio.gather(*tasks, return_exceptions=True)
        tracepatch.stop()
        print(json.dumps(state(work)), flush=True)


def fill(executor: ThreadPoolExecutor) -> None:
    """Have an executor make all its threads."""
    barrier = threading.Barrier(THREADS + 1)
    for _ in range(THREADS):
        executor.submit(barrier.wait)
    barrier.wait(10)


def listen(loop: asyncio.AbstractEventLoop, asked: asyncio.Queue[str]) -> None:
    for line in sys.stdin:
        loop.call_soon_threadsafe(asked.put_nowait, line.strip())
    loop.call_soon_threadsafe(asked.put_nowait, "stop")  # the driver is gone


def state(work: Work) -> dict[str, Any]:
    """Return what the driver compares and prints."""
    gc.collect()
    monitoring = getattr(sys, "monitoring", None)
    tools = [tool for tool in range(6) if monitoring and monitoring.get_tool(tool)]
    return {
        "rounds": work.rounds,
        "local": work.blocks,
        "running": work.running,
        "blocks": sys.getallocatedblocks(),
        "wrong": work.wrong[:5],
        "toggles": getattr(core(), "toggles", 0),
        "clean": core().clean(),
        "tools": tools,
        "hooks": [str(hook) for hook in (sys.gettrace(), sys.getprofile()) if hook is not None],
        "changed": [name for name, code in CODES.items() if getattr(app, name).__code__ is not code],
        "threads": sorted(thread.name.rstrip("0123456789") for thread in threading.enumerate()),
    }


CODES = {name: item.__code__ for name, item in vars(app).items() if hasattr(item, "__code__")}

if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="%(name)s %(levelname)s %(message)s")
    asyncio.run(main())
