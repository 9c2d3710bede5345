"""Scenes: each returns what an application can see of itself, as plain data that is equal whenever that is equal."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import inspect
import os
import random
import signal
import sys
import threading
import traceback
import types
import warnings
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

SCENES: dict[str, Callable[[], Any]] = {}


def scene(function: Any) -> Any:
    SCENES[function.__name__] = function
    return function


def run(function: Callable[[], Any]) -> Any:
    """Run a scene; always from this line."""
    result = function()
    return asyncio.run(result) if inspect.iscoroutine(result) else result


class Thing:
    """May be referred to weakly."""

    def __init__(self, name: str = "thing") -> None:
        self.name = name


# ---- what code looks like ---------------------------------------------------------------------------------------


def plain(a: int, /, b: str = "b", *rest: float, key: bool = True, **more: Any) -> str:
    """Has all kinds of parameters."""
    return f"{a}{b}{rest}{key}{more}"


def items(count: int) -> Iterator[int]:
    for number in range(count):  # noqa: UP028 - each item is a step of its own
        yield number


async def answers(value: int) -> int:
    await asyncio.sleep(0)
    return value


async def streams(count: int) -> AsyncIterator[int]:
    for number in range(count):
        await asyncio.sleep(0)
        yield number


def closing(over: list[int]) -> Callable[[int], int]:
    def inner(value: int) -> int:
        over.append(value)
        return len(over)

    return inner


def looks(function: Any) -> list[Any]:
    """Return all that `inspect` and a function's attributes tell."""
    code = function.__code__
    return [
        function.__name__,
        function.__qualname__,
        function.__module__,
        function.__doc__,
        function.__defaults__,
        function.__kwdefaults__,
        str(function.__annotations__),
        sorted(function.__dict__),
        str(inspect.signature(function)),
        inspect.iscoroutinefunction(function),
        inspect.isgeneratorfunction(function),
        inspect.isasyncgenfunction(function),
        asyncio.iscoroutinefunction(function) if sys.version_info < (3, 14) else None,
        inspect.getsource(function),
        inspect.getsourcelines(function)[1],
        inspect.getclosurevars(function).nonlocals,
        code.co_name,
        code.co_filename,
        code.co_firstlineno,
        code.co_flags,
        code.co_varnames,
        code.co_cellvars,
        code.co_freevars,
        code.co_argcount,
        sorted({line for _, _, line in code.co_lines() if line}),
        type(function).__name__,
        repr(function).partition(" at ")[0],
    ]


@scene
def functions() -> Any:
    made = closing([])
    made(1)
    plain(1, "x", 2.0, key=False, more=3)
    asyncio.run(answers(1))
    return [looks(function) for function in (functions, plain, items, answers, streams, closing, made)]


# ---- frames and tracebacks --------------------------------------------------------------------------------------


def above() -> list[Any]:
    """Return the stack from the caller up to `run`."""
    frames: list[Any] = []
    frame: types.FrameType | None = sys._getframe(1)
    while frame is not None:
        frames.append((frame.f_code.co_name, frame.f_lineno, sorted(frame.f_locals)))
        if frame.f_code is run.__code__:
            break
        frame = frame.f_back
    return frames


def caller() -> Any:
    frame = sys._getframe(1)
    return frame.f_code.co_name, frame.f_lineno, sys._getframe().f_back is frame


@scene
def frames() -> Any:
    def nested() -> Any:
        return above()

    return [
        above(),
        nested(),
        caller(),
        [caller() for _ in range(2)],
        list(map(lambda _: caller(), "x")),  # noqa: C417 - called from C
        (lambda: caller())(),
        [(record.function, record.lineno) for record in inspect.stack() if record.filename == __file__][:1],
    ]


@scene
async def frames_of_coroutines() -> Any:
    async def deeper() -> Any:
        await asyncio.sleep(0)
        return above()[0]

    task = asyncio.create_task(deeper(), name="deeper")
    stack = [frame.f_lineno for frame in task.get_stack()]
    return [stack, await task, await deeper(), await asyncio.to_thread(caller)]


def fails(depth: int) -> None:
    if depth:
        fails(depth - 1)
    raise LookupError("at the bottom")


