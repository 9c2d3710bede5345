"""Triggers, recordings and streams in this process, on the core of this interpreter."""

from __future__ import annotations

import asyncio
import gc
import importlib
import sys
import threading
import time
import weakref
from pathlib import Path
from typing import Any

import pytest

from targets import kinds
from tracepatch.cores import core
from tracepatch.recording import current
from tracepatch_shared.errors import Conflict
from tracepatch_shared.tree import TraceReader
from tracing_helpers import bench, names, outline


@pytest.mark.parametrize("name", kinds.CALLS)
def test_every_kind_of_function_is_traced_once_and_counted(name: str) -> None:
    with bench() as made:
        probe = made.arm(f"targets.kinds:{name}", count=2)
        kinds.CALLS[name]()
        kinds.CALLS[name]()
        traces = made.traces()
        kinds.CALLS[name]()
        assert len(made.traces()) == 2
        assert (probe.kept, probe.passed_over > 0) == (2, True)
    for trace in traces:
        assert trace.status == "complete"
        assert names(trace)[0].rpartition(".")[2] == name.rpartition(".")[2]
        assert not any(node.open for node in trace.nodes())
        if name == "recursive":
            assert names(trace) == ["recursive"] * 5
        else:
            assert names(trace)[1:] == ["leaf"] * (len(names(trace)) - 1) != []


def test_arguments_and_return_values() -> None:
    with bench() as made:
        made.arm("targets.kinds:Thing.method")
        kinds.Thing().method({"a": [1, 2]})
        root = made.trace().roots[0]
    assert root.args["value"] == {"a": [1, 2]}
    assert root.returned == {"a": [1, 2]}
    assert root.children[0].args == {"value": {"a": [1, 2]}}


def test_without_arguments_nothing_of_a_value_is_captured() -> None:
    with bench() as made:
        made.arm("targets.kinds:raises", args=False)
        with pytest.raises(ValueError, match="no visible"):
            kinds.raises("visible")
        root = made.trace().roots[0]
    assert root.args == {}
    assert root.raised is not None
    assert root.raised["type"] == "ValueError"
    assert "visible" not in str(made.trace().to_json())


def test_an_exception_shows_on_each_frame_it_unwinds_and_not_where_it_is_caught() -> None:
    def outer() -> str:
        try:
            middle()
        except ValueError:
            return "caught"
        return ""

    def middle() -> None:
        try:
            kinds.raises("x")
        finally:
            kinds.leaf("cleaned")

    holder: Any = kinds
    holder.outer = outer
    try:
        with bench() as made:
            made.arm("test_tracing:*outer", "targets.kinds:outer")
            outer()
            root = made.trace().roots[0]
    finally:
        del holder.outer
    (inner,) = root.children
    assert root.returned == "caught"
    assert inner.raised == {"type": "ValueError", "message": "no x"}
    assert [child.function for child in inner.children] == ["raises", "leaf"]
    assert inner.children[0].raised == {"type": "ValueError", "message": "no x"}


