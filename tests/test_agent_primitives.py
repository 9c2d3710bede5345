"""Native threads and locks, also where a library replaced the standard ones."""

from __future__ import annotations

import _thread
import sys
import types

import pytest

from processes import python_process, wait_for
from tracepatch import primitives


@pytest.fixture
def fake_gevent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A `gevent.monkey` that says that it patched `_thread`, and notes which originals are asked for."""
    asked: list[str] = []
    monkey = types.ModuleType("gevent.monkey")

    def get_original(module: str, name: str) -> object:
        asked.append(f"{module}.{name}")
        return getattr(_thread, name)

    monkey.is_module_patched = lambda module: module == "_thread"
    monkey.get_original = get_original
    monkeypatch.setitem(sys.modules, "gevent.monkey", monkey)
    return asked


def test_the_originals_are_used_under_gevent(fake_gevent: list[str]) -> None:
    assert primitives.patched()
    flag = primitives.Flag()
    primitives.start_thread("x", flag.set)
    assert flag.wait(5)
    assert {"_thread.allocate_lock", "_thread.start_new_thread"} <= set(fake_gevent)


def test_the_originals_are_used_under_eventlet(monkeypatch: pytest.MonkeyPatch) -> None:
    patcher = types.ModuleType("eventlet.patcher")
    patcher.is_monkey_patched = lambda module: module == "thread"
    patcher.original = lambda _: _thread
    monkeypatch.setitem(sys.modules, "eventlet.patcher", patcher)
    assert primitives.patched()


def test_a_flag_is_set_once_and_stays() -> None:
    flag = primitives.Flag()
    assert not flag.wait(0.01)
    flag.set()
    flag.set()
    assert flag.wait(0)
    assert flag.wait(0)


def test_no_greenlet_library_is_ever_imported(runtime_dir) -> None:
    program = "import sys, tracepatch; tracepatch.start(); print({'gevent', 'eventlet', 'greenlet'} & set(sys.modules))"
    with python_process(program) as started:
        assert started.line() == "set()"


def test_a_real_gevent_process_has_a_native_thread(runtime_dir) -> None:
    program = """
from gevent import monkey; monkey.patch_all()
import os, gevent, tracepatch
agent = tracepatch.start()
print(agent.state, flush=True)
gevent.sleep(0.01)
if os.fork() == 0:
    gevent.sleep(0.3)
    print(agent.state, flush=True)
    os._exit(0)
os.wait()
"""
    with python_process(program) as started:
        assert started.line() == "dormant"
        assert started.line() == "dormant"
        wait_for(lambda: started.child.poll() is not None)
