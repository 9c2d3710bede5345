"""What is known of each code object that a trace meets, and whether it is recorded.

A `CodeTable` belongs to one scope of recording. It is keyed by `id(code)` and holds the code object, never keyed by
the code object itself: hashing one reads all its content, and equal files give equal code.

Concurrency: filled by application threads without a lock (dict operations are atomic; of two threads that build the
same entry the first wins, so that entries are compared by identity).
"""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Callable, Container, Iterable, Sequence
from dis import opmap
from fnmatch import fnmatchcase
from inspect import (
    CO_ASYNC_GENERATOR,
    CO_COROUTINE,
    CO_GENERATOR,
    CO_ITERABLE_COROUTINE,
    CO_OPTIMIZED,
    CO_VARARGS,
    CO_VARKEYWORDS,
)
from types import CodeType, FrameType, ModuleType
from typing import Any, Final

import tracepatch_shared
from tracepatch_shared import records

from . import pyversion
from .response import tell_of

HIDDEN: Final = 0
"""Ours: never recorded, never counted."""
APPLICATION: Final = 1
"""Recorded whole."""
LIBRARY: Final = 2
"""Recorded as one node where the application calls it; what it calls itself is counted there."""
SKIPPED: Final = 3
"""Left out by `--skip` and counted; what it calls is looked at again."""

SUSPENDS: Final = CO_GENERATOR | CO_COROUTINE | CO_ASYNC_GENERATOR | CO_ITERABLE_COROUTINE
COROUTINE: Final = CO_COROUTINE | CO_ITERABLE_COROUTINE

SPAWN: Final = {
    ("asyncio.tasks", "create_task"): "coro",
    ("asyncio.tasks", "ensure_future"): "coro_or_future",
    ("asyncio.tasks", "_ensure_future"): "coro_or_future",
    ("asyncio.base_events", "create_task"): "coro",
    ("asyncio.taskgroups", "create_task"): "coro",
    ("_weakrefset", "add"): "item",
    ("trio._core._run", "__init__"): "coro",
}
"""Functions that start a task, and the argument that holds its coroutine (or the task itself)."""

HAND_OFF: Final = {
    ("concurrent.futures.thread", "submit"): "fn",
    ("anyio.to_thread", "run_sync"): "func",
    ("trio._threads", "to_thread_run_sync"): "sync_fn",
    ("asgiref.sync", "__call__"): "self",
}
"""Functions that run a callable in another thread with this Context, and the argument that holds it; `submit`, by which
`asyncio.to_thread` goes, does so where the callable is a Context's own `run`."""

SEND: Final = {
    ("threading", "start"): "_bootstrap_inner",
    ("concurrent.futures.thread", "__init__"): "run",
}
"""Methods by which a thread or a pool's work is started without this Context, and the method of the same object with which
it begins in the other thread."""


SERVES_OTHERS: Final = frozenset((("concurrent.futures.thread", "_worker"),))
"""What threads run that took the Context of whoever started them along (3.14 can be told to), and that serve others."""


GATEWAY: Final = "tracepatch.gateway"
"""Ours, and yet shown: what `tracepatch.asgi` and `tracepatch.wsgi` return."""

_YIELD_VALUE = opmap["YIELD_VALUE"]
_RESUMED = 3
_AFTER_YIELD = 1
"""The bits of RESUME's argument that say what it resumes, and what they are behind a `yield`."""


def argument_names(code: CodeType) -> tuple[str, ...]:
    """Return the names of a function's arguments, `*args` and `**kwargs` among them."""
    flags = code.co_flags
    count = (
        code.co_argcount + code.co_kwonlyargcount + bool(flags & CO_VARARGS) + bool(flags & CO_VARKEYWORDS)
    )
    # A generator expression's `.0` is nobody's argument.
    return tuple(name for name in code.co_varnames[:count] if name[0] != ".")


