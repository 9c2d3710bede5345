"""Threads: each begins in the same function, whatever it runs; a pool's thread has no run of its own, its work has."""

from __future__ import annotations

from collections.abc import Mapping

from ..arrival import Outcome
from ..handoff import own_context
from ..runs import ThreadRun, serves_a_pool
from ..walk import instance_dict

ENTRIES = ("threading:Thread._bootstrap_inner",)


def run(arguments: Mapping[str, object]) -> ThreadRun | None:
    """Read `(self)`."""
    thread = arguments.get("self")
    if serves_a_pool(thread):
        return None
    given = instance_dict(thread)
    return ThreadRun(
        given.get("_name"), given.get("_target"), id(thread), context=own_context(thread), sent=thread
    )


def _fails(outcome: Outcome, arguments: Mapping[str, object]) -> None:
    outcome.fails(id(arguments.get("thread")))


TELLS = {("threading", "invoke_excepthook"): _fails}
