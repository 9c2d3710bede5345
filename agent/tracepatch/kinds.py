"""The kinds of work that enter at entries, by the prefix of their targets."""

from __future__ import annotations

from typing import Final

from .arrival import Arrival
from .jobs import Job
from .request import Request
from .runs import ThreadRun
from .starts import TaskStart

KINDS: Final[dict[str, type[Arrival]]] = {
    arrival.kind: arrival for arrival in (Request, Job, TaskStart, ThreadRun)
}


def kind_of(target: str) -> type[Arrival] | None:
    """Return the kind that a target's text names, None for a function."""
    return KINDS.get(target.strip().partition(":")[0])
