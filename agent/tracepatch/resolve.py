"""From targets to the functions of this process that they match.

A function is matched under the module whose globals it uses and the qualname it was compiled under, so it does not
matter where it was imported, and a decorator without `wraps` does not hide it. An exact target that matches nothing
this way is looked up as the attribute path that it spells: a name that was re-exported, an alias, an inherited method.

Runs on the agent thread, about a millisecond for an exact name; only modules that can match are walked. Nothing of
the application's is run (see `walk`).
"""

from __future__ import annotations

import os.path
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from inspect import CO_ASYNC_GENERATOR, CO_COROUTINE, CO_GENERATOR
from types import CodeType, FunctionType
from typing import Any, Final

from tracepatch_shared.targets import Target, is_glob, is_nameless, without_locals

from . import frameworks, near, walk
from .codes import GATEWAY
from .kinds import KINDS
from .slices import Slices

MAX_FUNCTIONS: Final = 10_000
"""Functions that a resolution holds; more are only counted."""

AT_ONCE: Final = 256
"""Functions that are looked at before others may run."""

COMPILED: Final = "compiled function: the interpreter emits no events for it"

_OURS = frozenset(("tracepatch", "tracepatch_shared", "tracepatch_ctl"))
_NEEDS_HOLDERS = not hasattr(sys, "monitoring")

if _NEEDS_HOLDERS:
    from .prologue import original_of as original_of
else:

    def original_of(code: CodeType) -> CodeType:
        """Return the code itself: nothing is injected where the interpreter has `sys.monitoring`."""
        return code


def _no_matter() -> None:
    pass


@dataclass(slots=True, eq=False)
class Function:
    """One matched function: its code, and the function objects that run it."""

    name: str
    """The qualname."""
    module: str
    code: CodeType
    holders: list[FunctionType] = field(default_factory=list)
    """Live function objects whose code this is. Filled only where there is no `sys.monitoring`."""
    outers: list[FunctionType] = field(default_factory=list)
    """Live functions that contain this one, so that each of their calls makes a new function object. Filled likewise."""
    reader: frameworks.Reader | None = None
    """An entry that only targets of its kind match: what reads from its arguments what enters there."""

    @property
    def file(self) -> str:
        return self.code.co_filename

    @property
    def line(self) -> int:
        return self.code.co_firstlineno

    @property
    def kind(self) -> str:
        """`function`, `coroutine`, `generator` or `async generator`."""
        flags = self.code.co_flags
        if flags & CO_COROUTINE:
            return "coroutine"
        if flags & CO_ASYNC_GENERATOR:
            return "async generator"
        return "generator" if flags & CO_GENERATOR else "function"

    def to_wire(self) -> dict[str, Any]:
        """Return the FUNCTION map of the protocol."""
        return {
            "function": self.name,
            "module": self.module,
            "file": self.file,
            "line": self.line,
            "kind": self.kind,
        }


@dataclass(slots=True)
class Resolution:
    """What the targets of a probe match in this process now."""

    functions: list[Function]
    """Sorted by module and line, each code object once."""
    total: int
    """Functions matched, also beyond `functions`."""
    refused: list[tuple[str, str]]
    """(target, why) for targets that name something that cannot be traced."""
    near: list[str]
    """Targets that would match and look like those that did not, best first."""
    waits_for_import: bool
    """A module that is not loaded yet could bring (more) matches."""


def resolve(
    targets: Iterable[Target], *, modules: Mapping[str, object] | None = None, limit: int = MAX_FUNCTIONS
) -> Resolution:
    """Return what `targets` match in `modules` (name -> module; all that are loaded by default).

    Looking through all of them lets other threads run in between; through some it does not, as then an application's
    thread may wait for it, which imports.
    """
    breathe = Slices().breathe if modules is None else _no_matter
    search = _Search(dict(sys.modules) if modules is None else dict(modules), breathe)
    for target in targets:
        search.look(target)
    functions = sorted(search.found.values(), key=lambda found: (found.module, found.line, found.name))
    if _NEEDS_HOLDERS and functions:
        search.find_holders(everywhere=modules is None)
    return Resolution(functions[:limit], len(functions), search.refused, search.near, search.waits)


