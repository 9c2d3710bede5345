"""Dramatiq: a worker's thread processes a message, and tells its middleware what the actor raised."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ..arrival import Outcome
from ..jobs import Job
from ..routing import Instances, fields, names_of
from ..walk import instance_dict

ENTRIES = ("dramatiq.worker:_WorkerThread.process_message",)


def job(arguments: Mapping[str, object]) -> Job | None:
    """Read `(self, message)`; an actor is known by its name."""
    given = _message(arguments.get("message"))
    return Job(
        given.get("actor_name"),
        given.get("args"),
        given.get("kwargs"),
        given.get("message_id"),
        given.get("queue_name"),
    )


def names(instances: Instances) -> Iterator[str]:
    """Yield the actors of brokers."""
    for broker in instances("dramatiq.broker:Broker"):
        yield from names_of(fields(broker).get("actors"))


def _message(proxy: object) -> dict[str, object]:
    return instance_dict(instance_dict(proxy).get("_message"))


def _fails(outcome: Outcome, arguments: Mapping[str, object]) -> None:
    args, kwargs = arguments.get("args"), arguments.get("kwargs")
    if type(args) is tuple and args and type(kwargs) is dict and kwargs.get("exception") is not None:
        outcome.fails(_message(args[0]).get("message_id"))


TELLS = {("dramatiq.broker", "emit_after"): _fails}
