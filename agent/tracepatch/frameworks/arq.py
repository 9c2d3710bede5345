"""arq: a job is a task made of the function's coroutine, so that its root raises; which functions there are, a worker knows.

What `run_job` is given is a number only, so the functions of the worker are waited for from its first job on.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from types import FunctionType

from ..codes import argument_names
from ..handoff import plain_function
from ..jobs import Job
from ..walk import instance_dict

ENTRIES = ("arq.worker:Worker.run_job",)
MAX_FUNCTIONS = 200


def jobs(arguments: Mapping[str, object]) -> list[tuple[FunctionType, object]]:
    """Return the functions that the worker `self` runs jobs with, and what reads a job from a call of each."""
    worker = instance_dict(arguments.get("self"))
    known = worker.get("functions")
    found: list[tuple[FunctionType, object]] = []
    for name, item in list(known.items())[:MAX_FUNCTIONS] if type(known) is dict else ():
        function = plain_function(instance_dict(item).get("coroutine"))
        if function is not None:
            names = argument_names(function.__code__)
            found.append((function, partial(_job, name, names, worker.get("queue_name"))))
    return found


def _job(name: object, names: tuple[str, ...], queue: object, arguments: Mapping[str, object]) -> Job | None:
    """Read `(ctx, *args, **kwargs)`, a bound method's too; a call with no context of a job is none."""
    for place, argument in enumerate(names[:2]):
        context = arguments.get(argument)
        if type(context) is dict and type(context.get("job_id")) is str:
            given = {key: arguments[key] for key in names[place + 1 :] if key in arguments}
            return Job(name, tuple(given.values()), given, context["job_id"], queue)
    return None
