"""Hand-offs between threads: what a traced task gives to another thread to run, read without running anything.

Three ways lead there. A callable may be run with a copy of the task's Context (`asyncio.to_thread`, anyio, trio): the
branch is found by the Context, and the callable tells which node started it. A thread and a pool's work have a Context
of their own: with `--threads` they are noted by the identity of their object when they are made or started, and found
again by the first thing that this object does in the other thread. A weak reference tells whether an identity is still
that of the same object.

Concurrency: called on application threads inside interpreter callbacks; no lock. What is read of the application's
objects is read from their dictionaries and those of their classes.
"""

from __future__ import annotations

import sys
from _thread import get_ident
from contextvars import Context
from functools import partial
from types import BuiltinFunctionType, BuiltinMethodType, FunctionType, MethodType, ModuleType
from typing import Any

from .codes import is_library
from .objects import mro_of
from .strand import here
from .walk import belongs, class_dict, instance_dict


def plain_function(item: Any) -> FunctionType | None:
    """Return the Python function behind a callable without running anything: partials and methods are looked through."""
    for _ in range(5):
        kind = type(item)
        if kind is FunctionType:
            return item  # type: ignore[no-any-return]
        if kind is MethodType:
            item = item.__func__
        elif kind is partial:
            item = item.func
        elif kind is type_of("asgiref.sync", "SyncToAsync"):
            item = instance_dict(item).get("func")
        else:
            return None
    return None


def fresh(coroutine: Any) -> bool:
    """Tell whether a coroutine has not begun."""
    frame = coroutine.cr_frame
    if frame is None or coroutine.cr_running:
        return False
    return not coroutine.cr_suspended if hasattr(coroutine, "cr_suspended") else frame.f_lasti < 0


def given_name(values: Any) -> object:
    """Return the name that a function which starts a task was given, as an argument or among others (3.14)."""
    name = values.get("name")
    others = values.get("kwargs")
    return others.get("name") if name is None and type(others) is dict else name


def run_with_context(item: Any, arguments: Any) -> Any:
    """Return what a callable runs with a Context, when it is a Context's own `run`, possibly behind partials."""
    given = arguments if type(arguments) is tuple else ()
    for _ in range(5):
        if type(item) is not partial:
            break
        given = (*item.args, *given)
        item = item.func
    if (
        type(item) is BuiltinMethodType
        and type(item.__self__) is Context
        and item.__name__ == "run"
        and given
    ):
        return given[0]
    return None


def receiver(item: Any, method: str, module: str) -> FunctionType | None:
    """Return the method of a class in `module` with which `item` begins in another thread; None when it is not followed.

    A thread is followed when what it runs is the application's: a library's thread is a worker that serves other
    tasks, too.
    """
    kinds = [class_dict(kind) for kind in mro_of(type(item))]
    function = next((names[method] for names in kinds if method in names and belongs(names, module)), None)
    if type(function) is not FunctionType or (module == "threading" and not _is_applications(item, kinds)):
        return None
    return function


def thread_name(beginning: Any = None) -> str:
    """Return the name of the calling thread, which `beginning` may be already; empty when it is not known."""
    name = instance_dict(beginning).get("_name")
    if type(name) is not str:
        name = instance_dict(current_thread()).get("_name")
    return name if type(name) is str else ""


def current_thread() -> object:
    """Return the object that `threading` has for the calling thread; None when it knows none."""
    active = type_of("threading", "_active")
    return (active.get(here()) or active.get(get_ident())) if type(active) is dict else None


def loop_runs() -> bool:
    """Tell whether an asyncio loop runs on the calling thread: such a thread waits for no function to be handed to it."""
    running = type_of("_asyncio", "_get_running_loop")
    return type(running) is BuiltinFunctionType and running() is not None


def own_context(thread: Any) -> Context | None:
    """Return the Context that a thread runs its body with where it has one besides its own (3.14)."""
    context = instance_dict(thread).get("_context")
    return context if type(context) is Context else None


def type_of(module: str, name: str) -> Any:
    """Return what a module holds if that is loaded, by its dictionary: no code runs, nothing is imported."""
    loaded = sys.modules.get(module)
    return vars(loaded).get(name) if type(loaded) is ModuleType else None


def _is_applications(thread: Any, kinds: list[dict[str, Any]]) -> bool:
    held = instance_dict(thread)
    bodies = [held.get("_target"), held.get("function"), *(names.get("run") for names in kinds)]
    functions = [plain_function(body) for body in bodies]
    return any(
        function is not None and not is_library(function.__code__.co_filename) for function in functions
    )
