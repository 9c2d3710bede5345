"""Other tools keep working beside a trace, and tell the same as without it; or tracing is refused, naming them."""

from __future__ import annotations

import bdb
import cProfile
import json
import os
import pstats
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import tracepatch
import tracepatch.cores
from debug_client import DebugClient
from processes import TARGETS
from targets import covered
from tracepatch_shared.errors import Conflict
from tracing_helpers import bench

HOOKED = sys.version_info < (3, 12)
"""The core uses the interpreter's trace hook, which is there once."""

CORES = ["ctrace", "pytrace"] if HOOKED else ["ctrace", "pytrace", "sysmon"]


def armed(work: Callable[[], Any] = covered.work) -> Any:
    with bench() as made:
        probe = made.arm("targets.covered:work", scope={"all": True})
        result = work()
        traces = made.traces()
    return result, [trace.calls for trace in traces], probe.passed_over


def block() -> Any:
    with tracepatch.trace(cache=False) as trace:
        result = covered.work()
    return result, [trace.call_count] if trace.call_count else [], not trace.call_count


WAYS = {"armed": armed, "block": block}


# ---- coverage.py ------------------------------------------------------------------------------------------------


def coverage_of(folder: Path, core: str, way: str) -> tuple[Any, str, str]:
    """Return lines and branches of the program, what it printed, and what it logged."""
    folder.mkdir()
    environment = {**os.environ, "COVERAGE_CORE": core, "COVERAGE_FILE": str(folder / "data")}
    program = str(TARGETS / "covered.py")
    branch = [] if core == "sysmon" and sys.version_info < (3, 14) else ["--branch"]  # it cannot before
    command = [sys.executable, "-m", "coverage", "run", *branch, f"--include={program}", program, way]
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, timeout=60)
    assert not done.returncode, done.stderr
    command = [sys.executable, "-m", "coverage", "json", "-o", "out.json"]
    subprocess.run(command, env=environment, cwd=folder, capture_output=True, timeout=60, check=True)
    (seen,) = json.loads((folder / "out.json").read_text())["files"].values()
    body = range(1, covered.main.__code__.co_firstlineno)
    lines = [line for line in seen["executed_lines"] if line in body]
    arcs = [arc for arc in seen.get("executed_branches", ()) if arc[0] in body]
    missing = [line for line in seen["missing_lines"] if line in body]
    return (lines, missing, arcs), done.stdout.strip(), done.stderr


@pytest.mark.parametrize("core", CORES)
def test_coverage_counts_the_same_lines(tmp_path: Path, core: str) -> None:
    pytest.importorskip("coverage")
    bare, _, _ = coverage_of(tmp_path / "bare", core, "bare")
    assert bare[0]
    assert covered.never.__code__.co_firstlineno + 1 in bare[1]
    seen, calls, log = coverage_of(tmp_path / "block", core, "block")
    assert seen == bare
    if HOOKED:
        assert calls == "0"
        assert "trace hook" in log
    else:
        assert int(calls) > 5
    if not HOOKED:
        seen, calls, _ = coverage_of(tmp_path / "armed", core, "armed")
        assert (seen, calls) == (bare, tracepatch.cores.core().name)


# ---- profilers and debuggers ------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
def test_cprofile_counts_the_same_calls(way: str) -> None:
    def counts(work: Callable[[], Any]) -> tuple[dict[str, int], Any]:
        profile = cProfile.Profile()
        profile.enable()
        try:
            result = work()
        finally:
            profile.disable()
        stats = pstats.Stats(profile).stats  # type: ignore[attr-defined]
        return {
            name: calls for (file, _, name), (_, calls, *_) in stats.items() if file == covered.__file__
        }, result

    bare, _ = counts(covered.work)
    assert bare["leaf"] > 5
    seen, (_, calls, _) = counts(WAYS[way])
    assert seen == bare
    assert calls
    assert calls[0] > 5