class Entry:
    """One code object as a trace sees it; made once per table."""

    __slots__ = (
        "action",
        "arguments",
        "bare",
        "cells",
        "closes",
        "code",
        "coroutine",
        "first",
        "flags",
        "hand_off",
        "harmless_for",
        "items",
        "library",
        "module",
        "naming",
        "naming_for",
        "occurs",
        "opcodes",
        "open_for",
        "optimized",
        "plain",
        "recorded",
        "send",
        "serves_others",
        "silent",
        "simple",
        "spawn",
        "suspends",
        "tell",
    )

    def __init__(self, code: CodeType, module: str, action: int, *, silent: bool = False) -> None:
        """`silent`: no value of its calls is captured."""
        self.code = code
        self.module = module
        self.action = action
        flags = code.co_flags
        self.suspends = bool(flags & SUSPENDS)
        self.coroutine = bool(flags & COROUTINE)
        self.items = items(code) if flags & CO_ASYNC_GENERATOR else None
        self.arguments = argument_names(code)
        self.flags = (
            (records.FLAG_LIBRARY if action == LIBRARY else 0)
            | (records.FLAG_COROUTINE if flags & CO_COROUTINE else 0)
            | (records.FLAG_GENERATOR if flags & CO_GENERATOR else 0)
            | (records.FLAG_ASYNC_GENERATOR if flags & CO_ASYNC_GENERATOR else 0)
        )
        self.spawn = SPAWN.get((module, code.co_name))
        self.hand_off = HAND_OFF.get((module, code.co_name))
        self.bare = self.hand_off == "fn"
        self.send = SEND.get((module, code.co_name))
        self.serves_others = (module, code.co_name) in SERVES_OTHERS
        self.closes = code.co_name == "close" and self.arguments[:1] == ("self",)
        self.tell = tell_of(module, code.co_name, self.arguments)
        self.silent = silent
        self.optimized = bool(flags & CO_OPTIMIZED)
        self.library = action == LIBRARY
        self.simple = (
            self.spawn is None
            and self.hand_off is None
            and self.send is None
            and not self.serves_others
            and self.tell is None
            and not self.closes
        )
        """Its calls say nothing but that it was called."""
        self.plain = action in (APPLICATION, LIBRARY) and not self.suspends and self.simple and not silent
        """An ordinary function: it comes and goes on top of whatever runs."""
        self.occurs: Callable[[Any, Entry, FrameType], None] | None = None
        """Asked whether a call of it is one that has to occur in the trace (`having`)."""
        self.recorded = False
        """A node of it was made; the exits of all other code need no look."""
        # `Capturer` fills these in: what the names decide, and which trace has met them.
        self.naming: tuple[str, ...] | None = None
        self.naming_for: object = None
        self.harmless_for: object = None
        self.open_for: object = None
        # The profile core alone fills these in: the bytecode, `f_lasti` when the frame starts, whether it has cells.
        self.opcodes: bytes = b""
        self.first = -1
        self.cells = False


def items(code: CodeType) -> frozenset[int]:
    """Return the instructions at which an asynchronous generator yields an item; at all others it awaits."""
    opcodes = code.co_code
    yields = {at for at in range(0, len(opcodes), 2) if opcodes[at] == _YIELD_VALUE}
    if (
        pyversion.RESUME_OPCODE
    ):  # what follows says what it goes on with; before, an `await` is another instruction
        yields = {at for at in yields if opcodes[at + 3] & _RESUMED == _AFTER_YIELD}
    return frozenset(yields)


