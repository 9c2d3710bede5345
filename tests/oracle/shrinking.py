"""Makes a program that shows a difference smaller, as long as it still shows one."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from .grammar import Program
from .source import source

SIMPLEST = {"eager": False, "scope": "application", "style": "bare", "signature": 0, "a": 0, "b": 0, "value": 0,
            "swallows": False, "leaves": False, "again": False, "when": 0, "times": 1, "exceptions": 0}  # fmt: skip


def shrink(program: Program, fails: Callable[[Program], bool]) -> Program:
    """Return the smallest program found that still fails; `fails` is asked a few hundred times."""
    tried, smaller = 0, False
    while True:
        for candidate in islice(_candidates(program), tried, None):
            if _sound(candidate) and fails(candidate):
                program, smaller = candidate, True
                break
            tried += 1
        else:
            if not smaller:
                return program
            tried, smaller = 0, False


def _sound(program: Program) -> bool:
    """Tell whether a program is what it says: a group needs a task, and a generator without a yield is none."""
    try:
        compile(source(program), "", "exec")
    except SyntaxError:
        return False
    return all(
        any(
            type(item) is dict and item.get("op") in ("yield", "delegate")
            for _, item in _places(function, ())
        )
        for function in program["functions"]
        if function["kind"].endswith("generator")
    )


def _candidates(program: Program) -> Iterator[Program]:
    """Yield programs that are a little smaller, the boldest first."""
    places = list(_places(program, ()))
    lists = sorted((path for path, item in places if type(item) is list), key=len)
    for path in lists:
        length = len(_at(program, path))
        size = length
        while size:
            for start in range(0, length, size):
                candidate = copy.deepcopy(program)
                del _at(candidate, path)[start : start + size]
                if path != ("jobs",) or candidate["jobs"]:
                    yield _without_unused(candidate)
            size //= 2
    for path in lists:
        for index, statement in enumerate(_at(program, path)):
            if type(statement) is dict:
                for inner in statement.values():
                    if type(inner) is list and inner and type(inner[0]) is dict and "op" in statement:
                        candidate = copy.deepcopy(program)
                        _at(candidate, path)[index : index + 1] = copy.deepcopy(inner)
                        yield _without_unused(candidate)
    for path, item in places:
        if path and path[-1] in SIMPLEST and item != SIMPLEST[path[-1]]:
            if path[-1] == "style" and (_at(program, path[:-1])["name"].startswith("root")):
                continue
            candidate = copy.deepcopy(program)
            _at(candidate, path[:-1])[path[-1]] = SIMPLEST[path[-1]]
            yield candidate


def _without_unused(program: Program) -> Program:
    """Take out what names a function that is gone, and the functions that nothing names then."""
    while True:
        there = {item["name"] for kind in ("functions", "managers") for item in program[kind]}
        for path, item in list(_places(program, ())):
            if type(item) is list and path and path[-1] not in ("functions", "managers", "jobs"):
                item[:] = [
                    each for each in item if type(each) is not dict or each.get("name", "") in {"", *there}
                ]
        used = {
            item["name"]
            for path, item in _places(program, ())
            if type(item) is dict and "op" in item and "name" in item
        }
        kept = {
            kind: [each for each in program[kind] if each["name"] in used]
            for kind in ("functions", "managers")
        }
        if all(len(kept[kind]) == len(program[kind]) for kind in kept):
            return program
        program.update(kept)


def _places(item: Any, path: tuple[Any, ...]) -> Iterator[tuple[tuple[Any, ...], Any]]:
    yield path, item
    if type(item) is dict:
        for name, inner in item.items():
            if name not in ("b", "value"):
                yield from _places(inner, (*path, name))
            else:
                yield (*path, name), inner
    elif type(item) is list:
        for index, inner in enumerate(item):
            yield from _places(inner, (*path, index))


def _at(item: Any, path: tuple[Any, ...]) -> Any:
    for step in path:
        item = item[step]
    return item
