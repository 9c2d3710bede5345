"""A call at the start of a function's own bytecode, on 3.10 and 3.11."""

from __future__ import annotations

import asyncio
import dis
import gc
import importlib
import inspect
import io
import pickle
import sys
import threading
import traceback
import unittest
import weakref
from types import CodeType, FunctionType

import pytest

from processes import wait_for

if hasattr(sys, "monitoring"):
    pytest.skip("3.12 and later have sys.monitoring", allow_module_level=True)

from targets import shapes
from tracepatch import prologue, walk
from tracepatch.prologue import Injection, inject, injected_functions, original_of
from tracepatch.resolve import Function, resolve
from tracepatch_shared.errors import NotTraceable
from tracepatch_shared.targets import parse_target


class Seen:
    """A hook that notes which frame called it."""

    def __init__(self):
        self.names = []
        self.first = []

    def __call__(self):
        frame = sys._getframe(1)
        self.names.append(frame.f_code.co_name)
        self.first.append(dict(frame.f_locals))


def function_of(target, outers=()):
    code = original_of(target.__code__)
    return Function(target.__qualname__, target.__module__, code, [target], list(outers))


@pytest.fixture
def seen():
    return Seen()


@pytest.fixture
def injected(seen):
    """Inject `seen` into functions; at the end everything must be as it was."""
    injection = Injection()
    codes = []

    def install(*targets):
        for target in targets:
            codes.append((target, target.__code__))
            injection.install(function_of(target), seen)
        return targets[0]

    yield install
    assert injection.remove() == []
    for target, code in codes:
        assert target.__code__ is code
    assert injected_functions() == 0


def big(a, /, b=2, *, c=3):
    total = 0
    for i in range(3):
        try:
            if i == 1:
                raise ValueError(i)
            total += i
        except ValueError:
            total += 100
        finally:
            total += 1000
    with open("/dev/null") as _:
        total += 1
    return total + b + c + a


def test_result_signature_and_arguments_stay(injected, seen):
    before = inspect.signature(big), big(1)
    injected(big)
    assert (inspect.signature(big), big(1)) == before
    assert seen.first == [{"a": 1, "b": 2, "c": 3}]


def test_original_code_is_known_from_the_frame(injected, seen):
    code = frame_code.__code__
    injected(frame_code)
    running = frame_code()
    assert running is not code
    assert original_of(running) is code
    assert original_of(code) is code


def frame_code():
    return sys._getframe(0).f_code


def test_closures_and_super(injected, seen):
    def adder(k):
        def add(x):
            return (lambda: x + k)()

        return add

    class Base:
        def value(self):
            return 1

    class Derived(Base):
        def value(self):
            return super().value() + 1

    add = adder(5)
    injected(add, Derived.value)
    assert add(2) == 7
    assert Derived().value() == 2
    assert seen.names == ["add", "value"]
    assert seen.first[0]["k"] == 5


def caller_name():
    return sys._getframe(1).f_code.co_name


def test_no_frame_is_added(injected):
    injected(caller_name)
    assert caller_name() == "test_no_frame_is_added"


def boom():
    local = 1
    raise ValueError(local)


def lines_of_boom():
    try:
        boom()
    except ValueError as error:
        tb = error.__traceback__
        return [(f.name, f.lineno, getattr(f, "colno", None), f.line) for f in traceback.extract_tb(tb)]


def test_tracebacks_stay(injected, seen):
    before = lines_of_boom()
    injected(boom)
    assert lines_of_boom() == before
    assert seen.names == ["boom"]


def test_line_events_stay(injected):
    def lines(target):
        events = []

        def tracer(frame, event, arg):
            if frame.f_code.co_name == target.__name__:
                events.append((event, frame.f_lineno))
                return tracer
            return None

        old = sys.gettrace()
        sys.settrace(tracer)
        try:
            target(1)
        finally:
            sys.settrace(old)
        return events

    before = lines(big)
    injected(big)
    assert lines(big) == before


def counter():
    x = yield 1
    yield x


def test_generators(injected, seen):
    injected(counter)
    it = counter()
    assert inspect.getgeneratorstate(it) == "GEN_CREATED"
    assert seen.names == []
    assert next(it) == 1
    assert inspect.getgeneratorlocals(it) == {}
    assert it.send(7) == 7
    with pytest.raises(StopIteration):
        next(it)
    closed = counter()
    closed.close()
    thrown = counter()
    with pytest.raises(KeyError):
        thrown.throw(KeyError("x"))
    assert seen.names == ["counter"], "a generator that never starts calls no hook"


async def sleeper(x):
    try:
        await asyncio.sleep(0)
        raise KeyError(x)
    except KeyError:
        return x


