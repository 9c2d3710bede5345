"""Huey: a consumer executes a task, and emits a signal when it failed or is tried again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ..arrival import Outcome
from ..jobs import Job
from ..objects import class_module
from ..routing import Instances, fields, names_of
from ..walk import instance_dict

ENTRIES = ("huey.api:Huey._execute",)
_FAILED = ("error", "retrying", "timeout")


def job(arguments: Mapping[str, object]) -> Job | None:
    """Read `(self, task, timestamp)`; a task's class is named after its function and has its module."""
    task = arguments.get("task")
    given = instance_dict(task)
    name, module = given.get("name"), class_module(type(task))
    if type(name) is not str:
        return None
    return Job(
        f"{module}.{name}" if type(module) is str else name,
        given.get("args"),
        given.get("kwargs"),
        given.get("id"),
        instance_dict(arguments.get("self")).get("name"),
    )


def names(instances: Instances) -> Iterator[str]:
    """Yield the names in registries."""
    for huey in instances("huey.api:Huey"):
        yield from names_of(fields(fields(huey).get("_registry")).get("_registry"))


def _fails(outcome: Outcome, arguments: Mapping[str, object]) -> None:
    signal = arguments.get("signal")
    if type(signal) is str and signal in _FAILED:
        outcome.fails(instance_dict(arguments.get("task")).get("id"))


TELLS = {("huey.api", "_emit"): _fails}
