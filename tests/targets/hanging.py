"""A process with calls that hang: `hanging.py [asyncio|uvloop|trio|threads]`. It says `ready`, and `gone on` when told to go on.

The line on which something hangs ends in `# here: NAME`.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time

import tracepatch

gate = threading.Lock()
gate.acquire()


async def handle(lock: asyncio.Lock) -> str:
    await asyncio.gather(load(lock), pause())  # here: handle
    return "handled"


async def load(lock: asyncio.Lock) -> None:
    await fetch(lock)  # here: load


async def fetch(lock: asyncio.Lock) -> None:
    async with lock:  # here: fetch
        pass


async def pause() -> None:
    await asyncio.sleep(600)  # here: pause


async def once(lock: asyncio.Lock) -> None:
    await fetch(lock)  # here: once


async def compute() -> None:
    crunch()  # here: compute


def crunch() -> None:
    while True:
        time.sleep(0.001)  # here: crunch


async def serve() -> None:
    lock = asyncio.Lock()
    await lock.acquire()
    loop = asyncio.get_running_loop()

    def told() -> None:
        word = sys.stdin.readline().strip()
        if word == "free":
            lock.release()
        elif word in CALLS:
            task = loop.create_task(CALLS[word](lock) if word != "compute" else compute(), name=word)
            tasks.append(task)
            task.add_done_callback(lambda _: print("gone on", flush=True))

    tasks: list[asyncio.Task] = []
    loop.add_reader(0, told)
    print("ready", flush=True)
    await asyncio.sleep(600)


CALLS = {"handle": handle, "once": once, "compute": compute}


def job(depth: int = 2) -> None:
    if depth:
        job(depth - 1)  # here: deeper
    else:
        gate.acquire()  # here: job


def in_threads() -> None:
    print("ready", flush=True)
    while sys.stdin.readline():
        threading.Thread(target=job, daemon=True).start()


def in_trio() -> None:
    import trio

    async def main() -> None:
        event = trio.Event()
        async with trio.open_nursery() as nursery:
            print("ready", flush=True)
            while await trio.to_thread.run_sync(sys.stdin.readline):
                nursery.start_soon(visit, event)

    trio.run(main)


async def visit(event) -> None:
    await event.wait()  # here: visit


if __name__ == "__main__":
    tracepatch.start(service="hanging")
    kind = sys.argv[1]
    if kind == "threads":
        in_threads()
    elif kind == "trio":
        in_trio()
    elif kind == "uvloop":
        import uvloop

        uvloop.install() if sys.version_info < (3, 11) else None
        (uvloop.run if hasattr(uvloop, "run") else asyncio.run)(serve())
    else:
        asyncio.run(serve())