async def items(n):
    for i in range(n):
        await asyncio.sleep(0)
        yield i


def test_coroutines_and_async_generators(injected, seen):
    async def main():
        return [await sleeper(4)], [x async for x in items(3)]

    injected(sleeper, items)
    assert inspect.iscoroutinefunction(sleeper)
    assert inspect.isasyncgenfunction(items)
    assert asyncio.run(main()) == ([4], [0, 1, 2])
    assert seen.names == ["sleeper", "items"]


def down(n):
    return n and down(n - 1)


def test_recursion_calls_the_hook_each_time(injected, seen):
    injected(down)
    down(4)
    assert len(seen.names) == 5


@pytest.mark.parametrize("size", [1, 20, 61, 62, 63, 64, 120, 250, 20000])
def test_long_functions(injected, seen, size):
    """Jumps over many units need EXTENDED_ARG, and the insertion can make the argument of a jump longer."""
    body = "\n".join(f"            total += n * {i + 1000}" for i in range(size))
    source = f"""
def long(n):
    total = 0
    while n:
        if n % 2:
{body}
        else:
            try:
                raise ValueError
            except ValueError:
                total += 1
        n -= 1
    return total
"""
    names = {"__name__": "made"}
    exec(compile(source, "made.py", "exec"), names)
    long = names["long"]
    before = long(3)
    lines = list(long.__code__.co_lines())
    injected(long)
    assert long(3) == before
    assert len(seen.names) == 1
    assert {line for *_, line in long.__code__.co_lines()} - {None} == {line for *_, line in lines} - {None}


def test_many_constants(injected, seen):
    """The number of the hook's constant needs two EXTENDED_ARGs."""
    names = {"__name__": "made"}
    exec("def loads(x):\n" + "".join(f"    x += {i}.5\n" for i in range(66_000)) + "    return x", names)
    loads = names["loads"]
    before = loads(0)
    injected(loads)
    assert loads(0) == before
    assert seen.names == ["loads"]


@pytest.mark.parametrize("target", [counter, sleeper, items])
def test_what_starts_a_generator_stays_first(target):
    assert inject(target.__code__, bool).co_code[:2] == target.__code__.co_code[:2]


def test_loop_at_the_start_does_not_repeat_the_hook(injected, seen):
    def loop(n):
        while True:
            n -= 1
            if not n:
                return "done"

    injected(loop)
    assert loop(5) == "done"
    assert seen.names == ["loop"]


@pytest.mark.parametrize("order", ["first", "last"])
def test_two_injections_compose(order):
    code = big.__code__
    calls = []
    one, two = Injection(), Injection()
    one.install(function_of(big), lambda: calls.append("one"))
    two.install(function_of(big), lambda: calls.append("two"))
    big(1)
    assert calls == ["one", "two"]
    gone, left, rest = (one, two, "two") if order == "first" else (two, one, "one")
    assert gone.remove() == []
    calls.clear()
    big(1)
    assert calls == [rest]
    assert left.remove() == []
    assert big.__code__ is code
    assert left.remove() == []


def maker(k):
    def made():
        def inner():
            return k

        return inner()

    return made


def test_closures_made_later_are_hooked_and_let_go(seen):
    code = maker.__code__
    early = maker(1)
    made_code = early.__code__
    injection = Injection()
    injection.install(Function("maker.<locals>.made", __name__, made_code, [early], [maker]), seen)
    late = maker(2)
    assert (early(), late()) == (1, 2)
    assert seen.names == ["made", "made"]
    assert original_of(late.__code__) is made_code
    assert injection.remove() == []
    assert maker.__code__ is code
    assert early.__code__ is made_code
    assert late() == 2
    assert len(seen.names) == 2, "a closure that outlives the injection does not call the hook"


def test_hooks_in_a_function_and_in_the_one_inside_compose(seen):
    code = maker.__code__
    inner = Function("maker.<locals>.made", __name__, maker(0).__code__, [], [maker])
    outer = Function("maker", __name__, code, [maker], [])
    for first, second in ((inner, outer), (outer, inner)):
        seen.names.clear()
        one, two = Injection(), Injection()
        one.install(first, seen)
        two.install(second, seen)
        assert maker(3)() == 3
        assert seen.names == ["maker", "made"]
        one.remove()
        assert maker.__code__ is not code
        two.remove()
        assert maker.__code__ is code
    assert injected_functions() == 0


def test_hook_is_not_called_after_remove_by_what_was_made_before(seen):
    injection = Injection()
    injection.install(function_of(sleeper), seen)
    coroutine = sleeper(1)
    injection.remove()
    asyncio.run(coroutine)
    assert seen.names == []


