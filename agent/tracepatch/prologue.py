"""A call at the start of a function's own bytecode: how a probe waits where there is no `sys.monitoring` (3.10, 3.11).

`__code__` is replaced by code with the same flags, variables, cells and line numbers that calls a hook first. Same frame
and same moment as a local PY_START: signature, kind, closure, `super()`, tracebacks and `_getframe(1)` stay as they are.

Several injections over one function compose and go in any order: the hooks are kept per original code object, and what a
function runs is always rebuilt from its original. A function that is made anew by each call of another one (a
closure) gets its hook through the constants of the outer code; function objects made that way which outlive `remove`
keep the call, but it calls `bool()` then.

*Concurrency*: `Injection` is used by one thread at a time, whoever has the core's turn; `original_of` by any thread. A hook runs on application
threads, inside the call that starts, and must contain its own errors.
"""

from __future__ import annotations

import dis
import functools
import weakref
from collections import deque
from collections.abc import Callable
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any, Final

from tracepatch_shared.errors import NotTraceable

if TYPE_CHECKING:
    from .resolve import Function

if "PRECALL" in dis.opmap:
    from .prologue_311 import insert
elif "GEN_START" in dis.opmap:
    from .prologue_310 import insert
else:
    raise ImportError("a prologue is inserted on CPython 3.10 and 3.11 only")

Hook = Callable[[], object]

_KEPT: Final = (
    "co_argcount", "co_posonlyargcount", "co_kwonlyargcount", "co_nlocals", "co_flags", "co_firstlineno", "co_filename",
    "co_name", "co_names", "co_varnames", "co_cellvars", "co_freevars",
)  # fmt: skip


def inject(code: CodeType, hook: Hook) -> CodeType:
    """Return `code` that calls `hook()` before anything else of its body; raise `NotTraceable` rather than guess.

    The result is disassembled and compared with `code`: instructions, jump targets, locations, exception table.
    """
    try:
        changed, at, count = insert(code, hook)
        problem = _difference(code, changed, hook, at, count)
    except (ValueError, IndexError, KeyError, OverflowError, StopIteration) as error:
        problem = str(error)
    if problem:
        raise NotTraceable(
            f"{code.co_name} ({code.co_filename}:{code.co_firstlineno}) has unusual bytecode: {problem}"
        )
    return changed


def original_of(code: CodeType) -> CodeType:
    """Return the code object that `code` was made from by an injection, `code` itself when it was not."""
    known = _originals.get(id(code))
    return code if known is None else known[1]


def injected_functions() -> int:
    """Return how many function objects run changed code now; 0 when everything was put back."""
    return len(_patched)


class Injection:
    """Hooks of one owner in any number of functions."""

    def __init__(self) -> None:
        self._gates: list[tuple[CodeType, _Gate]] = []
        self._changed: list[tuple[FunctionType, CodeType]] = []

    def install(self, function: Function, hook: Hook) -> None:
        """Make each call of `function` that starts from now on call `hook()` first.

        Raises `NotTraceable`, with nothing changed, when its bytecode is unusual or no function object is known that
        runs it or makes it.
        """
        objects = list({id(item): item for item in (*function.holders, *function.outers)}.values())
        if not objects:
            raise NotTraceable(
                f"{function.module}:{function.name} (line {function.line}): no function object that runs this code was found"
            )
        gate: _Gate = _Gate(hook)
        entries = [_entry(item) for item in objects]
        hooks = _hooks.setdefault(id(function.code), [])
        hooks.append((function.code, gate))
        try:
            for entry in entries:
                _rebuilt(entry.original)
            for entry in entries:
                _keep(entry)
                entry.put(_rebuilt(entry.original))
        except Exception as error:
            _drop(function.code, gate)
            _refresh(function.code)
            if isinstance(error, NotTraceable):
                raise
            # An audit hook of the application may veto the assignment of __code__.
            raise NotTraceable(
                f"{function.module}:{function.name}: its code cannot be replaced ({type(error).__name__})"
            ) from error
        finally:
            _built.clear()
        self._gates.append((function.code, gate))
        self._changed.extend((entry.function, entry.original) for entry in entries)

    def switch(self, hook: Hook | None) -> None:
        """Call this hook from now on, nothing for None (any thread). Whoever calls this keeps the hooks alive."""
        for _, gate in self._gates:
            gate.__setstate__((bool if hook is None else hook, (), {}, None))  # type: ignore[attr-defined]

    def remove(self) -> list[str]:
        """Take the hooks out and put the original code objects back; idempotent.

        Returns a sentence for each function whose code somebody else replaced meanwhile: theirs stays.
        """
        problems: list[str] = []
        for code, gate in self._gates:
            gate.retire()
            _drop(code, gate)
        for code, _ in self._gates:
            problems += _refresh(code)
        for function, original in self._changed:
            entry = _patched.get(id(function))
            if (entry is None or entry.original is not original) and function.__code__ is not original:
                problems.append(_replaced(function))
        self._gates.clear()
        self._changed.clear()
        _built.clear()
        return sorted(set(problems))


