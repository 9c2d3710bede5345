"""Which tasks of asyncio and trio there are, and what their own fields say, read without running anybody's code.

Both libraries are found through `sys.modules`, never imported. Of a task only fields are read that C code answers:
descriptors of the genuine `_asyncio` types, whatever a subclass overrides, and instance dictionaries and slots
(`objects.fields_of`). Tasks are kept by weak references: one that ends meanwhile is simply not there any more.

Where they are found: up to Python 3.13 asyncio keeps weak sets of all tasks, which are copied in one step. From 3.14 on
each thread has a list of its own, and only a loop's tasks can be asked for: loops are found in the frames of the
threads that run them. trio keeps its runner in a thread local object, which refers to what each thread put there.
"""

from __future__ import annotations

import gc
import sys
import threading
import types
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextvars import Context
from itertools import chain, compress, islice, repeat
from operator import attrgetter, is_, methodcaller
from typing import Any, NamedTuple

from . import frames
from .objects import callable_name, class_dict, fields_of, mro_of, name_text, plan_of, type_name

MAX_NAMES = 5
"""Tasks that are named where many are waited for or wait."""

FIELDS = 64
"""Fields of one object that are looked through."""


class Brief(NamedTuple):
    """What a task says at once; `coroutine` is its outermost one, `waits_on` the future that it waits for."""

    name: str
    coroutine: Any
    waits_on: Any


class Facts(NamedTuple):
    """What else it says."""

    loop: Any
    cancelling: bool
    parent: Any
    """The task in whose nursery or group this one is."""
    asleep: bool | None
    """False: it is about to go on; None where the library does not say."""


class Unlisted(Exception):
    """Tasks cannot be listed without running code of the application; the message says which."""


_ASKED = ("done", "get_loop", "__hash__", "__eq__", "__getattribute__", "__getattr__")
"""What asyncio itself asks of tasks of derived types when it lists them."""

Reference = Any
"""A weak reference to a task."""


# ---- asyncio ----------------------------------------------------------------------------------------------------