class Scope:
    """Which code a trace records: the application whole, libraries at the border, unless told otherwise."""

    def __init__(
        self,
        *,
        everything: bool = False,
        packages: Iterable[str] = (),
        lib: Sequence[str] = (),
        only: Sequence[str] = (),
        skip: Sequence[str] = (),
        skip_prefixes: Sequence[str] = (),
        forbidden: Container[str] = (),
        without_arguments: Container[str] = (),
    ) -> None:
        """`forbidden` and `without_arguments` hold modules: the first are skipped, of the others no value is captured."""
        self._everything = everything
        self._packages = tuple(packages)
        self._lib = tuple(lib)
        self._only = tuple(only)
        self._skip = tuple(skip)
        self._skip_prefixes = tuple(skip_prefixes)
        self._forbidden = forbidden
        self._without_arguments = without_arguments

    def silent(self, module: str) -> bool:
        """Tell whether nothing is captured of the values of this module's calls."""
        return module in self._without_arguments

    def action(self, module: str, file: str) -> int:
        """Return what a trace does with code of this module and file."""
        if file.startswith(_OURS) or module.partition(".")[0] in _OUR_PACKAGES:
            # By module, too: a dataclass's methods stand in no file. A request may enter by the wrapper of an application.
            return LIBRARY if module == GATEWAY else HIDDEN
        if module in self._forbidden:
            return SKIPPED
        if (self._skip_prefixes and module.startswith(self._skip_prefixes)) or _matches(self._skip, module):
            return SKIPPED
        if self._only:
            return APPLICATION if _matches(self._only, module) else SKIPPED
        if file.startswith("<frozen importlib"):
            return LIBRARY  # the import system is one node, whatever else is asked for
        if self._everything or not is_library(file) or _matches(self._lib, module):
            return APPLICATION
        return APPLICATION if _within(self._packages, module) else LIBRARY


class CodeTable:
    """The entries of one scope of recording."""

    def __init__(self, scope: Scope, prepare: Callable[[Entry], None] | None = None) -> None:
        self._scope = scope
        self._prepare = prepare
        self.entries: dict[int, Entry] = {}
        self.get = self.entries.get

    def add(self, code: CodeType, frame: FrameType) -> Entry:
        """Return a new entry for the code that runs in `frame` (about 5 µs, once per code object)."""
        module, file = _origin(code.co_filename, frame.f_globals)
        entry = Entry(code, module, self._scope.action(module, file), silent=self._scope.silent(module))
        if self._prepare is not None:
            self._prepare(entry)
        return self.put(entry)

    def put(self, entry: Entry) -> Entry:
        """Keep an entry, unless another thread has put one for this code, and return the one that is kept."""
        return self.entries.setdefault(id(entry.code), entry)


def _origin(file: str, names: object) -> tuple[str, str]:
    """Return the module that code belongs to and the file that tells whether it is a library's.

    Methods that a library had generated stand in no file; whose they are shows by the module they were made for.
    """
    module = names.get("__name__") if type(names) is dict else None
    if type(module) is not str:
        module = "?"
    if file[:1] != "<" or file.startswith("<frozen "):
        return module, file
    if type(names) is dict and type(names.get("__file__")) is str:
        return module, names["__file__"]  # a dataclass's
    if module.startswith("namedtuple_"):
        return module, os.__file__
    made_for = file[:-1].rpartition(" ")[2]  # <attrs generated init shop.cart.Item>
    while made_for:
        found = sys.modules.get(made_for)
        if type(found) is ModuleType:
            path = vars(found).get("__file__")
            return made_for, path if type(path) is str else file
        made_for = made_for.rpartition(".")[0]
    return module, file


def is_library(file: str) -> bool:
    """Tell whether a source file belongs to the standard library or to an installed distribution."""
    return file.startswith(_LIBRARIES) or any(part in file for part in _INSTALLED)


def _matches(globs: Sequence[str], module: str) -> bool:
    return any(fnmatchcase(module, glob) or module.startswith(glob + ".") for glob in globs)


def _within(packages: Sequence[str], module: str) -> bool:
    return any(module == package or module.startswith(package + ".") for package in packages)


def _folders() -> tuple[str, ...]:
    paths = sysconfig.get_paths()
    found = {paths[name] for name in ("stdlib", "platstdlib")} | {os.path.dirname(os.__file__)}
    return tuple(sorted(path + os.sep for folder in found for path in (folder, os.path.realpath(folder))))


_INSTALLED = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")
_LIBRARIES = ("<frozen ", *_folders())
_OUR_PACKAGES = frozenset(("tracepatch", "tracepatch_shared"))
_OURS = tuple(
    os.path.dirname(os.path.abspath(file)) + os.sep for file in (__file__, tracepatch_shared.__file__)
)
