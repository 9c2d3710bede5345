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
    _, tasks = huey_app(folder)
    return lambda name, *args, **kwargs: tasks[name](*args, **kwargs)


def huey_work(pool: str, folder: str) -> None:
    huey, _ = huey_app(folder)
    huey.create_consumer(workers=2, worker_type=pool, initial_delay=0.05, max_delay=0.05, backoff=1).run()


def sender(library: str, folder: str) -> Send:
    return globals()[f"{library}_sender"](folder)


if __name__ == "__main__":
    import tracepatch

    library, pool, folder, service = sys.argv[1:]
    tracepatch.start(service=service)
    print("up", flush=True)
    globals()[f"{library}_work"](pool, folder)