class Asyncio:
    """The tasks of asyncio, as far as it is loaded."""

    kind = "asyncio"

    def __init__(self) -> None:
        self._tasks = module_fields("asyncio.tasks")
        compiled = module_fields("_asyncio")
        self._task = compiled.get("Task") if type(compiled.get("Task")) is type else None
        self._future = compiled.get("Future") if type(compiled.get("Future")) is type else None
        self._all_tasks = compiled.get("all_tasks")
        self._python_task = self._tasks.get("_PyTask")
        self._python_future = module_fields("asyncio.futures").get("_PyFuture")
        self._gathering = self._tasks.get("_GatheringFuture")
        self._group = module_fields("asyncio.taskgroups").get("TaskGroup")
        self._base_loop = module_fields("asyncio.base_events").get("BaseEventLoop")
        self._any_loop = module_fields("asyncio.events").get("AbstractEventLoop")
        self._runner = module_fields("asyncio.runners").get("Runner")

        if self._task is not None:
            self._read_state = _reader(self._future, "_state")
            self._read_waiter = _reader(self._task, "_fut_waiter")
            self._read_name = self._task.__dict__["get_name"]
            self._read_coroutine = self._task.__dict__["get_coro"]

    @property
    def loaded(self) -> bool:
        return self._task is not None

    def references(self, threads: Iterable[int]) -> list[Reference]:
        """Return weak references to all tasks, some of which may be done; a moment's view."""
        found: list[Reference] = []
        for name in ("_all_tasks", "_scheduled_tasks"):
            kept = self._tasks.get(name)
            if type(kept) is weakref.WeakSet:
                found += list(vars(kept)["data"])
        eager = self._tasks.get("_eager_tasks")
        if type(eager) is set:
            found += list(map(weakref.ref, eager.copy()))
        if type(self._all_tasks) is types.BuiltinFunctionType:
            loud = self._loud(found)
            if loud is not None:
                raise Unlisted(f"asyncio would run {loud} to list them")
            for loop in self.loops(threads):
                found += list(map(weakref.ref, self._all_tasks(loop)))
        return list({id(reference): reference for reference in found}.values())

    def _loud(self, foreign: Iterable[Reference]) -> str | None:
        """Return what the application has written that `all_tasks` calls (3.14); None where it has written nothing."""
        for reference in foreign:
            task = reference()
            if task is not None and self._kind(task) is None:
                return type_name(type(task))
        todo = [cls for cls in (self._task, self._python_task) if cls is not None]
        for cls in todo:
            for derived in type.__subclasses__(cls):
                members = class_dict(derived)
                for name in _ASKED:
                    if name in members:
                        return f"{type_name(derived)}.{name}"
                todo.append(derived)
        return None

    def brief(self, task: Any) -> Brief | None:
        """Return what a task says at once; None for one that is done or of no type that is known."""
        kind = self._kind(task)
        if kind is self._task is not None:
            if self._read_state(task) != "PENDING":
                return None
            return Brief(
                name_text(self._read_name(task)), self._read_coroutine(task), self._read_waiter(task)
            )
        if kind is self._python_task is not None:
            fields = _fields(task)
            if fields.get("_state", "PENDING") != "PENDING":
                return None
            return Brief(name_text(fields.get("_name")), fields.get("_coro"), fields.get("_fut_waiter"))
        return None

    def facts(self, task: Any) -> Facts:
        """Return the rest of it, of a task that has a `brief`."""
        if self._kind(task) is self._task:
            loop = self._of_future("_loop", task)
            cancelling = self._of_task("_must_cancel", task) is True
            callbacks = self._of_future("_callbacks", task) if self._group is not None else None
        else:
            fields = _fields(task)
            loop, callbacks = fields.get("_loop"), fields.get("_callbacks")
            cancelling = fields.get("_must_cancel") is True
        return Facts(loop, cancelling, self._group_parent(callbacks), None)

    def context(self, task: Any) -> Any:
        """Return the Context that a task runs in; nil where it has none."""
        if self._kind(task) is not self._task:
            return _fields(task).get("_context")
        method = self._task.__dict__.get("get_context")
        if method is not None:
            return method(task)
        return next((item for item in gc.get_referents(task) if type(item) is Context), None)

    def _kind(self, task: Any) -> Any:
        """Return the genuine type that a task is of, whatever was derived from it."""
        cls = type(task)
        if cls is self._task:
            return cls
        mro = mro_of(cls)
        return next((one for one in (self._task, self._python_task) if _one_of(one, mro)), None)

    def gathered(self, future: Any) -> list[Any]:
        """Return the futures that this one gathers; empty where it gathers none."""
        if self._gathering is None or type(future) is not self._gathering:
            return []
        try:
            # Its dictionary has no descriptor; asyncio's own class overrides nothing.
            children = object.__getattribute__(future, "_children")
        except AttributeError:
            return []
        return list(children) if type(children) in (list, tuple) else []

    def waiters(self, future: Any) -> list[Any]:
        """Return the tasks that await a future, as it says itself (3.14)."""
        known = getattr(self._future, "_asyncio_awaited_by", None)
        if type(known) is not types.GetSetDescriptorType or not _one_of(self._future, mro_of(type(future))):
            return []
        return list(known.__get__(future) or ())

    def loops(self, threads: Iterable[int]) -> list[Any]:
        """Return the loops that these threads run, found in their frames (3.13 and newer: the frames are only read)."""
        found: list[Any] = []
        for ident in threads:
            for loop in self._loops_on(ident):
                if not any(loop is other for other in found):
                    found.append(loop)
        policy = module_fields("asyncio.events").get("_event_loop_policy")
        if policy is not None:
            for kept in _thread_local(_fields(policy).get("_local")):
                loop = kept.get("_loop")
                if self._is_loop(loop) and not any(loop is other for other in found):
                    found.append(loop)
        return found

    def _loops_on(self, ident: int) -> Iterator[Any]:
        # Each is one call, as in `frames`: proxies of the frames' variables are asked, and dropped.
        found = list(map(methodcaller("get", "self"), map(_locals, frames.walk(ident))))
        uvloop = module_fields("uvloop").get("Loop")
        if uvloop is not None:
            # It has no frame of its own: it is in a variable of whoever runs it.
            found += list(compress(_variables(ident), map(is_, map(type, _variables(ident)), repeat(uvloop))))
        for value in found:
            if self._runner is not None and type(value) is self._runner:
                value = _fields(value).get("_loop")
            if self._is_loop(value):
                yield value

    def _is_loop(self, value: Any) -> bool:
        return value is not None and _one_of(self._any_loop, mro_of(type(value)))

    def thread_of(self, loop: Any) -> int | None:
        """Return the thread that runs a loop, where the loop says so."""
        if loop is None or not _one_of(self._base_loop, mro_of(type(loop))):
            return None
        ident = _fields(loop).get("_thread_id")
        return ident if type(ident) is int else None

    def _of_task(self, name: str, task: Any) -> Any:
        return _reader(self._task, name)(task)

    def _of_future(self, name: str, task: Any) -> Any:
        return _reader(self._future, name)(task)

    def _group_parent(self, callbacks: Any) -> Any:
        """Return the task that waits in the group whose callback a task has."""
        if self._group is None or type(callbacks) is not list:
            return None
        for entry in islice(callbacks, FIELDS):
            callback = entry[0] if type(entry) is tuple and entry else None
            if type(callback) is types.MethodType and type(callback.__self__) is self._group:
                return _fields(callback.__self__).get("_parent_task")
        return None


