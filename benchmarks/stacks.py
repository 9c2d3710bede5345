"""What a look with `stacks` takes and what it holds up: `python -m benchmarks.stacks [--wait SECONDS]`.

A coroutine waits for a lock, through calls, an asynchronous generator and an awaitable object, since before anything
was asked; after `--wait` seconds its whole chain must come within 100 ms. Then the same beside 10 000 tasks, and the
longest pause of the application's event loop while it is looked at.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time

from tracepatch_ctl import Client

BOUND_MS = 100.0
CHAIN = ["customer", "Wrapped.serve", "stock", "_ContextManagerMixin.__aenter__", "Lock.acquire"]
PROGRAM = """
import asyncio, sys, time
import tracepatch

class Wrapped:
    def __init__(self, lock): self.lock = lock
    def __await__(self): return self.serve().__await__()
    async def serve(self):
        async for _ in stock(self.lock): pass

async def stock(lock):
    async with lock:
        yield

async def customer(lock):
    await Wrapped(lock)

async def idle():
    await asyncio.sleep(3600)

async def tick(pauses):
    last = time.perf_counter()
    while True:
        await asyncio.sleep(0.001)
        now = time.perf_counter()
        pauses.append(now - last)
        last = now

async def main():
    lock = asyncio.Lock()
    await lock.acquire()
    tasks = [asyncio.create_task(customer(lock), name="customer")]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    tracepatch.start(service="bench-stacks")
    pauses = []
    loop = asyncio.get_running_loop()
    def told():
        command = sys.stdin.readline().split()
        if not command:
            loop.stop()
        elif command[0] == "tasks":
            tasks.extend(loop.create_task(idle()) for _ in range(int(command[1])))
            tasks.append(loop.create_task(tick(pauses)))
            loop.call_later(0.5, lambda: print("ready", flush=True))
        else:
            pauses.sort()
            print(*(pauses[int(len(pauses) * part)] * 1e3 for part in (0.5, 0.99, 0.99999)), flush=True)
            pauses.clear()
    loop.add_reader(0, told)
    print("ready", flush=True)
    await asyncio.gather(*tasks)

try:
    asyncio.run(main())
except RuntimeError:
    pass
"""


def main() -> int:
    """Measure and print; 1 where the chain is not whole or comes too late."""
    parser = argparse.ArgumentParser(prog="benchmarks.stacks", description=__doc__)
    parser.add_argument("--wait", type=float, default=60.0, help="seconds on the lock before the look")
    wait_s = parser.parse_args().wait
    print(f"CPython {platform.python_version()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        env = {**os.environ, "TRACEPATCH_RUNTIME_DIR": os.path.join(scratch, "run")}
        os.environ.update(env)
        with subprocess.Popen(
            [sys.executable, "-c", PROGRAM], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as program:
            try:
                return measure(program, wait_s)
            finally:
                program.kill()


def measure(program: subprocess.Popen[str], wait_s: float) -> int:
    assert program.stdin is not None
    assert program.stdout is not None
    program.stdout.readline()
    began = time.monotonic()
    time.sleep(wait_s)  # what is measured is a task that has waited for so long
    late = look(program.pid, f"on a lock for {time.monotonic() - began:.1f} s", rounds=1)
    late |= look(program.pid, "the same, again", rounds=20)
    program.stdin.write("tasks 10000\n")
    program.stdin.flush()
    program.stdout.readline()
    pause(program)
    time.sleep(2.0)
    quiet = pause(program)
    look(program.pid, "beside 10 000 tasks", rounds=10)
    print(f"{'a turn of its event loop meanwhile':<36}{pause(program)}; while it is not looked at {quiet}")
    return int(late)


def look(pid: int, what: str, *, rounds: int) -> bool:
    """Print the milliseconds of a look, as the agent and as the controller see them; return whether it was too late."""
    read, whole = [], []
    for _ in range(rounds):
        with Client(pid=str(pid)) as client:
            began = time.perf_counter()
            (found,) = client.stacks()
            whole.append((time.perf_counter() - began) * 1e3)
        read.append(found.took_ns / 1e6)
        (task,) = [task for task in found.tasks if task.name == "customer"]
        chain = [frame.function for frame in task.frames]
        if chain != CHAIN:
            print(f"the chain is {chain}")
            return True
    missing = found.tasks_total - len(found.tasks)
    print(
        f"{what:<36}{statistics.median(read):>10.2f} ms read, {statistics.median(whole):>7.1f} ms with finding the agent"
        f" and asking; {len(chain)} frames, {found.tasks_total} tasks, {missing} not shown"
    )
    return statistics.median(read) > BOUND_MS


def pause(program: subprocess.Popen[str]) -> str:
    """Return how long the event loop's turns have taken since this was asked last."""
    assert program.stdin is not None
    assert program.stdout is not None
    program.stdin.write("pause\n")
    program.stdin.flush()
    half, most, longest = map(float, program.stdout.readline().split())
    return f"median {half:.1f}, 99 % {most:.1f}, longest {longest:.1f} ms"


if __name__ == "__main__":
    sys.exit(main())
