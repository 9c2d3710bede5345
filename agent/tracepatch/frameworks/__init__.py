"""Where requests enter an application: one module for each framework, found by being in this folder.

A module says `ENTRIES`, functions as `module:qualname` that are called once for a request, and `request`, which reads
that request from the arguments of such a call (name -> value) and runs nothing. It imports nothing of the framework: an
entry is looked for when its module is loaded. Optional is `TELLS`: functions that show the status of the response.
Removing a module removes the framework.

Concurrency: `entries` is read by the agent thread; `request` and the tells run on application threads inside callbacks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from importlib import import_module
from pkgutil import iter_modules

from tracepatch_shared.targets import Target

from ..request import Request

Reader = Callable[[Mapping[str, object]], "Request | None"]
"""Reads the request from the arguments of an entry's call; None: it is none (a lifespan)."""


@lru_cache(maxsize=1)
def entries() -> dict[str, Reader]:
    """Return `module:qualname` -> reader of the entries of all frameworks that are known."""
    found: dict[str, Reader] = {}
    for item in iter_modules(__path__, __name__ + "."):
        module = import_module(item.name)
        for entry in module.ENTRIES:
            found[entry] = module.request
    return found


@lru_cache(maxsize=1)
def targets() -> tuple[Target, ...]:
    """Return the entries as targets."""
    found = []
    for entry in entries():
        module, _, qualname = entry.partition(":")
        found.append(Target("function", entry, module, qualname))
    return tuple(found)
