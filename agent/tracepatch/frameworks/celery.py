"""Celery: the tracer of a task runs it once for each try, in whatever pool, and catches what it raises."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from types import FunctionType

from ..arrival import Outcome
from ..jobs import Job
from ..routing import Instances, fields, names_of
from ..walk import instance_dict, module_item

ENTRIES = ("celery.app.trace:build_tracer.<locals>.trace_task",)


def job(arguments: Mapping[str, object]) -> Job | None:
    """Read `(uuid, args, kwargs, request)`, and the task's name from the function around; a queue is its routing key."""
    request = arguments.get("request")
    given = request if type(request) is dict else {}
    name = arguments.get("name")
    delivery = given.get("delivery_info")
    queue = delivery.get("routing_key") if type(delivery) is dict else None
    return Job(
        name if type(name) is str else given.get("task"),
        arguments.get("args"),
        arguments.get("kwargs"),
        arguments.get("uuid"),
        queue,
    )


def holders() -> Iterator[FunctionType]:
    """Yield the tracers that a worker has made: they hang on its tasks only, where no module shows them."""
    kept = module_item(sys.modules.get("celery.app.trace"), "_localized")
    tasks = kept[0] if type(kept) is list and kept else None
    if tasks is not None and issubclass(type(tasks), dict):
        for task in list(dict.values(tasks)):
            tracer = instance_dict(task).get("__trace__")
            if type(tracer) is FunctionType:
                yield tracer


def names(instances: Instances) -> Iterator[str]:
    """Yield the tasks of applications, once they are bound to them, as a worker's are."""
    for application in instances("celery.app.base:Celery"):
        for name in names_of(fields(application).get("_tasks")):
            if type(name) is str and not name.startswith("celery."):
                yield name


def _fails(outcome: Outcome, arguments: Mapping[str, object]) -> None:
    outcome.fails(instance_dict(arguments.get("req")).get("id"))


TELLS = {
    ("celery.app.trace", "handle_failure"): _fails,
    ("celery.app.trace", "handle_retry"): _fails,
}
