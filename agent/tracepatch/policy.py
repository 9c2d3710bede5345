"""What the owner of a process lays down for its traces, whoever arms: how a request is clipped to it, or refused.

`policy_file` reads it from the file that `TRACEPATCH_POLICY` names; without one `DEFAULT` holds, the ceilings of
`tracepatch_shared.limits` alone. With a file that cannot be used nothing is armed at all: `broken` says why.

Concurrency: nothing here changes; `traces` is also asked on threads that import.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from tracepatch_shared.conditions import Argument, parse
from tracepatch_shared.errors import Forbidden
from tracepatch_shared.globs import Glob
from tracepatch_shared.limits import HIGHEST, Ceilings
from tracepatch_shared.targets import Target
from tracepatch_shared.text import duration
from tracepatch_shared.thresholds import measures

from .redaction import RedactionPolicy

if TYPE_CHECKING:
    from .resolve import Function, Resolution

CODE_KINDS: Final = ("function", "file", "dotted")
"""Targets that name functions; what they match is compared with the policy one by one."""

OF_REQUESTS: Final = ("method", "path", "route")
"""What --where may ask for of a request where no arguments are allowed: an `http:` target says as much."""

_SHOWN = 3
"""Names that a sentence lists."""


class Modules:
    """Globs of module names; one that matches a package matches what is in it."""

    def __init__(self, globs: Iterable[str] = ()) -> None:
        self.globs = tuple(globs)
        self._compiled = tuple(Glob(glob) for glob in self.globs)

    def __bool__(self) -> bool:
        return bool(self.globs)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Modules) and other.globs == self.globs

    def __hash__(self) -> int:
        return hash(self.globs)

    def __contains__(self, module: object) -> bool:
        if not self._compiled or type(module) is not str:
            return False
        names = list(_packages(module))
        return any(glob.matches(name) for glob in self._compiled for name in names)


@dataclass(frozen=True, kw_only=True)
class Policy:
    """What holds in this process."""

    redaction: RedactionPolicy = field(default_factory=RedactionPolicy)
    ceilings: Ceilings = HIGHEST
    forbidden: Modules = field(default_factory=Modules)
    """Modules that are neither targets nor recorded."""
    without_arguments: Modules = field(default_factory=Modules)
    """Modules of whose calls no argument, result or message is recorded."""
    targets: tuple[Target, ...] | None = None
    """The only targets that there may be; None: any."""
    arguments: bool = True
    everything: bool = True
    """`--all` is allowed."""
    lib: bool = True
    repr: bool = False
    """Values may be shown by their `repr`, which runs code of the application's."""
    spool: bool = True
    """Traces that nobody takes may be written into a file."""
    stacks: bool = True
    broken: str | None = None
    """Why the file cannot be used, so that nothing may be armed."""
    problems: tuple[str, ...] = ()
    """A sentence for each thing that somebody should look at; the log has them once."""

    # ---- a request ----------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Raise `Forbidden` where the file is broken."""
        if self.broken is not None:
            raise Forbidden(self.broken)

    def clipped(self, probe: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
        """Return a PROBE map without what is not allowed here, and a sentence for each; limits are not looked at.

        What is malformed stays as it is. Raise `Forbidden` for what a request cannot do without.
        """
        kept = dict(probe)
        said: list[str] = []
        scope = kept.get("scope")
        if type(scope) is dict:
            if scope.get("all") and not self.everything:
                said.append(
                    "the policy of this process does not allow --all: libraries are not recorded inside"
                )
                scope = {**scope, "all": False}
            if scope.get("lib") and not self.lib:
                said.append(
                    "the policy of this process does not allow --lib: libraries are not recorded inside"
                )
                scope = {**scope, "lib": []}
            kept["scope"] = scope
        if kept.get("mode") == "repr" and not self.repr:
            said.append(
                "the policy of this process does not allow mode=repr: values are read without running code"
            )
            kept["mode"] = "safe"
        if not self.arguments:
            self._ask_nothing(kept)
            if kept.get("args", True):
                said.append("the policy of this process does not allow arguments: no values are recorded")
            kept["args"] = False
        return kept, said

    def _ask_nothing(self, probe: Mapping[str, Any]) -> None:
        where, keep = probe.get("where"), probe.get("keep")
        if type(where) is str:
            asked = parse(where, kind="where")
            values = any(isinstance(node, Argument) for node in asked.nodes())
            if values or not _only_requests(probe) or not asked.names.keys() <= set(OF_REQUESTS):
                raise Forbidden(
                    "the policy of this process does not allow arguments, so --where may ask for nothing but method, "
                    "path and route of a request"
                )
        if type(keep) is str and measures(parse(keep, kind="keep")) & {"arg", "returned"}:
            raise Forbidden(
                "the policy of this process does not allow arguments, so --keep cannot ask for arg.NAME or returned"
            )

    def extended(self, ttl_s: float | None, count: int | None) -> tuple[float | None, int | None, list[str]]:
        """Return what `extend` may ask for, and a sentence for each that was lowered."""
        said = []
        if ttl_s is not None and ttl_s > self.ceilings.ttl_s:
            said.append(over("ttl", duration(min(ttl_s, 1e9) * 1e9), duration(self.ceilings.ttl_s * 1e9)))
            ttl_s = self.ceilings.ttl_s
        if count is not None and count > self.ceilings.count:
            said.append(over("count", count, self.ceilings.count))
            count = self.ceilings.count
        return ttl_s, count, said

    # ---- targets ------------------------------------------------------------------------------------------------

    def traces(self, function: Function, *, asks: bool = False) -> bool:
        """Tell whether a task may begin at this function; `asks`: after a look at its arguments."""
        return self._why_not(function, asks=asks) is None

    def narrowed(
        self, targets: Iterable[Target], resolution: Resolution, *, asks: bool = False
    ) -> Resolution:
        """Return what of the functions that targets match may be traced; the others are among the refused.

        `asks`: a condition asks for their arguments. Raise `Forbidden` where a target is not allowed, or nothing
        would be left of what they match.
        """
        if not self.forbidden and self.targets is None and not (asks and self.without_arguments):
            return resolution
        for target in targets:
            self._check(target)
        functions, refused = [], []
        for function in resolution.functions:
            why = self._why_not(function, asks=asks)
            if why is None:
                functions.append(function)
            else:
                refused.append((f"{function.module}:{function.name}", why))
        if not refused:
            return resolution
        if not functions:
            name, why = refused[0]
            more = f" (and {len(refused) - 1} more)" if refused[1:] else ""
            raise Forbidden(f"{name} cannot be traced: {why}{more}")
        return replace(
            resolution,
            functions=functions,
            total=resolution.total - len(refused),
            refused=[*resolution.refused, *refused],
        )

    def why_not_asked(self, function: Function, values: bool) -> str | None:
        """Return why nobody may ask whether a function is called, or with which values; None where anybody may."""
        module = function.module
        if module in self.forbidden:
            return f"the policy of this process forbids module {module}"
        if values and (not self.arguments or module in self.without_arguments):
            return f"the policy of this process allows no look at arguments in module {module}"
        return None

    def allows(self, target: Target) -> bool:
        """Tell whether a target that names no function may be armed."""
        try:
            self._check(target)
        except Forbidden:
            return False
        return True

    def _why_not(self, function: Function, *, asks: bool = False) -> str | None:
        module = function.module
        if module in self.forbidden:
            return f"the policy of this process forbids module {module}"
        if function.reader is not None:
            return None
        if self.targets is not None and not any(
            target.kind == "function"
            and target.matches_module(module)
            and target.matches_qualname(function.name)
            for target in self.targets
        ):
            return f"the policy of this process allows only {self._allowed()}"
        if asks and module in self.without_arguments:
            return f"the policy of this process allows no look at arguments in module {module}"
        return None

    def _check(self, target: Target) -> None:
        for module in _named_modules(target):
            if module in self.forbidden:
                raise Forbidden(
                    f"{target.text} cannot be traced: the policy of this process forbids module {module}"
                )
        if self.targets is None:
            return
        if target.kind in CODE_KINDS:
            if (
                target.kind != "function"
                or not target.is_exact
                or any(
                    allowed.kind == "function"
                    and allowed.matches_module(target.module)
                    and allowed.matches_qualname(target.qualname)
                    for allowed in self.targets
                )
            ):
                return
        elif all(
            any(allowed.matches(form) for allowed in self._globs(target.kind)) for form in forms(target)
        ):
            return
        raise Forbidden(
            f"{target.text} cannot be traced: the policy of this process allows only {self._allowed()}"
        )

    def _globs(self, kind: str) -> list[Glob]:
        return [
            Glob(form) for allowed in self.targets or () if allowed.kind == kind for form in forms(allowed)
        ]

    def _allowed(self) -> str:
        names = [target.text for target in self.targets or ()]
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        return ", ".join(names[:_SHOWN]) + more if names else "no targets at all"


DEFAULT = Policy()


def over(name: str, asked: object, ceiling: object) -> str:
    """Return the sentence for a value that is lowered."""
    return f"{name} {asked} is above the ceiling: {ceiling} holds"


def forms(target: Target) -> list[str]:
    """Return a target that names no function as text in which nothing but `*` stands for more: one for each method."""
    if target.kind == "http":
        return [f"{method} {target.path}" for method in target.methods or ("*",)]
    return [target.qualname]


def _packages(module: str) -> Iterator[str]:
    """Yield a module's name and those of the packages that it is in."""
    while module:
        yield module
        module = module.rpartition(".")[0]


def _named_modules(target: Target) -> list[str]:
    """Return the modules that a target says by name."""
    if target.kind == "function" and target.is_exact:
        return [target.module]
    return [module for module, _ in target.splits()] if target.kind == "dotted" else []


def _only_requests(probe: Mapping[str, Any]) -> bool:
    targets = probe.get("targets")
    return type(targets) is list and all(type(text) is str and text.startswith("http:") for text in targets)