def everything(matches: Callable[[str], bool]) -> list[Function]:
    """Return all functions that are loaded and whose `module:qualname` is meant, at most `MAX_FUNCTIONS`."""
    search = _Search(dict(sys.modules), Slices().breathe)
    for name in list(search.modules):
        for code, module, qualname in search._walk(name).values():
            if (
                module == name
                and not is_nameless(qualname)
                and matches(f"{module}:{without_locals(qualname)}")
            ):
                search._add(code, module, qualname)
        if len(search.found) >= MAX_FUNCTIONS:
            break
    return list(search.found.values())


def qualnames_of(module: str) -> dict[int, tuple[CodeType, str]]:
    """Return id(code) -> (code, qualname) of the functions that a loaded module defines, nested ones included."""
    codes = _Search({module: sys.modules.get(module)})._walk(module)
    return {key: (code, name) for key, (code, _, name) in codes.items()}


def module_matters(targets: Iterable[Target], module: str) -> bool:
    """Tell whether a module that was just imported can hold a match; cheap, runs nothing."""
    return not _is_ours(module) and any(
        entry.matches_module(module)
        for target in targets
        for entry in (frameworks.targets(target.kind) if target.kind in KINDS else (target,))
    )


Codes = dict[int, tuple[CodeType, str, str]]
"""id(code) -> (code, module, qualname), nested functions included."""