def wraps() -> None:
    try:
        fails(2)
    except LookupError as error:
        raise ValueError("from the middle") from error


def generates() -> Iterator[int]:
    try:
        yield 1
        fails(0)
    finally:
        plain(1)


class Exit:
    def __enter__(self) -> Exit:
        return self

    def __exit__(self, *error: Any) -> bool:
        plain(2)
        return False


def told(function: Callable[[], Any]) -> Any:
    """Return the text of the traceback that a function ends with, the exception's own, and its places."""
    try:
        function()
    except BaseException as error:
        places = [(frame.f_code.co_name, line) for frame, line in traceback.walk_tb(error.__traceback__)]
        return [
            traceback.format_exc(),
            places,
            repr(error.__context__),
            repr(error.__cause__),
            error.args,
            sys.exc_info()[1] is error,
            sorted(vars(error)),
        ]
    return "no exception"


def handles() -> None:
    try:
        fails(0)
    except LookupError:
        plain(1)
        raise


def with_exit() -> None:
    with Exit():
        fails(1)


def suppressed() -> None:
    with contextlib.suppress(LookupError):
        fails(1)
    {}["missing"]  # type: ignore[index]


def thrown() -> None:
    generator = generates()
    next(generator)
    generator.throw(OSError(5, "thrown in"))  # type: ignore[attr-defined]


def ended() -> None:
    sys.exit(3)


async def awaits() -> None:
    await answers(1)
    await asyncio.wait_for(asyncio.sleep(10), 0.001)


@scene
def tracebacks() -> Any:
    ways: list[Callable[[], Any]] = [
        lambda: fails(2),
        wraps,
        lambda: list(generates()),
        handles,
        with_exit,
        suppressed,
        thrown,
        ended,
        lambda: int("x"),
        lambda: plain(),  # type: ignore[call-arg]
        lambda: asyncio.run(awaits()),
    ]
    return [told(way) for way in ways]


@scene
def exceptions_in_flight() -> Any:
    seen: list[Any] = []
    try:
        fails(0)
    except LookupError as error:
        before = sys.exc_info()[1] is error
        plain(1)
        seen += [before, sys.exc_info()[1] is error, error.__context__, error.__suppress_context__]
    seen.append(sys.exc_info())
    for number in items(2):
        seen.append((number, sys.exc_info()))
    return seen


def warns(level: int) -> None:
    warnings.warn(f"level {level}", stacklevel=level)


@scene
def warning_places() -> Any:
    def between() -> None:
        for level in (1, 2, 3):
            warns(level)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        between()
        warns(2)
    return [(str(item.message), os.path.basename(item.filename), item.lineno) for item in caught]


# ---- the interpreter's settings ---------------------------------------------------------------------------------


@scene
def settings() -> Any:
    plain(1)
    return [
        sys.getprofile(),
        threading.getprofile() if sys.version_info >= (3, 10) else None,
        threading.gettrace() if sys.version_info >= (3, 10) else None,
        sys.getrecursionlimit(),
        sys.getswitchinterval(),
        sys.excepthook is sys.__excepthook__,
        sys.displayhook is sys.__displayhook__,
        sys.breakpointhook is sys.__breakpointhook__,
        str(sys.get_asyncgen_hooks()),
        sys.get_coroutine_origin_tracking_depth(),
        threading.excepthook is threading.__excepthook__,
        len(warnings.filters),
        [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGALRM, signal.SIGTERM)],
        random.getstate(),
        gc.isenabled(),
        gc.get_threshold(),
        len(gc.callbacks),
        threading.active_count(),
        os.listdir("/proc/self/fd").__len__() if os.path.isdir("/proc/self/fd") else None,
    ]


@scene
async def settings_of_a_loop() -> Any:
    loop = asyncio.get_running_loop()
    await answers(1)
    task = asyncio.current_task()
    assert task is not None
    return [
        loop.get_task_factory(),
        loop.get_exception_handler(),
        loop.get_debug(),
        type(loop).__name__,
        type(task).__module__,
        task.get_coro().__qualname__,  # type: ignore[union-attr]
        len(asyncio.all_tasks()),
        str(sys.get_asyncgen_hooks()).count("Loop."),
    ]


# ---- garbage ----------------------------------------------------------------------------------------------------