class _Gate(functools.partial[object]):
    """What stands in the constants: calls the hook from C, so the hook's caller is the function itself.

    Code of ours may run once more after `remove`: a coroutine that was made but not started, a closure that outlives
    its hook. So the gate can be closed; it calls `bool()` then.
    """

    __slots__ = ()

    def retire(self) -> None:
        """Let go of the hook; a call that is under way ends as it began."""
        _retired.append(self.func)
        self.__setstate__((bool, (), {}, None))  # type: ignore[attr-defined]

    def __reduce__(self) -> tuple[Any, ...]:
        # Who pickles functions by value (cloudpickle) pickles our constant, too: the copy calls nothing.
        return functools.partial, (bool,)


class _Patched:
    """A function object that runs, or is about to run, code of ours."""

    __slots__ = ("function", "installed", "original", "tree")

    def __init__(self, function: FunctionType) -> None:
        self.function = function
        self.original = original_of(function.__code__)
        self.installed = function.__code__
        self.tree = frozenset(_tree(self.original))

    def put(self, code: CodeType) -> None:
        if code is not self.installed:
            self.function.__code__ = code
            self.installed = code


_hooks: dict[int, list[tuple[CodeType, _Gate]]] = {}
"""id(original code) -> what it calls, in the order of installation; the code is held so that its id stays its own."""
_patched: dict[int, _Patched] = {}
"""id(function object) -> its state."""
_holding: dict[int, dict[int, _Patched]] = {}
"""id(original code) -> those of `_patched` that hold it, in whatever is inside their code: with thousands of them each
step would look through all otherwise."""
_built: dict[int, CodeType] = {}
"""id(original code) -> code with the present hooks, so that closures of one code share it; empty between operations."""
_originals: dict[int, tuple[weakref.ref[CodeType], CodeType]] = {}
"""id(changed code) -> (guard that forgets it, original), for as long as frames or functions hold the changed code."""
_retired: deque[Callable[..., object]] = deque(maxlen=64)
"""Hooks just retired: partial calls its function through a borrowed reference, which must last as long as the call."""


def _entry(function: FunctionType) -> _Patched:
    entry = _patched.get(id(function))
    if entry is None or function.__code__ is not entry.installed:
        entry = _Patched(function)
    return entry


def _keep(entry: _Patched) -> None:
    key = id(entry.function)
    known = _patched.get(key)
    if known is not entry:
        if known is not None:
            _forget(known)
        _patched[key] = entry
        for code in entry.tree:
            _holding.setdefault(code, {})[key] = entry


def _forget(entry: _Patched) -> None:
    key = id(entry.function)
    _patched.pop(key, None)
    for code in entry.tree:
        held = _holding.get(code, {})
        held.pop(key, None)
        if not held:
            _holding.pop(code, None)


def _rebuilt(code: CodeType) -> CodeType:
    """Return `code` with the present hooks in it and in the functions inside; `code` itself when there are none."""
    known = _built.get(id(code))
    if known is not None:
        return known
    consts = tuple(_rebuilt(const) if type(const) is CodeType else const for const in code.co_consts)
    changed = code
    if any(new is not old for new, old in zip(consts, code.co_consts, strict=True)):
        changed = _remember(code.replace(co_consts=consts), code)
    for _, gate in reversed(_hooks.get(id(code), [])):
        changed = _remember(inject(changed, gate), code)
    _built[id(code)] = changed
    return changed


def _remember(changed: CodeType, original: CodeType) -> CodeType:
    key = id(changed)
    _originals[key] = weakref.ref(changed, lambda _: _originals.pop(key, None)), original
    return changed