class _Search:
    def __init__(self, modules: dict[str, object], breathe: Callable[[], None] = _no_matter) -> None:
        self._breathe = breathe
        self.modules = {
            name: module for name, module in modules.items() if type(name) is str and not _is_ours(name)
        }
        self.found: dict[int, Function] = {}
        self.refused: list[tuple[str, str]] = []
        self.near: list[str] = []
        self.waits = False
        self._codes: dict[str, Codes] = {}
        self._functions: dict[str, list[FunctionType]] = {}
        """Of the modules that were walked; filled only where holders are needed."""
        self._by_attribute: list[FunctionType] = []
        self._reader: frameworks.Reader | None = None
        """An entry is being looked for, and this reads what enters there."""

    def look(self, target: Target) -> None:
        """Add what one target matches, or why it matches nothing."""
        before = len(self.refused)
        if target.kind in KINDS:
            self._entries(target.kind)
            return
        if target.kind == "file":
            matched = self._file(target)
        elif target.kind == "dotted":
            matched = self._dotted(target)
        else:
            matched = self._function(target, target.module, target.qualname)
        if not matched and len(self.refused) == before:
            for name in near.misses(target, self.modules, self._names, self._breathe):
                if name not in self.near:
                    self.near.append(name)

    def _entries(self, kind: str) -> None:
        """Add the entries of what is loaded; anything else may still be imported."""
        for entry in frameworks.targets(kind):
            self._reader = frameworks.entries(kind)[entry.text]
            if _NEEDS_HOLDERS:
                self._by_attribute += self._reader.holders()
            self._function(entry, entry.module, entry.qualname)
        self._reader = None

    def _function(self, target: Target, module: str, qualname: str) -> bool:
        spelled = Target("function", target.text, module, qualname, line=target.line)
        if is_glob(module):
            self.waits = True
            matched = False
            for name in sorted(filter(spelled.matches_module, self.modules)):
                matched = self._match(spelled, name) or matched
                # Tens of thousands of tuples that live have the interpreter collect the whole heap, 15 ms at a time.
                self._codes.pop(name, None)
            return matched
        if self._reader is None and module.partition(".")[0] in _OURS:
            self.refused.append((target.text, "tracepatch does not trace itself"))
            return False
        if not _is_loaded(self.modules.get(module)):
            self.waits = True
            if module not in self.modules:
                return False
        return self._match(spelled, module) or (spelled.is_exact and self._attribute(spelled))

    def _match(self, target: Target, name: str) -> bool:
        matched = False
        if name == GATEWAY and self._reader is None:
            return matched  # an entry of requests, and nothing else
        meant = target.qualnames()
        for code, module, qualname in self._walk(name).values():
            if (
                meant(qualname)
                and (module == name or target.matches_module(module))
                and (target.line is None or _spans(code, target.line))
            ):
                matched = True
                self._add(code, module, qualname)
        return matched

    def _attribute(self, target: Target) -> bool:
        names = walk.module_dict(self.modules[target.module])
        path = target.qualname.replace(".<locals>", "")
        value = walk.attribute(names, path) if names else walk.MISSING
        if value is walk.MISSING:
            return False
        if walk.is_class(value):
            inside = [name for name in self._names(target.module) if name.startswith(path + ".")]
            shown = [f"{target.module}:{name}" for name in inside if "<" not in name]
            self.near += shown[: near.BEST]
            example = shown[0] if shown else f"{target.module}:{path}.METHOD"
            self.refused.append(
                (
                    target.text,
                    f"it is a class: name a method, as in {example}, or all of them, {target.module}:{path}.*",
                )
            )
            return False
        chosen = _chosen(value, target.module, path.rpartition(".")[2])
        matched = False
        for function in chosen:
            code = original_of(function.__code__)
            module = walk.defining_module(function)
            if not _is_ours(module) and (target.line is None or _spans(code, target.line)):
                matched = True
                self._by_attribute.append(function)
                self._add(code, module, self._qualname(function, module))
        if not chosen:
            kind = walk.type_name(value)
            self.refused.append(
                (target.text, COMPILED if walk.is_compiled(value) else f"it is of type {kind}, no function")
            )
        return matched

    def _dotted(self, target: Target) -> bool:
        for module, qualname in target.splits():
            loaded = self.modules.get(module)
            if loaded is None:
                continue
            refused = len(self.refused)
            if self._function(target, module, qualname):
                return True
            names = walk.module_dict(loaded) or {}
            if len(self.refused) > refused or qualname.partition(".")[0] in names:
                return False
            self.waits = self.waits or "__path__" in names
            return False
        self.waits = True
        return False

    def _file(self, target: Target) -> bool:
        line = target.line or 0
        names = [name for name, module in self.modules.items() if target.matches_path(_file_of(module))]
        if not names:
            names = [name for name, module in self.modules.items() if _has_code_of(module, target)]
        self.waits = self.waits or not names
        written: dict[int, tuple[CodeType, str, str]] = {}
        for name in sorted(names):
            for key, (code, module, qualname) in self._walk(name).items():
                if target.matches_path(_absolute(code.co_filename)):
                    written[key] = (code, module, qualname)
        around = [item for item in written.values() if _spans(item[0], line)]
        named = [item for item in around if not is_nameless(item[2])] or around
        if named:
            inner = max(named, key=lambda item: (item[0].co_firstlineno, -_last_line(item[0])))[0]
            for code, module, qualname in named:
                if (code.co_firstlineno, _last_line(code)) == (inner.co_firstlineno, _last_line(inner)):
                    self._add(code, module, qualname)
        elif names:
            close = sorted(written.values(), key=lambda item: abs(item[0].co_firstlineno - line))
            self.near += [
                f"{module}:{qualname}" for _, module, qualname in close if not is_nameless(qualname)
            ][: near.BEST]
            why = f"no function of module {min(names)} contains line {line}: it is code of the module or of a class itself"
            self.refused.append((target.text, why))
        return bool(named)

    def _walk(self, name: str) -> Codes:
        """Return the code that a module holds."""
        codes = self._codes.get(name)
        if codes is None:
            self._breathe()
            module = self.modules.get(name)
            names = walk.module_dict(module) or {}
            own = walk.own_dict(module)
            codes = self._codes[name] = {}
            functions = list(walk.functions(names.values(), name))
            if _NEEDS_HOLDERS:
                self._functions[name] = functions
            for function in functions:
                code = original_of(function.__code__)
                if id(code) in codes:
                    continue
                home = name
                if function.__globals__ is not own:
                    home = walk.defining_module(function)
                    if _is_ours(home):
                        continue
                qualname = walk.own_qualname(function)
                if qualname is not None:
                    codes[id(code)] = (code, home, qualname)
                    if home == name and CodeType in map(type, code.co_consts):
                        for inner, inner_name in walk.nested(code, qualname):
                            codes.setdefault(id(inner), (inner, home, inner_name))
        return codes

    def _names(self, module: str) -> list[str]:
        """Return the qualnames that a module defines, in the order of its lines."""
        codes = self._walk(module).values()
        written = [item for item in codes if item[1] == module and not is_nameless(item[2])]
        return [qualname for _, _, qualname in sorted(written, key=lambda item: item[0].co_firstlineno)]

    def _qualname(self, function: FunctionType, module: str) -> str:
        qualname = walk.own_qualname(function)
        if qualname is None:
            codes = self._walk(module) if module in self.modules else {}
            known = codes.get(id(original_of(function.__code__)))
            qualname = known[2] if known else function.__code__.co_name
        return qualname

    def _add(self, code: CodeType, module: str, qualname: str) -> None:
        found = self.found.setdefault(id(code), Function(qualname, module, code, reader=self._reader))
        if self._reader is None:
            found.reader = None  # a target names it, whatever enters there

    def find_holders(self, *, everywhere: bool) -> None:
        """Fill `holders` and `outers`, from the modules walked.

        A function that is made inside another one may hang anywhere (what decorators return does): for such ones
        all modules are walked, about 0.1 ms each.
        """
        files = {found.file for found in self.found.values()}
        reached = [function for functions in self._functions.values() for function in functions]
        reached += self._by_attribute
        if everywhere and any("<locals>" in found.name for found in self.found.values()):
            for name in self.modules.keys() - self._functions.keys():
                self._breathe()
                names = walk.module_dict(self.modules[name]) or {}
                reached += walk.functions(names.values(), name, instances=False)
        for number, function in enumerate({id(function): function for function in reached}.values()):
            if not number % AT_ONCE:
                self._breathe()
            code = original_of(function.__code__)
            if code.co_filename in files:
                if id(code) in self.found:
                    self.found[id(code)].holders.append(function)
                if CodeType not in map(type, code.co_consts):
                    continue
                for inner, _ in walk.nested(code, ""):
                    if id(inner) in self.found:
                        self.found[id(inner)].outers.append(function)