class Diary:
    """Notes when things die."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._references: list[Any] = []

    def watch(self, thing: Any, name: str) -> Any:
        self._references.append(weakref.ref(thing, lambda _: self.lines.append(f"{name} died")))
        return thing

    def thing(self, name: str) -> Thing:
        return self.watch(Thing(name), name)

    def note(self, line: str) -> None:
        self.lines.append(line)


def takes(diary: Diary, thing: Thing | None) -> None:
    diary.note("taken")
    plain(1)


def drops(diary: Diary, thing: Thing | None) -> None:
    plain(1)
    del thing
    diary.note("dropped its argument")
    plain(1)


def gives(diary: Diary, name: str) -> Thing:
    return diary.thing(name)


def rebinds(diary: Diary) -> None:
    local = diary.thing("first local")
    plain(1)
    local = diary.thing("second local")
    diary.note("rebound")
    plain(1)
    del local
    diary.note("deleted")
    plain(1)


class Failed(Exception):
    pass


def raises(diary: Diary, name: str) -> None:
    local = diary.thing(f"local of {name}")
    raise diary.watch(Failed(local), name)


def cells(diary: Diary) -> Callable[[], str]:
    thing = diary.thing("in a cell")

    def inner() -> str:
        return thing.name

    inner()
    return inner


def yields(diary: Diary) -> Iterator[Thing]:
    try:
        local = diary.thing("local of a generator")
        yield diary.thing("item 1")
        plain(1)
        yield diary.thing("item 2")
        diary.note("generator goes on")
        plain(2, local.name)
        yield diary.thing("item 3")
    finally:
        diary.note("generator ends")


async def awaited(diary: Diary, thing: Thing) -> Thing:
    await asyncio.sleep(0)
    diary.note("coroutine goes on")
    await asyncio.sleep(0)
    return diary.thing("result of a coroutine")


async def streamed(diary: Diary) -> AsyncIterator[Thing]:
    try:
        for number in range(3):
            yield diary.thing(f"async item {number}")
            await asyncio.sleep(0)
    finally:
        diary.note("async generator ends")


def deaths_of_arguments(diary: Diary) -> None:
    takes(diary, diary.thing("argument"))
    diary.note("back")
    takes(diary, thing=diary.thing("keyword"))
    diary.note("back")
    plain(1, "b", diary.thing("of many"), key=diary.thing("key"), more=diary.thing("more"))  # type: ignore[arg-type]
    diary.note("back")


def deaths_of_results(diary: Diary) -> None:
    gives(diary, "result thrown away")
    diary.note("back")
    kept = gives(diary, "result kept")
    plain(1)
    del kept
    diary.note("deleted")
    print_nothing = [gives(diary, "in a list")]
    print_nothing.clear()
    diary.note("cleared")


def deaths_of_exceptions(diary: Diary) -> None:
    try:
        raises(diary, "caught")
    except Failed as error:
        diary.note(f"caught {len(error.args)}")
        plain(1)
    diary.note("handled")
    plain(1)
    try:
        try:
            raises(diary, "passed on")
        finally:
            plain(1)
            diary.note("finally")
    except Failed:
        diary.note("caught")
    diary.note("handled")


def deaths_of_generators(diary: Diary) -> None:
    for item in yields(diary):
        diary.note(item.name)
        del item
    diary.note("exhausted")
    generator = yields(diary)
    next(generator)
    diary.note("one taken")
    generator.close()  # type: ignore[attr-defined]
    diary.note("closed")
    generator = diary.watch(yields(diary), "generator")
    next(generator)
    del generator
    diary.note("abandoned")


def deaths_of_frames(diary: Diary) -> None:
    inner = cells(diary)
    inner()
    diary.note("cell used")
    del inner
    diary.note("cell dropped")
    method = diary.watch(Thing("self"), "self").__init__  # type: ignore[misc]
    method("again")
    del method
    diary.note("method dropped")
    made = [diary.thing(f"number {number}").name for number in range(2)]
    diary.note(f"{len(made)} made")
    function = diary.watch(lambda thing: thing.name, "function")
    function(diary.thing("of a lambda"))
    diary.note("called")
    del function
    diary.note("function dropped")


def _diary(write: Callable[[Diary], Any]) -> list[str]:
    diary = Diary()
    gc.collect()
    gc.disable()
    try:
        result = write(diary)
        if inspect.iscoroutine(result):
            asyncio.run(result)
    finally:
        gc.enable()
    diary.note("end")
    return diary.lines


async def deaths_in_coroutines(diary: Diary) -> None:
    await awaited(diary, diary.thing("of a coroutine"))
    diary.note("awaited")
    result = await awaited(diary, diary.thing("of a coroutine"))
    del result
    diary.note("deleted")
    task = diary.watch(asyncio.create_task(awaited(diary, diary.thing("of a task"))), "task")
    await task
    diary.note("task done")
    del task
    diary.note("task dropped")
    async for item in streamed(diary):
        diary.note(item.name)
        del item
    stream = streamed(diary)
    await stream.__anext__()
    diary.note("one taken")
    await stream.aclose()  # type: ignore[attr-defined]
    diary.note("closed")
    await asyncio.gather(awaited(diary, diary.thing("gathered 1")), awaited(diary, diary.thing("gathered 2")))
    diary.note("gathered")
    await asyncio.to_thread(takes, diary, diary.thing("in a thread"))
    diary.note("back from a thread")


def drops_between(diary: Diary, thing: Thing | None) -> Iterator[int]:
    local = diary.thing("local of a generator")
    yield 1
    del thing, local
    diary.note("dropped both")
    yield 2


async def drops_after(diary: Diary, thing: Thing | None) -> None:
    local = diary.thing("local of a coroutine")
    await asyncio.sleep(0)
    del thing, local
    diary.note("dropped both")
    await asyncio.sleep(0)


def deaths_of_deleted_arguments(diary: Diary) -> None:
    drops(diary, diary.thing("argument"))
    list(drops_between(diary, diary.thing("of a generator")))
    asyncio.run(drops_after(diary, diary.thing("of a coroutine")))


for write in (
    deaths_of_arguments,
    deaths_of_results,
    deaths_of_exceptions,
    deaths_of_generators,
    deaths_of_frames,
    deaths_in_coroutines,
    deaths_of_deleted_arguments,
):
    SCENES[write.__name__] = lambda write=write: _diary(write)  # type: ignore[misc]


@scene
def deaths_of_rebound_locals() -> Any:
    return _diary(rebinds)


def referred(thing: object, counts: list[int]) -> object:
    counts.append(sys.getrefcount(thing))
    return thing


@scene
def reference_counts() -> Any:
    thing = Thing()
    numbers = [1, 2, 3]
    counts: list[int] = []
    for _ in range(3):
        plain(thing, numbers, more=thing)  # type: ignore[arg-type]
    counts += [sys.getrefcount(thing), sys.getrefcount(numbers), sys.getrefcount(numbers[0] + 10**9)]
    list(items(3))
    box = [Thing("boxed")]
    referred(box[0], [])
    for item in (box[0] for _ in range(3)):
        referred(item, [])
    del item
    counts.append(sys.getrefcount(box[0]))
    error = Failed(box)
    try:
        raise error
    except Failed:
        pass
    counts += [sys.getrefcount(error), sys.getrefcount(box)]
    code = plain.__code__
    del code
    return counts


@scene
def referrers() -> Any:
    """Who holds a thing that only a list of the application's holds."""
    box = [Thing()]
    referred(box[0], [])
    takes(Diary(), box[0])
    with contextlib.suppress(Failed):
        raise Failed(box[0])
    holders = [type(holder).__name__ for holder in gc.get_referrers(box[0])]
    held = weakref.ref(box.pop())
    return [holders, held()]


@scene
def cycles() -> Any:
    """No garbage that only the collector can free is made of the application's objects."""
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        diary = Diary()
        deaths_of_arguments(diary)
        deaths_of_results(diary)
        deaths_of_exceptions(diary)
        deaths_of_generators(diary)
        deaths_of_frames(diary)
        plain(1)
        cycle = [Thing("in a cycle")]
        cycle.append(cycle)  # type: ignore[arg-type]
        del cycle
        gc.collect()
        return sorted(type(item).__qualname__ for item in gc.garbage if type(item).__module__ == __name__)
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
