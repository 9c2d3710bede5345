"""Which routes an application has, read from its framework's routing tables without running anybody's code.

A module of `frameworks` may say `routes`: given what finds applications, it yields `Route`s; or `names`, which yields the
names of a registry's jobs. Applications are found where
a module holds one under a name, never by a heap scan: one that stands in a function's variables alone is not seen.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from types import FunctionType, MethodType
from typing import Any, Final, NamedTuple

from . import walk
from .objects import callable_name, mro_of, type_name

MAX_ROUTES: Final = 5_000
MAX_DEPTH: Final = 10
"""Mounts inside mounts that are followed."""


class Route(NamedTuple):
    """One path that requests may have; no methods: any, or not known."""

    methods: tuple[str, ...]
    path: str
    handler: object

    @property
    def target(self) -> str:
        """What `arm` takes."""
        return f"http:{'|'.join(self.methods)}{' ' if self.methods else ''}{self.path}"

    @property
    def serves(self) -> str:
        """The function that serves it, as `module.qualname`."""
        handler: Any = self.handler
        for _ in range(walk.MAX_DEPTH):
            inside = walk.wrapped_by(handler) if type(handler) is FunctionType else None
            if inside is None and type(handler) is not FunctionType:
                inside = next(iter(walk.behind(handler)), None)
            if inside is None:
                break
            handler = inside
        if walk.is_class(handler):
            return type_name(handler)
        return callable_name(handler) if handler is not None else ""


Instances = Callable[[str], Iterable[object]]
"""Yields the objects of a class, as `module:qualname`, or of one derived from it, that modules hold."""


def routes(breathe: Callable[[], None]) -> list[Route]:
    """Return the routes of all applications that are found, each once."""
    from . import frameworks

    instances = _finder(breathe)
    found: dict[tuple[tuple[str, ...], str], Route] = {}
    for listed in frameworks.listings():
        for route in islice(listed(instances), MAX_ROUTES):
            breathe()
            if type(route.path) is str and route.path:
                found.setdefault((route.methods, route.path), route)
    return sorted(found.values(), key=lambda route: (route.path, route.methods))


def jobs(breathe: Callable[[], None]) -> list[str]:
    """Return the names of the jobs in all registries that are found."""
    from . import frameworks

    instances = _finder(breathe)
    named = [islice(listed(instances), MAX_ROUTES) for listed in frameworks.registries()]
    return sorted({name for names in named for name in names if type(name) is str and name})


def names_of(given: object) -> list[Any]:
    """Return the keys of a dict, or of one of a derived type, without asking it."""
    return list(dict.keys(given)) if issubclass(type(given), dict) else []  # type: ignore[arg-type]


def methods(given: object) -> tuple[str, ...]:
    """Return the names of methods in a set or list."""
    if type(given) not in (set, frozenset, list, tuple):
        return ()
    return tuple(sorted(name for name in list(given) if type(name) is str))  # type: ignore[call-overload]


def items(given: object) -> list[Any]:
    """Return what a list or tuple holds, nothing for anything else."""
    return list(given) if type(given) in (list, tuple) else []  # type: ignore[call-overload]


def fields(value: object) -> Mapping[str, Any]:
    """Return what an instance holds, without asking it."""
    return walk.instance_dict(value)


def of_map(applications: Iterable[object]) -> Iterator[Route]:
    """Yield the rules of Werkzeug's map, which Flask and Quart have."""
    for application in applications:
        held = fields(application)
        views = held.get("view_functions")
        rules = fields(held.get("url_map")).get("_rules_by_endpoint")
        for endpoint, listed in list(rules.items()) if type(rules) is dict else ():
            view = views.get(endpoint) if type(views) is dict and type(endpoint) is str else None
            for rule in items(listed):
                known = fields(rule)
                yield Route(methods(known.get("methods")), known.get("rule", ""), view)


def unmounted(applications: Iterable[object], tell: Callable[[object, set[int]], list[Route]]) -> list[Route]:
    """Return the routes of applications that are mounted in no other; `tell` notes the ids of those that are."""
    mounted: set[int] = set()
    told = [(application, tell(application, mounted)) for application in applications]
    return [route for application, found in told if id(application) not in mounted for route in found]


def _finder(breathe: Callable[[], None]) -> Instances:
    held = _held(breathe)

    def instances(spec: str) -> Iterator[object]:
        module, _, name = spec.partition(":")
        cls = walk.module_item(sys.modules.get(module), name)
        if cls is not None:
            for value, mro in held:
                if any(base is cls for base in mro):
                    yield value

    return instances


def _held(breathe: Callable[[], None]) -> list[tuple[object, tuple[type, ...]]]:
    """Return the instances of classes written in Python that modules hold, with their classes' bases."""
    found: dict[int, tuple[object, tuple[type, ...]]] = {}
    for module in list(sys.modules.values()):
        breathe()
        for value in (walk.module_dict(module) or {}).values():
            kind = type(value)
            if (
                kind is not FunctionType
                and kind is not MethodType
                and not walk.is_class(value)
                and walk.is_instance(kind)
            ):
                found[id(value)] = (value, mro_of(kind))
    return list(found.values())
