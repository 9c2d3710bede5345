"""Near misses: what an operator may have meant by a target that matches nothing."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from time import thread_time_ns
from typing import Final

from tracepatch_shared.targets import Target, without_locals

from . import walk

BEST: Final = 5
BUDGET_NS: Final = 50_000_000
"""Time on a processor after which the search ends with what it has."""

_CLOSE = 0.6
_GLOB = re.compile(r"\[[^\]]*\]|[*?]")


def misses(
    target: Target,
    modules: Mapping[str, object],
    names_of: Callable[[str], list[str]],
    breathe: Callable[[], None] = lambda: None,
) -> list[str]:
    """Return up to `BEST` targets that match something and look like `target`, best first.

    `names_of(module)` lists the qualnames of a module's functions; `breathe` is called again and again.
    """
    until = thread_time_ns() + BUDGET_NS
    if target.kind == "file":
        return _same_file_name(target, modules)
    if target.kind == "dotted":
        module, qualname = next(((m, q) for m, q in target.splits() if m in modules), ("", ""))
        if not module:
            module, _, qualname = target.qualname.rpartition(".")
    else:
        module, qualname = (_GLOB.sub("", text) for text in (target.module, without_locals(target.qualname)))
    found: list[str] = []
    if module in modules:
        found += [f"{module}:{name}" for name in close(qualname, names_of(module), until, breathe)]
    last = qualname.rpartition(".")[2]
    if len(found) < BEST and last:
        found += _same_name(last, module, modules, names_of, until, breathe)
    if len(found) < BEST and module not in modules:
        for name in close(module, modules, until, breathe):
            alike = close(qualname, names_of(name), until, breathe) if qualname else []
            found += [f"{name}:{item}" for item in alike] or [f"{name}:*"]
    return list(dict.fromkeys(found))[:BEST]


def close(wanted: str, names: Iterable[str], until: int, breathe: Callable[[], None]) -> list[str]:
    """Return the names most like `wanted`, whatever their case, best first, found until this thread has run for so long."""
    from difflib import SequenceMatcher

    matcher = SequenceMatcher(autojunk=False)
    matcher.set_seq2(wanted.casefold())
    alike: dict[str, float] = {}
    for name in names:
        breathe()
        matcher.set_seq1(name.casefold())
        if (
            matcher.real_quick_ratio() >= _CLOSE
            and matcher.quick_ratio() >= _CLOSE
            and matcher.ratio() >= _CLOSE
        ):
            alike[name] = matcher.ratio()
        if thread_time_ns() > until:
            break
    return sorted(alike, key=lambda name: (-alike[name], name))[:BEST]


def _same_name(
    last: str,
    near_module: str,
    modules: Mapping[str, object],
    names_of: Callable[[str], list[str]],
    until: int,
    breathe: Callable[[], None],
) -> list[str]:
    """Return functions and methods that are called `last` in any module, those of the same package first."""
    package = near_module.partition(".")[0]
    order = sorted(modules, key=lambda name: (name.partition(".")[0] != package, name != "__main__", name))
    found: list[str] = []
    for module in order:
        breathe()
        names = walk.module_dict(modules[module])
        if names is None:
            continue
        holders = [
            name for name, value in names.items() if walk.is_class(value) and last in walk.class_dict(value)
        ]
        if last in names or holders:
            known = set(names_of(module))
            here = (last, *(f"{name}.{last}" for name in holders))
            found += [f"{module}:{name}" for name in here if name in known]
        if len(found) >= BEST or thread_time_ns() > until:
            break
    return found


def _same_file_name(target: Target, modules: Mapping[str, object]) -> list[str]:
    base = "/" + target.path.rpartition("/")[2]
    files = set()
    for module in modules.values():
        file = (walk.module_dict(module) or {}).get("__file__")
        if type(file) is str and file.endswith(base):
            files.add(file)
    return [f"{file}:{target.line}" for file in sorted(files)][:BEST]