# ---- trio -------------------------------------------------------------------------------------------------------


class Trio:
    """The tasks of trio, as far as it is loaded."""

    kind = "trio"

    def __init__(self) -> None:
        run = module_fields("trio._core._run")
        self._task = run.get("Task")
        self._context = run.get("GLOBAL_RUN_CONTEXT")

    @property
    def loaded(self) -> bool:
        return self._task is not None and self._context is not None

    def references(self, _threads: Iterable[int]) -> list[Reference]:
        """Return weak references to the tasks of all runs."""
        found: list[Reference] = []
        for kept in _thread_local(self._context):
            runner = kept.get("runner")
            tasks = _fields(runner).get("tasks") if runner is not None else None
            if type(tasks) is set:
                found += list(map(weakref.ref, tasks.copy()))
        return found

    def brief(self, task: Any) -> Brief | None:
        """Return what a task says at once; None for what is no task."""
        if type(task) is not self._task:
            return None
        fields = _fields(task)
        return Brief(name_text(fields.get("name")), fields.get("coro"), None)

    def context(self, task: Any) -> Any:
        """Return the Context that a task runs in."""
        return _fields(task).get("context")

    def facts(self, task: Any) -> Facts:
        """Return the rest of it."""
        fields = _fields(task)
        nursery = fields.get("_parent_nursery")
        parent = _fields(nursery).get("_parent_task") if nursery is not None else None
        return Facts(None, False, parent, fields.get("_abort_func") is not None)


# ---- both -------------------------------------------------------------------------------------------------------


def references(library: Asyncio | Trio, threads: Iterable[int]) -> list[Reference]:
    """Return weak references to a library's tasks; raise `Unlisted`, and nothing else, where that cannot be."""
    if not library.loaded:
        return []
    try:
        return library.references(threads)
    except Unlisted:
        raise
    except Exception as error:  # noqa: BLE001 - structures of the interpreter and of a library, as they were so far
        raise Unlisted(f"{type(error).__name__} while they were listed") from None


class Thread(NamedTuple):
    """What `threading` knows of a thread."""

    name: str
    daemon: bool | None
    native_id: int | None
    main: bool


def threads() -> dict[int, Thread]:
    """Return the threads that `threading` knows, by identity."""
    known = vars(threading).get("_active")
    main = vars(threading).get("_main_thread")
    found: dict[int, Thread] = {}
    for ident, thread in list(known.items()) if type(known) is dict else ():
        fields = _fields(thread)
        daemon, native = fields.get("_daemonic"), fields.get("_native_id")
        found[ident] = Thread(
            name_text(fields.get("_name")),
            daemon if type(daemon) is bool else None,
            native if type(native) is int else None,
            thread is main,
        )
    return found


def described(value: Any) -> str:
    """Return the type of what a task waits for; of a function or method also its name."""
    return callable_name(value) if type(value) is types.BuiltinFunctionType else type_name(type(value))


def _fields(value: Any) -> dict[str, Any]:
    return dict(fields_of(value, plan_of(value), FIELDS)[0])


def _reader(cls: Any, name: str) -> Callable[[Any], Any]:
    """Return what reads a field of a type of C, and nil where it has no such field."""
    descriptor = getattr(cls, name, None)
    if type(descriptor) is types.GetSetDescriptorType:
        return descriptor.__get__
    return lambda _: None


_locals = attrgetter("f_locals")


def _variables(ident: int) -> Iterator[Any]:
    """Return an iterator over the variables of a thread's frames, all of it in C."""
    return chain.from_iterable(map(methodcaller("values"), map(_locals, frames.walk(ident))))


def _one_of(cls: Any, mro: tuple[type, ...]) -> bool:
    return cls is not None and any(base is cls for base in mro)


def _thread_local(value: Any) -> Iterator[dict[str, Any]]:
    """Yield what each thread has put into a `threading.local`."""
    if value is None or not any(base is threading.local for base in mro_of(type(value))):
        return
    for table in gc.get_referents(value):
        if type(table) is dict:
            for kept in list(table.values()):
                if type(kept) is dict:
                    yield kept


def module_fields(name: str) -> dict[str, Any]:
    """Return the dictionary of a module that is loaded, an empty one where it is not."""
    module = sys.modules.get(name)
    return vars(module) if type(module) is types.ModuleType else {}
