"""Where work enters an application: one module for each framework, found by being in this folder.

A module says `ENTRIES`, functions as `module:qualname` that are called once for a unit of work, and one function that is
named after what enters there (`request`, `job`, a thread's `run`), which reads it from the arguments of such a call
(name -> value), returns None where it is none (a lifespan), and runs nothing. Where work is only announced by the call,
and begins later, it is called `coming` and returns the coroutine of a task, or `jobs` or `runs` and returns functions,
each with what reads that from its calls. A module imports nothing of the framework: an entry is looked for when its
module is loaded. Removing a module removes the framework.

Optional are `TELLS`, what calls of which functions tell of the outcome ((module, name) -> `response.Tell`); `holders`,
which yields function objects of an entry that no module shows (on 3.10 and 3.11 each has to be found); `NEEDS`, where work
is announced, modules without which there is nothing to learn from a call; and `routes`, what the framework's routing
tables hold (see `..routing`).

Concurrency: `entries` and `targets` are read by the agent thread; readers run on application threads inside callbacks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from importlib import import_module
from pkgutil import iter_modules
from types import FunctionType
from typing import Any, NamedTuple

from tracepatch_shared.targets import Target

from ..arrival import Arrival
from ..jobs import Job
from ..request import Request
from ..response import BY_MODULE
from ..routing import Instances, Route
from ..runs import ThreadRun
from ..starts import TaskStart


class Reader(NamedTuple):
    """What reads what enters at an entry."""

    arrival: type[Arrival]
    """The kind of work."""
    read: Callable[[Mapping[str, object]], Any]
    """Returns the `Arrival`, None where it is none; or what begins later."""
    announces: bool = False
    """What is read here begins later."""
    needs: tuple[str, ...] = ()
    """Only where one of these modules is loaded; empty: always."""
    holders: Callable[[], Iterable[FunctionType]] = tuple


_KINDS: dict[str, type[Arrival]] = {
    "request": Request, "job": Job, "jobs": Job, "coming": TaskStart, "run": ThreadRun, "runs": ThreadRun,
}  # fmt: skip
"""Name of the function that reads it in a framework's module -> the kind."""
_ANNOUNCE = ("coming", "jobs", "runs")


@lru_cache(maxsize=1)
def _all() -> dict[str, Reader]:
    found: dict[str, Reader] = {}
    for item in iter_modules(__path__, __name__ + "."):
        module = import_module(item.name)
        name = next(name for name in _KINDS if name in vars(module))
        BY_MODULE.update(vars(module).get("TELLS", {}))
        for entry in module.ENTRIES:
            holders = vars(module).get("holders", tuple)
            needs = vars(module).get("NEEDS", ())
            found[entry] = Reader(_KINDS[name], vars(module)[name], name in _ANNOUNCE, needs, holders)
    return found


@lru_cache
def entries(kind: str = "http") -> dict[str, Reader]:
    """Return `module:qualname` -> reader of the entries of all frameworks that are known, of one kind of work."""
    return {entry: reader for entry, reader in _all().items() if reader.arrival.kind == kind}


@lru_cache(maxsize=1)
def listings() -> tuple[Callable[[Instances], Iterator[Route]], ...]:
    """Return what lists the routes of each framework that can."""
    modules = [import_module(item.name) for item in iter_modules(__path__, __name__ + ".")]
    return tuple(module.routes for module in modules if hasattr(module, "routes"))


@lru_cache(maxsize=1)
def registries() -> tuple[Callable[[Instances], Iterator[str]], ...]:
    """Return what names the jobs of each framework that has a registry of them."""
    modules = [import_module(item.name) for item in iter_modules(__path__, __name__ + ".")]
    return tuple(module.names for module in modules if hasattr(module, "names"))


@lru_cache
def targets(kind: str = "http") -> tuple[Target, ...]:
    """Return the entries as targets."""
    found = []
    for entry in entries(kind):
        module, _, qualname = entry.partition(":")
        found.append(Target("function", entry, module, qualname))
    return tuple(found)
