"""Workers of task queues, each with its real library: `queues.py LIBRARY POOL FOLDER` works until it is told to end.

A test imports it as well, and sends jobs with `sender`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import queue_jobs

Send = Callable[..., object]
"""Sends a job: the function's name, its arguments."""


def celery_client(folder: str) -> Any:
    from celery import Celery

    app = Celery("shop", broker="filesystem://", backend=None)
    app.conf.update(
        broker_transport_options={
            "data_folder_in": folder, "data_folder_out": folder, "store_processed": False, "polling_interval": 0.05,
            "control_folder": folder,
        },
        broker_connection_retry_on_startup=True,
        task_ignore_result=True,
    )  # fmt: skip
    return app


def celery_app(folder: str) -> Any:
    app = celery_client(folder)
    for function in queue_jobs.JOBS:
        app.task(name=f"shop.tasks.{function.__name__}")(function)

    @app.task(name="shop.tasks.again", bind=True, max_retries=1)
    def again(self: Any, user: int) -> None:
        try:
            queue_jobs.refuse(user)
        except ValueError as error:
            raise self.retry(exc=error, countdown=0) from error

    @app.task(name="shop.tasks.outer")
    def outer(user: int) -> None:
        queue_jobs.render(user, "outer")
        app.tasks["shop.tasks.refuse"].apply((user,))  # within this one, and its failure is not this one's

    return app


def celery_sender(folder: str) -> Send:
    app = celery_client(folder)
    return lambda name, *args, **kwargs: app.send_task(f"shop.tasks.{name}", args, kwargs)


def celery_work(pool: str, folder: str) -> None:
    words = ["worker", "-P", pool, "-c", "2", "-l", "WARNING", "--without-gossip", "--without-mingle"]
    celery_app(folder).worker_main([*words, "--without-heartbeat"])


def huey_app(folder: str) -> Any:
    from huey import SqliteHuey

    huey = SqliteHuey("shop", filename=os.path.join(folder, "huey.db"))
    tasks = {function.__name__: huey.task()(function) for function in queue_jobs.JOBS}
    tasks["again"] = huey.task(retries=1)(queue_jobs.again)
    return huey, tasks


def huey_sender(folder: str) -> Send:
    huey, tasks = huey_app(folder)

    def send(name: str, *args: Any, **kwargs: Any) -> None:
        tasks[name](*args, **kwargs)
        huey.storage.close()  # a connection that is left to be collected is an error in some later test (3.13)

    return send


def huey_work(pool: str, folder: str) -> None:
    huey, _ = huey_app(folder)
    huey.create_consumer(workers=2, worker_type=pool, initial_delay=0.05, max_delay=0.05, backoff=1).run()


def rq_queue(folder: str) -> Any:
    from redis import Redis
    from rq import Queue

    return Queue("mail", connection=Redis(unix_socket_path=os.path.join(folder, "redis.sock")))


def rq_sender(folder: str) -> Send:
    from rq import Retry

    queue = rq_queue(folder)
    return lambda name, *args, **kwargs: queue.enqueue(
        f"queue_jobs.{name}", args=args, kwargs=kwargs, retry=Retry(max=1) if name == "again" else None
    )


def rq_work(_pool: str, folder: str) -> None:
    from rq import SimpleWorker

    queue = rq_queue(folder)
    SimpleWorker([queue], connection=queue.connection).work(logging_level="WARNING")


def dramatiq_actors(folder: str) -> Any:
    import dramatiq
    from dramatiq.brokers.redis import RedisBroker

    broker = RedisBroker(url=f"unix://{folder}/redis.sock", middleware=[dramatiq.middleware.Retries()])
    actors = {
        function.__name__: dramatiq.actor(
            function, broker=broker, max_retries=0, actor_name=f"mail.{function.__name__}"
        )
        for function in queue_jobs.JOBS
    }
    actors["again"] = dramatiq.actor(
        queue_jobs.again, broker=broker, max_retries=1, min_backoff=10, actor_name="mail.again"
    )
    return broker, actors


def dramatiq_sender(folder: str) -> Send:
    _, actors = dramatiq_actors(folder)
    return lambda name, *args, **kwargs: actors[name].send(*args, **kwargs)


def dramatiq_work(_pool: str, folder: str) -> None:
    import signal

    import dramatiq

    broker, _ = dramatiq_actors(folder)
    dramatiq.Worker(broker, worker_threads=2, worker_timeout=50).start()
    signal.pause()


def arq_settings(folder: str) -> Any:
    from arq.connections import RedisSettings

    return RedisSettings(unix_socket_path=os.path.join(folder, "redis.sock"))


def arq_sender(folder: str) -> Send:
    import asyncio

    from arq import create_pool

    async def enqueue(name: str, args: Any, kwargs: Any) -> None:
        pool = await create_pool(arq_settings(folder))
        await pool.enqueue_job(f"mail.{name}", *args, **kwargs)
        await pool.connection_pool.disconnect()

    return lambda name, *args, **kwargs: asyncio.run(enqueue(name, args, kwargs))


def arq_work(_pool: str, folder: str) -> None:
    from arq import Retry, func
    from arq.worker import Worker

    async def send_email(ctx: Any, user: int, subject: str = "") -> str:
        return queue_jobs.render(user, subject)

    async def refuse(ctx: Any, user: int) -> None:
        queue_jobs.refuse(user)

    async def recover(ctx: Any, user: int) -> str:
        return queue_jobs.recover(user)

    async def again(ctx: Any, user: int) -> None:
        raise Retry(0.01) if ctx["job_try"] == 1 else ValueError("no such user")

    async def touch(ctx: Any, path: str) -> None:
        queue_jobs.touch(path)

    functions = [func(f, name=f"mail.{f.__name__}") for f in (send_email, refuse, recover, again, touch)]
    Worker(functions, redis_settings=arq_settings(folder), poll_delay=0.05).run()


def sender(library: str, folder: str) -> Send:
    return globals()[f"{library}_sender"](folder)


if __name__ == "__main__":
    import tracepatch

    library, pool, folder, service = sys.argv[1:]
    tracepatch.start(service=service)
    print("up", flush=True)
    globals()[f"{library}_work"](pool, folder)
