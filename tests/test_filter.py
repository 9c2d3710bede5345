"""The compiled part: it drops what concerns no trace, and everything works without it."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import weakref
from contextvars import ContextVar, copy_context
from pathlib import Path
from typing import Any

import pytest

if sys.version_info < (3, 12):
    pytest.skip("there is no sys.monitoring", allow_module_level=True)
Filter: Any = pytest.importorskip(
    "tracepatch.cores._filter", reason="installed where no C compiler is", exc_type=ImportError
).Filter

TESTS = Path(__file__).parent

variable: ContextVar[object] = ContextVar("variable", default=None)


def here() -> None:
    pass


def there() -> None:
    pass


@pytest.fixture
def told() -> Any:
    class Told(list[Any]):
        def __call__(self, *args: object) -> str:
            self.append(args)
            return "told"

    return Told()


def test_only_a_context_that_is_traced_is_told(told: Any) -> None:
    only = Filter(variable, told)
    assert only(here.__code__, 0) is None
    assert told == []
    context = copy_context()
    context.run(variable.set, object())
    assert context.run(only, here.__code__, 8, "value") == "told"
    assert told == [(here.__code__, 8, "value")]


def test_one_code_object_is_told_of_anywhere(told: Any) -> None:
    only = Filter(variable, told)
    only.code = here.__code__
    only(there.__code__, 0)
    only(here.__code__, 0)
    assert told == [(here.__code__, 0)]
    only.code = None
    only(here.__code__, 0)
    assert len(told) == 1
    only()
    assert len(told) == 1


def test_everything_is_told_of_anywhere(told: Any) -> None:
    only = Filter(variable, told)
    only.everything = True
    only(there.__code__, 0)
    assert told == [(there.__code__, 0)]


def test_what_is_dropped_is_counted_when_that_is_asked_for(told: Any) -> None:
    only = Filter(variable, told)
    only(here.__code__, 0)
    assert only.counted == 0
    only.counts = True
    only(here.__code__, 0)
    only(here.__code__, 0)
    copy_context().run(lambda: (variable.set(1), only(here.__code__, 0)))
    assert only.counted == 2


def test_what_the_callback_raises_passes() -> None:
    def fails(*_args: object) -> None:
        raise KeyboardInterrupt

    only = Filter(variable, fails)
    only.everything = True
    with pytest.raises(KeyboardInterrupt):
        only(here.__code__, 0)


@pytest.mark.parametrize("arguments", [(), (variable,), ("variable", print), (variable, print, 1)])
def test_it_is_made_of_a_variable_and_a_callback(arguments: tuple[object, ...]) -> None:
    with pytest.raises(TypeError):
        Filter(*arguments)


def test_calls_leave_nothing_behind_and_a_cycle_is_collected(told: Any) -> None:
    code = here.__code__
    only = Filter(variable, told)
    copy_context().run(lambda: (variable.set(1), [only(code, 0) for _ in range(1000)]))
    told.clear()
    before = sys.getrefcount(code), sys.getrefcount(variable), sys.getrefcount(told)
    for _ in range(1000):
        only(code, 0)
        only.code = code
        only(code, 0)
        told.clear()
        only.code = None
    assert (sys.getrefcount(code), sys.getrefcount(variable), sys.getrefcount(told)) == before

    class Holder:
        def __call__(self, *_args: object) -> None: ...

    holder: Any = Holder()
    holder.only = Filter(variable, holder)
    gone = weakref.ref(holder)
    del holder
    gc.collect()
    assert gone() is None


def test_what_the_collector_has_cleared_can_still_be_called() -> None:
    said = []

    class Holder:
        def __call__(self, *_args: object) -> None: ...

        def __del__(self) -> None:
            self.only.everything = True
            said.append(self.only(here.__code__, 0))

    holder: Any = Holder()
    holder.only = Filter(variable, holder)
    del holder
    gc.collect()
    assert said == [None]


def test_all_of_it_works_in_python_alone() -> None:
    files = ["test_tracing.py", "test_budget.py", "test_interference_ends.py"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *files],
        cwd=TESTS,
        env={**os.environ, "TRACEPATCH_CORE": "monitoring"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]