def _drop(code: CodeType, gate: _Gate) -> None:
    hooks = [item for item in _hooks.pop(id(code), []) if item[1] is not gate]
    if hooks:
        _hooks[id(code)] = hooks
    _built.clear()


def _refresh(code: CodeType) -> list[str]:
    """Rebuild every function that holds `code`, and forget those that are original again."""
    problems: list[str] = []
    for entry in list(_holding.get(id(code), {}).values()):
        function = entry.function
        if function.__code__ is not entry.installed:
            _forget(entry)
            if function.__code__ is not entry.original:
                problems.append(_replaced(function))
            continue
        try:
            entry.put(_rebuilt(entry.original))
        except Exception as error:  # noqa: BLE001 - an audit hook of the application may raise anything
            problems.append(
                f"{_named(function)}: its code cannot be put back ({type(error).__name__}: {error})"
            )
            continue
        if function.__code__ is entry.original:
            _forget(entry)
    return problems


def _replaced(function: FunctionType) -> str:
    return f"{_named(function)}: somebody else replaced its code while it was armed; theirs was left in place"


def _named(function: FunctionType) -> str:
    return f"{function.__module__}:{function.__qualname__}"


def _tree(code: CodeType) -> list[int]:
    found = [id(code)]
    for const in code.co_consts:
        if type(const) is CodeType:
            found += _tree(const)
    return found


def _difference(code: CodeType, changed: CodeType, hook: Hook, at: int, count: int) -> str | None:
    """Tell how `changed` differs from `code` apart from `count` instructions at `at`; None when it does not."""
    for name in _KEPT:
        if getattr(code, name) != getattr(changed, name):
            return f"{name} changed"
    if len(changed.co_consts) != len(code.co_consts) + 1 or changed.co_consts[-1] is not hook:
        return "its constants changed"
    if any(new is not old for new, old in zip(changed.co_consts, code.co_consts, strict=False)):
        return "its constants changed"
    old, old_handlers = _listing(code)
    new, new_handlers = _listing(changed)
    inside = new[at : at + count]
    if [item[1] for item in inside if item[0] == "LOAD_CONST"] != [len(code.co_consts)] or any(
        item[2] is not None for item in inside
    ):
        return "the inserted call is not what it should be"

    def back(index: int | None) -> int | None:
        if index is None or index < at:
            return index
        return index - count if index >= at + count else -1

    if [(op, arg, back(target), where) for op, arg, target, where in new[:at] + new[at + count :]] != old:
        return "its instructions changed"
    if [
        (back(start), back(end), back(target), *rest) for start, end, target, *rest in new_handlers
    ] != old_handlers:
        return "its exception table changed"
    return None


_Listed = tuple[str, "int | None", "int | None", Any]


def _listing(code: CodeType) -> tuple[list[_Listed], list[tuple[Any, ...]]]:
    """Return (op, argument, index of the jump's target, location) of each instruction, and the exception table by index.

    Uses the standard disassembler, so that it shares no reading of bytecode with `insert`.
    """
    jumps = frozenset((*dis.hasjrel, *dis.hasjabs))
    index: dict[int, int] = {}
    kept: list[dis.Instruction] = []
    for instruction in dis.get_instructions(code):
        if instruction.opname.startswith("<"):
            raise ValueError(f"unknown opcode {instruction.opcode}")
        index[instruction.offset] = len(kept)
        if instruction.opcode != dis.EXTENDED_ARG:
            kept.append(instruction)
    index[len(code.co_code)] = len(kept)
    where = _locations(code)
    listed: list[_Listed] = []
    for instruction in kept:
        jump = instruction.opcode in jumps
        target = index[instruction.argval] if jump else None
        listed.append(
            (instruction.opname, None if jump else instruction.arg, target, where[instruction.offset // 2])
        )
    handlers = [
        (index[entry.start], index[entry.end], index[entry.target], entry.depth, entry.lasti)
        for entry in getattr(dis.Bytecode(code), "exception_entries", ())
    ]
    return listed, handlers


def _locations(code: CodeType) -> list[Any]:
    if hasattr(code, "co_positions"):
        return list(code.co_positions())
    return [line for start, end, line in code.co_lines() for _ in range(start, end, 2)]
