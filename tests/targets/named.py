"""A process whose work has names: tasks, threads, work of a pool, and blocks of `tracepatch.job()`."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import tracepatch


def step(number: int) -> int:
    return number + 1


async def worker(number: int) -> int:
    await asyncio.sleep(0)
    with tracepatch.job("import-users", user=number % 10):
        return step(number)


async def idle() -> None:
    await asyncio.Event().wait()


async def main() -> None:
    kept = [asyncio.create_task(idle(), name="worker-idle") for _ in range(2)]
    pool = ThreadPoolExecutor(1, thread_name_prefix="pool")
    print("up", flush=True)
    number = 0
    while not any(task.done() for task in kept):
        number += 1
        await asyncio.create_task(worker(number), name=f"worker-{number}")
        thread = threading.Thread(target=step, args=(number,), name=f"importer-{number}")
        thread.start()
        await asyncio.get_running_loop().run_in_executor(pool, step, number)
        await asyncio.sleep(0.01)


tracepatch.start(service="named")
asyncio.run(main())