def _chosen(value: object, module: str, name: str) -> list[FunctionType]:
    """Return the functions that an attribute stands for: what it wraps under its name, else what it is."""
    if type(value) is FunctionType:
        inner: object = value
        for _ in range(walk.MAX_DEPTH):
            wrapped = walk.wrapped_by(inner) if type(inner) is FunctionType else None
            if wrapped is None:
                break
            inner = wrapped
        if type(inner) is FunctionType and inner is not value:
            return [inner]
        if value.__code__.co_name == name:
            return [value]
    reached = list(walk.functions([value], module))
    named = [function for function in reached if function.__code__.co_name == name]
    if named or type(value) is not FunctionType:
        return named or reached[:1]
    return [value]


def _is_ours(module: str) -> bool:
    return module.partition(".")[0] in _OURS and module != GATEWAY


def _is_loaded(module: object) -> bool:
    """Tell whether a module was executed to its end; one that is still being imported gets more functions."""
    spec = walk.module_item(module, "__spec__")
    return module is not None and walk.instance_dict(spec).get("_initializing") is not True


def _file_of(module: object) -> str:
    file = walk.module_item(module, "__file__")
    return _absolute(file) if type(file) is str else ""


def _absolute(file: str) -> str:
    try:
        return file if os.path.isabs(file) else os.path.abspath(file)
    except OSError:  # the working directory was removed
        return file


def _has_code_of(module: object, target: Target) -> bool:
    """Tell whether a module holds a function from the target's file though it was loaded from another."""
    names = walk.module_dict(module) or {}
    files = {value.__code__.co_filename for value in names.values() if type(value) is FunctionType}
    return any(target.matches_path(_absolute(file)) for file in files)


def _spans(code: CodeType, line: int) -> bool:
    return code.co_firstlineno <= line <= _last_line(code)


def _last_line(code: CodeType) -> int:
    last = max((line for _, _, line in code.co_lines() if line is not None), default=code.co_firstlineno)
    inner = [_last_line(const) for const in code.co_consts if type(const) is CodeType]
    return max([last, code.co_firstlineno, *inner])
