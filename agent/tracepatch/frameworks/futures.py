"""concurrent.futures: a piece of work on a pool's thread; what it raises is put into its future."""

from __future__ import annotations

from collections.abc import Mapping

from ..arrival import Outcome
from ..handoff import thread_name
from ..runs import ThreadRun
from ..walk import instance_dict

ENTRIES = ("concurrent.futures.thread:_WorkItem.run",)


def run(arguments: Mapping[str, object]) -> ThreadRun | None:
    """Read `(self)`: what it runs is in `fn` and `args`, or first in `task` (3.14)."""
    item = arguments.get("self")
    given = instance_dict(item)
    task = given.get("task")
    function, args = (
        task[:2] if type(task) is tuple and len(task) > 1 else (given.get("fn"), given.get("args"))
    )
    return ThreadRun(thread_name(), function, id(given.get("future")), arguments=args, sent=item)


def _fails(outcome: Outcome, arguments: Mapping[str, object]) -> None:
    outcome.fails(id(arguments.get("self")))


TELLS = {("concurrent.futures._base", "set_exception"): _fails}