def test_a_module_imported_later_still_matches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "come_later.py").write_text("def work(x):\n    return x + 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with bench() as made:
        probe = made.arm("come_later:work")
        assert probe.matched_total == 0
        module = importlib.import_module("come_later")
        try:
            assert probe.matched_total == 1
            assert module.work(1) == 2
        finally:
            del sys.modules["come_later"]
        assert outline(made.trace()) == [["work"]]


def test_a_generator_is_traced_only_while_it_runs() -> None:
    with bench() as made:
        made.arm("targets.kinds:generator")
        items = kinds.generator(2)
        next(items)
        kinds.leaf("the caller's own")
        assert current.get() is None
        next(items)
        assert list(items) == []
        trace = made.trace()
    assert [child.args["value"] for child in trace.roots[0].children] == [0, 1]


def test_concurrent_traces_need_slots() -> None:
    async def main() -> None:
        await asyncio.gather(*(kinds.coroutine(number) for number in range(5)))

    with bench() as made:
        probe = made.arm("targets.kinds:coroutine", count=5, limits={"concurrent": 2})
        asyncio.run(main())
        assert len(made.traces()) == 2
        assert (probe.seen, probe.passed_over, len(probe.permits)) == (5, 3, 3)


def test_ending_limits_follow_the_root_to_its_end() -> None:
    with bench() as made:
        made.arm("targets.kinds:recursive", limits={"max_calls": 3})
        kinds.recursive(10)
        trace = made.trace()
    assert (trace.status, trace.reason) == ("tripped", "max_calls")
    assert names(trace) == ["recursive"] * 3
    assert trace.roots[0].returned == 0
    assert not trace.roots[0].open


def test_pruning_limits_count_what_they_leave_out() -> None:
    with bench() as made:
        made.arm("targets.kinds:recursive", limits={"max_depth": 3})
        kinds.recursive(10)
        trace = made.trace()
    assert trace.status == "complete"
    assert names(trace) == ["recursive"] * 3
    assert trace.elided == 8


def test_the_recording_time_ends_a_trace_with_its_open_frames() -> None:
    release = threading.Event()
    inside = threading.Event()

    def wait(value: object) -> None:
        inside.set()
        release.wait(10)

    holder: Any = kinds
    holder.wait = wait
    with bench() as made:
        made.arm("targets.kinds:wait", limits={"max_duration_s": 0.001})
        thread = threading.Thread(target=kinds.wait, args=(1,))  # type: ignore[attr-defined]
        thread.start()
        assert inside.wait(10)
        made.tracing.expire(2**62)
        trace = made.trace()
        release.set()
        thread.join()
        assert len(made.traces()) == 1
    del holder.wait
    assert (trace.status, trace.reason) == ("tripped", "max_duration_s")
    assert trace.roots[0].open


def test_bytes_held_trip_the_trace() -> None:
    def busy() -> None:
        for number in range(20_000):
            kinds.leaf(f"{number} " + "x" * 100)

    holder: Any = kinds
    holder.busy = busy
    with bench() as made:
        made.arm("targets.kinds:busy", limits={"max_bytes": 256 << 10})
        busy()
        held = made.tracing.held_bytes
        trace = made.trace()
    del holder.busy
    assert (trace.status, trace.reason) == ("tripped", "max_bytes")
    assert 128 << 10 < held < 600 << 10
    assert not trace.roots[0].open


def test_library_calls_are_one_node_and_callbacks_hang_under_it() -> None:
    def sorts() -> object:
        import re

        return re.sub("a", lambda found: str(kinds.leaf(found[0])), "banana")

    holder: Any = kinds
    holder.sorts = sorts
    with bench() as made:
        made.arm("targets.kinds:sorts")
        sorts()
        trace = made.trace()
    del holder.sorts
    substitute = next(node for node in trace.nodes() if node.function == "sub")
    assert [child.function.rpartition(".")[2] for child in substitute.children] == ["<lambda>"] * 3
    assert all(child.children[0].function == "leaf" for child in substitute.children)


def test_nothing_of_the_application_is_kept_alive() -> None:
    class Held:
        pass

    with bench() as made:
        made.arm("targets.kinds:plain")
        held = Held()
        gone = weakref.ref(held)
        kinds.plain(held)
        del held
        gc.collect()
        assert gone() is None
        made.traces()


def test_two_probes_on_one_function_take_turns() -> None:
    with bench() as made:
        first = made.arm("targets.kinds:plain")
        second = made.arm("targets.kinds:plain")
        kinds.plain(1)
        kinds.plain(2)
        kinds.plain(3)
        made.traces()
        assert (first.kept, second.kept) == (1, 1)
        made.tracing.disarm(first)
        assert len(made.traces()) == 2


def test_disarmed_means_as_before() -> None:
    before = kinds.plain.__code__
    with bench() as made:
        probe = made.arm("targets.kinds:plain", count=3)
        kinds.plain(1)
        made.traces()
        made.tracing.disarm(probe)
        kinds.plain(2)
        assert len(made.traces()) == 1
    assert kinds.plain.__code__ is before
    assert sys.gettrace() is None
    assert sys.getprofile() is None
    if hasattr(sys, "monitoring"):
        assert all(sys.monitoring.get_events(tool) == 0 for tool in range(6) if sys.monitoring.get_tool(tool))


@pytest.mark.skipif(not hasattr(sys, "monitoring"), reason="there is no tool id before 3.12")
def test_a_taken_tool_id_is_left_alone_and_none_left_is_refused_by_name() -> None:
    monitoring = sys.monitoring  # type: ignore[attr-defined]
    free = [tool for tool in range(6) if monitoring.get_tool(tool) is None]
    for tool in free:
        monitoring.use_tool_id(tool, f"other{tool}")
    try:
        with bench() as made, pytest.raises(Conflict, match="other4"):
            made.arm("targets.kinds:plain")
        monitoring.free_tool_id(3)
        with bench() as made:
            made.arm("targets.kinds:plain")
            kinds.plain(1)
            assert len(made.traces()) == 1
            assert monitoring.get_tool(4) == "other4"
    finally:
        for tool in free:
            if monitoring.get_tool(tool) is not None:
                monitoring.free_tool_id(tool)


@pytest.mark.skipif(hasattr(sys, "monitoring"), reason="the trace hook is used before 3.12 only")
def test_a_debugger_is_left_alone() -> None:
    def debugger(frame: object, event: str, arg: object) -> None:
        return None

    with bench() as made:
        probe = made.arm("targets.kinds:plain")
        sys.settrace(debugger)
        try:
            kinds.plain(1)
            assert sys.gettrace() is debugger
        finally:
            sys.settrace(None)
        assert made.traces() == []
        assert probe.passed_over == 1
        threading.settrace(debugger)
        try:
            with bench() as other, pytest.raises(Conflict, match="debugger"):
                core().release(made.tracing)
                try:
                    other.arm("targets.kinds:plain")
                finally:
                    core().acquire(made.tracing)
        finally:
            threading.settrace(None)  # type: ignore[arg-type]


@pytest.mark.usefixtures("no_collector")
def test_a_signal_handlers_exception_passes_through() -> None:
    import signal

    class Limit(Exception):
        pass

    def handler(number: int, frame: object) -> None:
        raise Limit

    def spin() -> None:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            kinds.leaf(1)

    holder: Any = kinds
    holder.spin = spin
    old = signal.signal(signal.SIGALRM, handler)
    try:
        with bench() as made:
            for _ in range(5):
                probe = made.arm("targets.kinds:spin", limits={"max_calls": 500_000})
                with pytest.raises(Limit):
                    spin()
                made.tracing.disarm(probe)
                made.tracing.drain()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
        del holder.spin
        current.set(None)


def test_bytes_that_are_packed_in_several_batches_count_once() -> None:
    def many() -> None:
        for _ in range(2_500):
            kinds.leaf(1)

    holder: Any = kinds
    holder.many = many
    try:
        with bench() as made:
            made.arm("targets.kinds:many")
            kinds.many()  # type: ignore[attr-defined]
            (recording,) = made.tracing.recordings
            pieces = made.tracing.drain()
        assert 0 <= sum(len(piece.data) for piece in pieces) - recording.packed_bytes < 300  # the END record
    finally:
        del holder.many


def test_packing_that_takes_too_long_goes_on_next_time_with_the_next_trace() -> None:
    def some() -> None:
        for _ in range(600):
            kinds.leaf(1)

    holder: Any = kinds
    holder.some = some
    try:
        with bench() as made:
            made.arm("targets.kinds:some", count=2)
            for _ in range(2):
                kinds.some()  # type: ignore[attr-defined]
            assert made.tracing.behind
            native = made.tracing.core.name == "native"  # packs them as they come
            rounds = []
            while made.tracing.behind:
                rounds.append(made.tracing.drain(0.0))
        turns = [piece.trace_id for pieces in rounds for piece in pieces]
        assert len(rounds) > (1 if native else 10), "one batch in each"
        assert turns[0] != turns[1], "they take turns"
        assert {piece.end for pieces in rounds[-2:] for piece in pieces} == {("complete", None)}
        whole = {trace_id: TraceReader() for trace_id in turns}
        for pieces in rounds:
            for piece in pieces:
                whole[piece.trace_id].feed(piece.data)
        assert [reader.trace.calls for reader in whole.values()] == [601, 601]
    finally:
        del holder.some
