"""RQ: what a job's function raises leaves `perform`, so that its root raises."""

from __future__ import annotations

from collections.abc import Mapping

from ..jobs import Job
from ..walk import instance_dict

ENTRIES = ("rq.job:Job.perform",)


def job(arguments: Mapping[str, object]) -> Job | None:
    """Read `(self)`, which has been unpickled by then."""
    given = instance_dict(arguments.get("self"))
    name = given.get("_func_name")
    if type(name) is not str:
        return None
    return Job(name, given.get("_args"), given.get("_kwargs"), given.get("_id"), given.get("origin"))
