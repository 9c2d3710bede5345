"""anyio: functions that are handed to its worker threads; there is none of its own that is called for each."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from types import FunctionType

from ..handoff import current_thread, plain_function
from ..runs import ThreadRun, serves_a_pool
from ..walk import instance_dict

ENTRIES = ("anyio.to_thread:run_sync",)


def runs(arguments: Mapping[str, object]) -> list[tuple[FunctionType, object]]:
    """Return the function of `(func, *args)`, and what reads a run from a call of it."""
    function = plain_function(arguments.get("func"))
    return [] if function is None else [(function, partial(_run, function))]


def _run(function: FunctionType, _arguments: Mapping[str, object]) -> ThreadRun | None:
    thread = current_thread()
    if not serves_a_pool(thread):
        return None
    return ThreadRun(instance_dict(thread).get("_name"), function, id(thread))
