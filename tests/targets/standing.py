"""A process whose threads and tasks stand where a test knows: run as `standing.py SITUATION`, it says `ready`.

The line on which something waits ends in `# here: NAME`.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import sys
import threading
import time

import tracepatch

held = threading.Lock()


def ready() -> None:
    print("ready", flush=True)


# ---- chains -----------------------------------------------------------------------------------------------------


async def numbers(lock: asyncio.Lock):
    async with lock:  # here: lock
        yield 1


class Awaitable:
    def __init__(self, lock: asyncio.Lock) -> None:
        self.lock = lock

    def __await__(self):
        return self.consume().__await__()

    async def consume(self) -> None:
        async for _ in numbers(self.lock):  # here: consume
            pass


async def customer(lock: asyncio.Lock) -> None:
    await Awaitable(lock)  # here: customer


async def napper(name: str) -> None:
    await asyncio.sleep(600)  # here: nap


async def reader(queue: asyncio.Queue) -> None:
    await queue.get()  # here: get


async def awaiter(task: asyncio.Task) -> None:
    await task  # here: task


async def gatherer(*tasks: asyncio.Task) -> None:
    await asyncio.gather(*tasks)  # here: gather


def cry(*_: object) -> str:
    """Say so if this code runs on the agent's thread."""
    if threading.current_thread().name == "tracepatch":
        print("user code ran", flush=True)
    return "loud"


class Loud(asyncio.Task):
    """A task with methods of its own."""

    get_name = get_coro = get_stack = __repr__ = __str__ = __len__ = __bool__ = cry  # type: ignore[assignment]
    _fut_waiter = _state = _loop = property(cry)


class LoudFuture(asyncio.Future):
    """A future with methods of its own."""

    __repr__ = __len__ = __bool__ = cry  # type: ignore[assignment]


async def secretive(future: asyncio.Future) -> None:
    await future  # here: future


async def family(kind: type | None) -> None:
    loop = asyncio.get_running_loop()
    lock = asyncio.Lock()
    await lock.acquire()
    tasks = [
        loop.create_task(customer(lock), name="customer"),
        loop.create_task(reader(asyncio.Queue()), name="reader"),
        loop.create_task(napper("password=hunter2-and-more"), name="password=hunter2-and-more"),
    ]
    tasks.append(loop.create_task(awaiter(tasks[1]), name="awaiter"))
    tasks.append(loop.create_task(gatherer(tasks[0], tasks[1]), name="gatherer"))
    loop_future = LoudFuture(loop=loop)
    tasks.append(loop.create_task(secretive(loop_future), name="secretive"))
    if kind is not None:
        tasks.append(kind(napper("loud"), loop=loop, name="loud one"))
    if sys.version_info >= (3, 11):
        tasks.append(loop.create_task(grouped(), name="group"))
    if sys.version_info >= (3, 12):
        tasks.append(asyncio.Task(napper("eager"), loop=loop, name="eager", eager_start=True))
    await asyncio.sleep(0.01)
    ready()
    await asyncio.gather(*tasks, return_exceptions=True)


async def grouped() -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(napper("member"), name="member")


# ---- situations -------------------------------------------------------------------------------------------------


def chains() -> None:
    asyncio.run(family(Loud))


def louder() -> None:
    class Louder(Loud):
        """A task that runs code of its own whatever is asked of it."""

        def __getattribute__(self, name: str):
            cry()
            return super().__getattribute__(name)

        def done(self) -> bool:
            cry()
            return super().done()

    asyncio.run(family(Louder))


def uvloop() -> None:
    import uvloop as uv

    loop = uv.new_event_loop()
    loop.run_until_complete(family(None))


def hung() -> None:
    async def stuck() -> None:
        compute()  # here: stuck

    def compute() -> None:
        ready()
        held.acquire()
        held.acquire()  # here: compute

    async def main() -> None:
        await asyncio.gather(
            asyncio.create_task(napper("beside"), name="beside"), asyncio.create_task(stuck(), name="stuck")
        )

    asyncio.run(main())


def busy() -> None:
    async def spin() -> None:
        ready()
        while True:
            sum(range(100))  # here: spin

    asyncio.run(spin())


def many() -> None:
    async def main() -> None:
        tasks = [asyncio.create_task(napper("many")) for _ in range(int(sys.argv[2]))]
        tasks.append(asyncio.create_task(reader(asyncio.Queue()), name="the odd one"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        ready()
        await asyncio.gather(*tasks)

    asyncio.run(main())


def threads() -> None:
    held.acquire()

    def wait_for_it(depth: int) -> None:
        if depth:
            wait_for_it(depth - 1)
        held.acquire()  # here: held

    threading.Thread(target=wait_for_it, args=(3,), name="waiter", daemon=True).start()
    threading.Thread(target=wait_for_it, args=(400,), name="deep", daemon=True).start()
    pool = concurrent.futures.ThreadPoolExecutor(4, thread_name_prefix="pool")
    barrier = threading.Barrier(4)
    list(pool.map(lambda _: barrier.wait(), range(4)))

    def other() -> None:
        asyncio.run(napper("other"))

    threading.Thread(target=other, name="other loop", daemon=True).start()
    ready()
    time.sleep(600)


def trio() -> None:
    import trio as library
    import trio.testing

    async def child(lock: library.Lock) -> None:
        async with lock:  # here: child
            pass

    async def nap() -> None:
        await library.sleep(600)  # here: trio nap

    async def main() -> None:
        lock = library.Lock()
        async with lock, library.open_nursery() as nursery:
            nursery.start_soon(child, lock, name="child")
            nursery.start_soon(nap, name="nap")
            await library.testing.wait_all_tasks_blocked()
            ready()

    library.run(main)


def restless() -> None:
    """Tasks that come, go on and end all the time, on two loops."""

    async def short(depth: int) -> None:
        if depth:
            await short(depth - 1)
        await asyncio.sleep(0)

    async def main() -> None:
        while True:
            await asyncio.gather(*(short(number % 7) for number in range(50)))

    threading.Thread(target=lambda: asyncio.run(main()), daemon=True).start()
    ready()
    asyncio.run(main())


if __name__ == "__main__":
    tracepatch.start(service="standing")
    {
        name: situation
        for name, situation in list(globals().items())
        if name in {"chains", "louder", "uvloop", "hung", "busy", "many", "threads", "trio", "restless"}
    }[sys.argv[1]]()
