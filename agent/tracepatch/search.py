"""What could be armed in this process: functions, routes, running tasks and threads whose name looks like a pattern.

A pattern is a target (`app.*:Cart.*`, `http:'POST /items*'`, `task:worker*`), or a word that is looked for in all names:
a part of them, whatever its case, or a glob of whole names.

Agent thread only; bounded, and others run in between. Nothing of the application's is run.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from time import thread_time_ns
from typing import Any, Final, NamedTuple

from tracepatch_shared.errors import UsageError
from tracepatch_shared.globs import MAX_CHARACTERS, Glob
from tracepatch_shared.targets import is_glob, parse_target

from . import near
from .codes import is_library
from .policy import Policy
from .resolve import Resolution, everything
from .routing import Route, jobs, routes
from .slices import Slices
from .stacks import Stacks

KINDS: Final = ("http", "job", "task", "thread")
MAX_NAMES: Final = 10_000
"""Tasks, and threads, that are looked at."""

_PREFIX = re.compile(r"(http|job|task|thread):\s*(.*)", re.DOTALL)
_AUTOMATIC = re.compile(r"Task-\d+|Thread-\d+.*|asyncio_\d+|ThreadPoolExecutor-\d+_\d+")


@dataclass(frozen=True)
class Entry:
    """Something to arm that is no function."""

    kind: str
    target: str
    what: str
    """The function that serves it, or its coroutine."""
    count: int
    """How many of it run now."""

    def to_wire(self) -> dict[str, Any]:
        return asdict(self)


class Found(NamedTuple):
    """What a pattern names."""

    resolution: Resolution
    entries: list[Entry]


def search(pattern: str, resolve: Callable[[str], tuple[list[Any], Resolution]], policy: Policy) -> Found:
    """Return what a pattern names, and may be armed; raise `UsageError` for one that means nothing."""
    if not pattern.strip() or len(pattern) > MAX_CHARACTERS:
        raise UsageError(f"a pattern has 1 to {MAX_CHARACTERS} characters")
    prefix = _PREFIX.fullmatch(pattern.strip())
    if prefix is not None:
        matches = _of_requests(pattern) if prefix[1] == "http" else _names(prefix[2])
        return Found(_nothing(), _listed(prefix[1], matches, policy))
    try:
        targets, resolution = resolve(pattern)
    except UsageError:
        if ":" in pattern:
            raise
        resolution = _nothing()
    else:
        resolution = policy.narrowed(targets, resolution)
        if resolution.functions or resolution.refused or ":" in pattern:
            return Found(resolution, [])
    matches = _names(pattern)
    entries = [entry for kind in KINDS for entry in _listed(kind, matches, policy)]
    functions = [one for one in everything(matches) if policy.traces(one)]
    of_application = [one for one in functions if not is_library(one.file)]
    if (
        of_application or entries
    ):  # a word is in hundreds of libraries' names: they are meant where nothing else is
        functions = of_application
    functions.sort(key=lambda one: (one.module, one.line))
    similar = list(resolution.near) if functions or entries else _similar(pattern, policy)
    return Found(Resolution(functions, len(functions), [], similar, resolution.waits_for_import), entries)


def _similar(pattern: str, policy: Policy) -> list[str]:
    """Return what could have been meant by a word that is in no name."""
    slices = Slices()
    known = {
        one.name.rpartition(".")[2]: f"{one.module}:{one.name}"
        for one in everything(lambda _: True)
        if not is_library(one.file) and policy.traces(one)
    }
    for kind in KINDS:
        for entry in _listed(kind, lambda _: True, policy):
            known[entry.target.rpartition("/" if kind == "http" else ":")[2]] = entry.target
    return [
        known[name] for name in near.close(pattern, known, thread_time_ns() + near.BUDGET_NS, slices.breathe)
    ]


def _nothing() -> Resolution:
    return Resolution([], 0, [], [], False)


def _names(text: str) -> Callable[[str], bool]:
    text = text.strip()
    if is_glob(text):
        return Glob(text).matches
    wanted = text.casefold()
    return lambda name: wanted in name.casefold()


def _of_requests(pattern: str) -> Callable[[str], bool]:
    """Return what tells whether a route, as target, is meant: its methods, and its path as a glob or as requests have it."""
    wanted = parse_target(pattern)
    glob = Glob(wanted.path)

    def matches(text: str) -> bool:
        route = parse_target(text)
        if wanted.methods and route.methods and not set(wanted.methods) & set(route.methods):
            return False
        return glob.matches(route.path) or (
            not is_glob(wanted.path) and route.matches_request((route.methods or ("GET",))[0], wanted.path)
        )

    return matches


def _listed(kind: str, matches: Callable[[str], bool], policy: Policy) -> list[Entry]:
    if kind == "http":
        return [entry for entry in _routes(matches) if policy.allows(parse_target(entry.target))]
    if kind == "job":
        named = [Entry("job", f"job:{name}", "", 0) for name in jobs(Slices().breathe) if matches(name)]
        return [entry for entry in named if policy.allows(parse_target(entry.target))]
    if not policy.stacks:
        return []
    found: Counter[tuple[str, str]] = Counter()
    for target, what in _running(kind, policy):
        if matches(target.partition(":")[2]) or matches(what):
            found[target, what] += 1
    entries = [Entry(kind, target, what, count) for (target, what), count in sorted(found.items())]
    return [entry for entry in entries if policy.allows(parse_target(entry.target))]


def _routes(matches: Callable[[str], bool]) -> Iterator[Entry]:
    for route in routes(Slices().breathe):
        target = _armable(route)
        if target is not None and matches(target):
            yield Entry("route", target, route.serves, 0)


def _armable(route: Route) -> str | None:
    """Return a route as a target; one whose path has what targets do not, with a `*` for it."""
    for text in (route.target, route._replace(path=re.sub(r"\?.*|[{<].*", "*", route.path)).target):
        try:
            return parse_target(text).text
        except UsageError:
            continue
    return None


def _running(kind: str, policy: Policy) -> Iterator[tuple[str, str]]:
    """Yield the target and the coroutine, or the place, of what runs now."""
    look = Stacks(limit=MAX_NAMES, redaction=policy.redaction).to_wire()
    for one in look[f"{kind}s"]:
        name, coroutine = one["name"], one.get("coroutine", "")
        if kind == "task" and _AUTOMATIC.fullmatch(name):
            name = coroutine.rpartition(":")[2] or coroutine
        elif kind == "thread" and _AUTOMATIC.fullmatch(name):
            name = re.sub(r"\d+", "*", name.partition(" ")[0])
        if name.strip():
            yield f"{kind}:{name[:MAX_CHARACTERS]}", coroutine