def test_somebody_elses_code_stays():
    def target():
        return 1

    def other():
        return 2

    injection = Injection()
    injection.install(function_of(target), bool)
    target.__code__ = other.__code__
    problems = injection.remove()
    assert len(problems) == 1
    assert "somebody else replaced its code" in problems[0]
    assert target() == 2
    assert injected_functions() == 0


def test_install_after_somebody_replaced_the_code(seen):
    def target():
        return 1

    def other():
        return 2

    first, second = Injection(), Injection()
    first.install(function_of(target), bool)
    theirs = target.__code__ = other.__code__
    second.install(function_of(target), seen)
    assert target() == 2
    assert len(seen.names) == 1
    assert len(first.remove()) == 1
    assert target() == 2
    assert second.remove() == []
    assert target.__code__ is theirs


def test_unusual_code_is_refused_and_left_alone():
    code = big.__code__
    unknown = next(op for op, name in enumerate(dis.opname) if name.startswith("<") and op > 1)
    broken = code.replace(co_code=code.co_code + bytes((unknown, 0)))
    with pytest.raises(NotTraceable, match="unusual bytecode"):
        inject(broken, bool)
    with pytest.raises(NotTraceable, match="no function object"):
        Injection().install(Function("x", "y", code), bool)


def test_failed_install_changes_nothing(monkeypatch):
    code = big.__code__
    monkeypatch.setattr(
        prologue, "insert", lambda code, hook: (code.replace(co_consts=(*code.co_consts, hook)), 0, 0)
    )
    with pytest.raises(NotTraceable):
        Injection().install(function_of(big), bool)
    assert big.__code__ is code
    assert injected_functions() == 0
    assert prologue._hooks == {}


def test_verification_notices_a_wrong_move(monkeypatch):
    insert = prologue.insert

    def wrong(code, hook):
        changed, at, count = insert(code, hook)
        raw = bytearray(changed.co_code)
        jump = next(i for i in dis.get_instructions(changed) if i.opcode in (*dis.hasjrel, *dis.hasjabs))
        raw[jump.offset + 1] += 1
        return changed.replace(co_code=bytes(raw)), at, count

    monkeypatch.setattr(prologue, "insert", wrong)
    with pytest.raises(NotTraceable):
        inject(big.__code__, bool)


def test_hook_can_be_pickled_by_value_as_nothing():
    def target():
        return 1

    injection = Injection()
    injection.install(function_of(target), bool)
    gate = target.__code__.co_consts[-1]
    assert pickle.loads(pickle.dumps(gate))() is False
    injection.remove()


def test_nothing_is_kept_alive(seen):
    def run():
        def target():
            return 1

        injection = Injection()
        injection.install(function_of(target), seen)
        target()
        running = weakref.ref(target.__code__)
        injection.remove()
        return running, weakref.ref(target)

    gc.collect()  # what earlier tests left goes before it is counted
    before = len(prologue._originals)
    refs = run()
    gc.collect()
    assert [ref() for ref in refs] == [None, None]
    assert len(prologue._originals) == before
    assert prologue._hooks == prologue._built == prologue._patched == prologue._holding == {}


def test_resolved_again_while_injected():
    [function] = resolve(
        [parse_target(f"{__name__}:maker.made")], modules={__name__: sys.modules[__name__]}
    ).functions
    code = maker.__code__
    one, two = Injection(), Injection()
    calls = []
    one.install(function, lambda: calls.append(1))
    [again] = resolve(
        [parse_target(f"{__name__}:maker.made")], modules={__name__: sys.modules[__name__]}
    ).functions
    assert again.code is function.code
    assert again.outers == function.outers == [maker]
    two.install(again, lambda: calls.append(2))
    maker(1)()
    assert calls == [1, 2]
    one.remove()
    two.remove()
    assert maker.__code__ is code


SHAPES = [
    ("plain", lambda: shapes.plain(1)),
    ("wrapped", shapes.wrapped),
    ("hidden", shapes.hidden),
    ("hidden_thrice", shapes.hidden_thrice),
    ("cached", lambda: shapes.cached(object())),
    ("command", shapes.command),
    ("dispatched", lambda: shapes.dispatched(1)),
    ("outer.inner", lambda: shapes.made(1)),
    ("outer.inner", lambda: shapes.outer(1)[0](1)),
    ("outer.inner.innermost", lambda: shapes.outer(1)[0](1)),
    ("outer.inner.innermost", lambda: shapes.made(1)),
    ("outer.Local.method", lambda: shapes.outer(1)[1]().method()),
    ("Cart.static", shapes.Cart.static),
    ("Cart.both", shapes.Cart.both),
    ("Cart.total", lambda: shapes.Cart().total),
    ("Cart.slow", lambda: shapes.Cart().slow),
    ("Cart.hidden", lambda: shapes.Cart().hidden()),
    ("Cart.inherited", lambda: shapes.Cart().inherited()),
    ("JSONDecoder.decode", lambda: shapes.JSONDecoder().decode("1")),
]


