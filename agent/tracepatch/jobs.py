"""A job of a task queue, or a block that is called one (`block`), as plain data.

Concurrency: made and asked on application threads inside callbacks; runs nothing of the application's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from tracepatch_shared.targets import Target

from .arrival import Arrival, Failure

MAX_NAME = 500
"""Characters of a name that are looked at."""
MAX_NAMES = 100
"""Keyword arguments that conditions can name."""


class Job(Arrival):
    """One run of a job: a retry is another one."""

    __slots__ = ("args", "id", "kwargs", "name", "queue")

    kind: ClassVar[str] = "job"
    known: ClassVar[tuple[str, ...]] = ("name", "args", "kwargs", "id", "queue")
    called: ClassVar[str] = "a job"
    open_names: ClassVar[bool] = True

    def __init__(
        self,
        name: object,
        args: object = (),
        kwargs: object = None,
        job_id: object = None,
        queue: object = None,
    ) -> None:
        """What is of another type than it should be counts as missing."""
        self.name = name[:MAX_NAME] if type(name) is str else ""
        self.args = args
        self.kwargs = kwargs
        self.id = job_id if type(job_id) is str else None
        self.queue = queue if type(queue) is str else None

    def names(self) -> dict[str, Any]:
        """Return the values of `known`, and the keyword arguments by their names, which do not cover those."""
        found: dict[str, Any] = {}
        if type(self.kwargs) is dict:
            given = list(self.kwargs.items())[:MAX_NAMES]
            found.update((key, value) for key, value in given if type(key) is str)
        found.update(name=self.name, args=self.args, kwargs=self.kwargs, id=self.id, queue=self.queue)
        return found

    def matches(self, target: Target) -> bool:
        return target.matches_name(self.name) or target.matches_name(self.name.rpartition(".")[2])

    def outcome(self) -> Failure:
        return Failure(self.id)

    def task(self, shown: Callable[[str], str]) -> dict[str, Any]:
        return {
            "kind": "job",
            "name": shown(self.name) or "…",
            "id": shown(self.id or "") or None,
            "queue": shown(self.queue or "") or None,
        }