class Debugger(bdb.Bdb):
    """Steps through everything and notes each event in the program."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Any] = []

    def _note(self, event: str, frame: Any) -> None:
        if frame.f_code.co_filename == covered.__file__:
            self.seen.append((event, frame.f_code.co_name, frame.f_lineno))
        self.set_step()

    def user_call(self, frame: Any, _arguments: Any) -> None:
        self._note("call", frame)

    def user_line(self, frame: Any) -> None:
        self._note("line", frame)

    def user_return(self, frame: Any, _value: Any) -> None:
        self._note("return", frame)

    def user_exception(self, frame: Any, _error: Any) -> None:
        self._note("exception", frame)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_debugger_steps_through_the_same_lines(way: str) -> None:
    bare = Debugger()
    bare.runcall(lambda: covered.work())
    assert len(bare.seen) > 50
    traced = Debugger()
    _, calls, passed_over = traced.runcall(WAYS[way])
    assert traced.seen == bare.seen
    assert sys.gettrace() is None
    if HOOKED:
        assert (calls, passed_over) == ([], 1)
    else:
        assert calls[0] > 5


@pytest.mark.parametrize("way", ["bare", "armed", "block"])
def test_debugpy_stops_at_the_same_breakpoints(way: str) -> None:
    pytest.importorskip("debugpy")
    program = TARGETS / "debugged.py"
    (line,) = (
        number
        for number, text in enumerate(program.read_text().splitlines(), 1)
        if text.endswith("d  # here")
    )
    command = [sys.executable, "-X", "frozen_modules=off", str(program), way]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as running:
        assert running.stdout is not None
        client = DebugClient(int(running.stdout.readline()))
        try:
            client.attach(str(program), line)
            stops = client.stops()
            seen = json.loads(running.stdout.readline())
        finally:
            client.close()
            running.kill()
    assert stops == 2 * [(line, "0"), (line, "2"), (line, "4")]
    assert (seen["result"], seen["again"]) == (6, 6)
    if way != "bare":
        assert (seen["calls"] == 0) is HOOKED
        assert ("uses the interpreter's trace hook: end it first" in seen["refused"]) is (
            HOOKED and way == "armed"
        )
        assert ("pydevd" in seen["refused"]) is bool(seen["refused"])


# ---- hooks that the application sets ----------------------------------------------------------------------------


def hook(frame: Any, event: str, value: Any) -> Any:
    return None


def test_hooks_for_new_threads_stay_or_refuse() -> None:
    threading.setprofile(hook)
    try:
        assert armed()[1]
    finally:
        threading.setprofile(None)  # type: ignore[arg-type]
    threading.settrace(hook)
    try:
        if HOOKED:
            with pytest.raises(
                Conflict, match=r"test_interference_tools\.hook uses the interpreter's trace hook"
            ):
                armed()
        else:
            assert armed()[1]
        assert threading.gettrace() is hook
    finally:
        threading.settrace(None)  # type: ignore[arg-type]


@pytest.mark.parametrize("way", WAYS)
def test_a_trace_function_that_the_application_sets_itself_sees_the_same(
    way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def sets() -> Any:
        seen: list[Any] = []

        def follows(frame: Any, event: str, value: Any) -> Any:
            if frame.f_code.co_filename == covered.__file__:
                seen.append((event, frame.f_code.co_name, frame.f_lineno))
            return follows

        sys.settrace(follows)
        try:
            covered.fails()
            mine = sys.gettrace() is follows
        finally:
            sys.settrace(None)
        return seen, mine, sys.gettrace()

    monkeypatch.setattr(covered, "answers", sets)
    sets()
    bare = sets()
    assert bare[1:] == (True, None)
    with bench() as made:
        made.arm("targets.covered:fails", scope={"all": True})
        if way == "armed":
            assert sets() == bare
        else:
            with tracepatch.trace(cache=False):
                seen = sets()
            assert seen == bare
        for _ in range(2):
            made.tracing.expire()
        assert made.tracing.release()["hooked_threads"] == 0
    assert sys.gettrace() is None
    assert sets() == bare


@pytest.mark.parametrize("way", WAYS)
def test_a_profile_function_of_the_application_sees_the_same(way: str) -> None:
    def profiled(work: Callable[[], Any]) -> tuple[list[Any], Any]:
        seen: list[Any] = []

        def follows(frame: Any, event: str, value: Any) -> None:
            if frame.f_code.co_filename == covered.__file__:
                seen.append((event, frame.f_code.co_name, frame.f_lineno))

        sys.setprofile(follows)
        try:
            result = work()
            assert sys.getprofile() is follows
        finally:
            sys.setprofile(None)
        return seen, result

    bare, _ = profiled(covered.work)
    assert len(bare) > 20
    seen, (_, calls, _) = profiled(WAYS[way])
    assert seen == bare
    assert calls[0] > 5


# ---- another monitoring tool ------------------------------------------------------------------------------------


@pytest.mark.skipif(HOOKED, reason="sys.monitoring is there since 3.12")
@pytest.mark.parametrize("way", WAYS)
def test_another_monitoring_tool_gets_the_same_events(way: str) -> None:
    monitoring: Any = sys.monitoring  # type: ignore[attr-defined]
    kinds = monitoring.events
    names = ("PY_START", "PY_RETURN", "PY_UNWIND", "PY_THROW", "PY_YIELD", "PY_RESUME", "LINE", "RAISE")
    seen: list[Any] = []

    def note(name: str) -> Callable[..., None]:
        def callback(code: Any, *values: Any) -> None:
            if code.co_filename == covered.__file__:
                seen.append((name, code.co_name, [str(value) for value in values]))

        return callback

    def events_of(work: Callable[[], Any]) -> tuple[list[Any], Any]:
        seen.clear()
        result = work()
        return list(seen), result

    tool = 4  # the one that we would take first
    monitoring.use_tool_id(tool, "another")
    try:
        for name in names:
            monitoring.register_callback(tool, getattr(kinds, name), note(name))
        monitoring.set_events(tool, sum(getattr(kinds, name) for name in names if name != "LINE"))
        monitoring.set_local_events(tool, covered.leaf.__code__, kinds.LINE)
        bare, _ = events_of(covered.work)
        assert {event[0] for event in bare} >= {"PY_START", "PY_RETURN", "PY_YIELD", "LINE", "RAISE"}
        traced, (_, calls, _) = events_of(WAYS[way])
        assert traced == bare
        assert calls[0] > 5
        assert events_of(covered.work)[0] == bare
        assert [monitoring.get_tool(number) for number in (3, 4)] == [None, "another"]
        assert monitoring.get_local_events(tool, covered.leaf.__code__) == kinds.LINE
    finally:
        monitoring.set_local_events(tool, covered.leaf.__code__, 0)
        monitoring.set_events(tool, 0)
        monitoring.free_tool_id(tool)


@pytest.mark.skipif(HOOKED, reason="sys.monitoring is there since 3.12")
def test_without_a_free_tool_id_arming_is_refused_by_name() -> None:
    monitoring: Any = sys.monitoring  # type: ignore[attr-defined]
    taken = [number for number in range(6) if monitoring.get_tool(number) is None]
    for number in taken:
        monitoring.use_tool_id(number, f"tool {number}")
    try:
        with pytest.raises(Conflict, match=f"tool {taken[0]}"):
            armed()
    finally:
        for number in taken:
            monitoring.free_tool_id(number)
    assert armed()[1]