@pytest.mark.parametrize(("qualname", "call"), SHAPES)
def test_resolved_functions_of_every_shape_are_reached(seen, qualname, call):
    before = _codes_of(shapes)
    functions = resolve([parse_target(f"{shapes.__name__}:{qualname}")]).functions
    injection = Injection()
    for function in functions:
        injection.install(function, seen)
    result = call()
    assert seen.names == [qualname.rpartition(".")[2]]
    assert injection.remove() == []
    assert type(call()) is type(result)
    assert len(seen.names) == 1
    assert _codes_of(shapes) == before
    assert injected_functions() == 0


def _codes_of(module):
    functions = walk.functions(vars(module).values(), module.__name__)
    return sorted((id(function), id(function.__code__)) for function in functions)


def test_arming_and_disarming_under_load():
    """Threads call and make functions while they are injected and put back; every result must be right."""
    wrong = []
    stop = threading.Event()

    def load():
        while not stop.is_set():
            if big(1) != expected or maker(3)() != 3 or list(counter()) != [1, None]:
                wrong.append(1)

    expected = big(1)
    codes = [target.__code__ for target in (big, maker, counter)]
    made = Function("maker.<locals>.made", __name__, maker(0).__code__, [], [maker])
    functions = [function_of(big), function_of(counter), made]
    threads = [threading.Thread(target=load) for _ in range(3)]
    for thread in threads:
        thread.start()
    calls = []
    try:
        for _ in range(100):
            injection = Injection()
            for function in functions:
                injection.install(function, lambda: calls.append(1))
            count = len(calls)
            wait_for(lambda count=count: len(calls) > count + 2)
            assert injection.remove() == []
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert wrong == []
    assert all(target.__code__ is code for target, code in zip((big, maker, counter), codes))


MASS = [
    "json.decoder",
    "json.encoder",
    "json.scanner",
    "argparse",
    "typing",
    "asyncio.base_events",
    "asyncio.events",
    "email.parser",
    "dataclasses",
    "inspect",
    "http.client",
    "ast",
    "dis",
    "difflib",
    "shutil",
    "tarfile",
    "zipfile",
    "contextlib",
    "logging",
    "subprocess",
    "textwrap",
    "re",
    "enum",
    "collections",
    "functools",
    "copy",
]


def standard_functions():
    """Yield every function of the modules in MASS, found the hard way."""
    for name in MASS:
        importlib.import_module(name)
    for value in gc.get_objects():
        if type(value) is FunctionType and value.__module__ in MASS and type(value.__code__) is CodeType:
            yield value


def codes_within(code):
    yield code
    for const in code.co_consts:
        if type(const) is CodeType and const.co_flags & inspect.CO_OPTIMIZED:
            yield from codes_within(const)


def test_every_function_of_many_modules_can_be_injected():
    count = 0
    for function in standard_functions():
        for code in codes_within(function.__code__):
            inject(inject(code, bool), bool)
            count += 1
    assert count > 1500


@pytest.mark.parametrize("module", ["test_json", "test_textwrap", "test_dataclasses", "test_contextlib"])
def test_cpythons_own_tests_pass_with_everything_injected(module):
    pytest.importorskip(f"test.{module}", reason="this Python comes without its tests")
    suite = unittest.defaultTestLoader.loadTestsFromName(f"test.{module}")
    prefixes = (
        f"test.{module}",
        "contextlib",
        "dataclasses",
        "json",
        "textwrap",
        "re",
        "sre_",
        "difflib",
        "functools",
        "enum",
    )
    functions = [
        value
        for value in gc.get_objects()
        if type(value) is FunctionType
        and str(value.__module__).startswith(prefixes)
        and value.__code__.co_filename != __file__
    ]
    originals = [function.__code__ for function in functions]
    calls = 0

    def hook():
        nonlocal calls
        calls += 1

    injection = Injection()
    for function in functions:
        injection.install(function_of(function), hook)
    try:
        result = unittest.TextTestRunner(stream=io.StringIO(), warnings="ignore").run(suite)
    finally:
        assert injection.remove() == []
    assert result.testsRun > 30
    assert [str(test) + text for test, text in result.failures + result.errors] == []
    assert calls > 300
    assert all(function.__code__ is code for function, code in zip(functions, originals))
    assert injected_functions() == 0
