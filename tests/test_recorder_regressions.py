"""Defects of the recorder that were found by breaking it, each with the program that did."""

from __future__ import annotations

import asyncio
import contextvars
import ctypes
import importlib
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import tracepatch
from processes import wait_for
from targets import kinds, uneven
from tracepatch import live, trigger
from tracepatch.cores import core
from tracepatch.frame_ids import frame_id
from tracepatch.recording import current
from tracepatch_shared.trace import Node, Trace
from tracing_helpers import bench, names, outline


async def cancelled(work: Any) -> Any:
    task = asyncio.create_task(work)
    await asyncio.sleep(0)  # it waits by now, however long it took to get there
    await asyncio.sleep(0.02)
    task.cancel()
    return await task


def named(trace: Trace, function: str) -> list[Node]:
    return [node for node in trace.nodes() if node.function == function]


def test_a_cancellation_inside_an_async_generator_leaves_the_tree_whole() -> None:
    with bench() as made:
        made.arm("targets.uneven:cancelled_inside_an_async_generator")
        assert asyncio.run(cancelled(uneven.cancelled_inside_an_async_generator())) == "after"
        trace = made.trace()
    assert names(trace) == ["cancelled_inside_an_async_generator", "items", "waits", "leaf"]
    assert trace.roots[0].returned == "after"
    for function in ("items", "waits"):
        (node,) = named(trace, function)
        assert node.raised is not None
        assert node.raised["type"].endswith("CancelledError")
    assert [branch.kind for branch in trace.branches] == ["root"]


def test_a_task_that_waits_again_after_a_cancellation_is_seen_waiting() -> None:
    with bench() as made:
        made.arm("targets.uneven:goes_on_after_a_cancellation")
        assert asyncio.run(cancelled(uneven.goes_on_after_a_cancellation())) == "fallback"
        trace = made.trace()
    (waiting,) = named(trace, "falls_back")
    assert waiting.waiting_ns > waiting.wall_ns / 2
    timer, last = sorted(named(trace, "leaf"), key=lambda node: node.args["value"] == "fallback")
    assert trace.branches[timer.branch].kind == "callback"
    assert trace.branches[last.branch].kind == "root"


@pytest.mark.parametrize("again", [False, True])
def test_a_cancellation_that_an_unrecorded_coroutine_catches_wakes_the_task_up(again: bool) -> None:
    with bench() as made:
        made.arm("targets.uneven:goes_on_below_a_patient_library", scope={"only": ["targets.uneven"]})
        work = uneven.goes_on_below_a_patient_library(again)
        assert asyncio.run(cancelled(work)) == "caught"
        trace = made.trace()
    assert [branch.kind for branch in trace.branches][:1] == ["root"]
    last = next(node for node in named(trace, "leaf") if node.args["value"] == "caught")
    assert (last.parent, last.branch) == (trace.roots[0].id, 0)
    assert all(
        trace.branches[node.branch].kind == "callback" for node in named(trace, "leaf") if node is not last
    )
    assert bool([node for node in named(trace, "leaf") if node is not last]) == again
    assert trace.roots[0].waiting_ns > 5e6  # of 20 ms


def test_a_task_that_never_ran_is_no_parent_and_an_await_no_exception() -> None:
    with bench() as made:
        made.arm("targets.uneven:spawns_after_waste")
        asyncio.run(uneven.spawns_after_waste())
        trace = made.trace()
    ran = {node.args["number"]: node for node in named(trace, "child") if not node.raised}
    by_id = {node.id: node for node in trace.nodes()}
    assert [by_id[ran[number].parent].args.get("number") for number in range(3)] == [0, 1, 2]  # type: ignore[index]
    assert not any(node.raised for node in named(trace, "wastes"))


def test_a_dead_generators_address_does_not_pull_another_into_the_trace() -> None:
    with bench() as made:
        made.arm("targets.uneven:numbers")
        first = uneven.numbers("traced")
        next(first)
        del first
        for _ in range(20):
            other = uneven.numbers("other")
            next(other)
            list(other)
        made.tracing.expire(2**62)
        trace = made.trace()
    assert {str(value) for node in trace.nodes() for value in node.args.values()} == {"traced"}


def test_yields_count_towards_the_bytes_of_a_trace() -> None:
    with bench() as made:
        made.arm("targets.uneven:many", limits={"max_bytes": 1 << 17})
        assert uneven.many(50_000) == 50_000
        assert made.tracing.held_bytes < 2 << 17
        trace = made.trace()
    assert (trace.status, trace.reason) == ("tripped", "max_bytes")


@pytest.mark.skipif(
    sys.version_info < (3, 12), reason="the trace hook makes a copy of the locals in any case"
)
def test_what_a_function_deletes_is_gone() -> None:
    with bench() as made:
        made.arm("targets.uneven:drops")
        gone = uneven.drops(uneven.Thing())  # not inside the assertion: pytest keeps what that is made of
        assert len(made.traces()) == 1
    assert gone


def test_a_trigger_that_is_late_for_the_release_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    inside, go = threading.Event(), threading.Event()
    real = trigger.Capturer

    def slow(*args: Any, **kwargs: Any) -> Any:
        inside.set()
        go.wait(10)
        return real(*args, **kwargs)

    with bench() as made:
        made.arm("targets.uneven:leaf")
        monkeypatch.setattr(trigger, "Capturer", slow)
        thread = threading.Thread(target=uneven.leaf, args=(1,))
        thread.start()
        assert inside.wait(10)
        monkeypatch.undo()
        assert made.tracing.release()["ok"]
        go.set()
        thread.join()
    with bench() as again:
        again.arm("targets.uneven:leaf")
        uneven.leaf(2)
        assert names(again.trace()) == ["leaf"]


def test_an_import_that_is_late_for_the_disarm_is_not_aimed_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "comes_too_late.py").write_text("def work(x):\n    return x\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    inside, go = threading.Event(), threading.Event()
    real = trigger.resolve

    def slow(*args: Any, **kwargs: Any) -> Any:
        found = real(*args, **kwargs)
        inside.set()
        go.wait(10)
        return found

    with bench() as made:
        probe = made.arm("comes_too_late:work")
        monkeypatch.setattr(trigger, "resolve", slow)
        thread = threading.Thread(target=importlib.import_module, args=("comes_too_late",))
        thread.start()
        assert inside.wait(10)
        made.tracing.disarm(probe)
        go.set()
        thread.join()
        module = sys.modules.pop("comes_too_late")
        assert module.work(1) == 1
        assert (probe.seen, module.work.__code__.co_consts) == (0, (None,))


def test_the_block_around_a_probe_goes_on_after_it() -> None:
    def drained() -> None:
        made.traces()

    with bench() as made:
        made.tracing.wake = drained  # the agent thread is that fast
        made.arm("targets.uneven:drops")
        with tracepatch.trace(cache=False, ignore_modules=("msgpack",)) as block:
            uneven.drops(uneven.Thing())
            uneven.leaf(2)
    assert [root.name for root in block.roots if "uneven" in root.module] == ["drops", "leaf"]


def test_a_block_that_ends_in_another_context_leaves_that_alone() -> None:
    def generator() -> Iterator[None]:
        with tracepatch.trace(cache=False):
            yield

    def elsewhere() -> None:
        items.close()  # type: ignore[attr-defined]
        seen.append(current.get())

    seen: list[Any] = []
    with tracepatch.trace(cache=False):
        items = generator()
        next(items)
        contextvars.Context().run(elsewhere)
    assert seen == [None]
    current.set(None)


def test_blocks_that_overlap_end_one_by_one() -> None:
    first, second = tracepatch.trace(cache=False), tracepatch.trace(cache=False)
    first.__enter__()
    second.__enter__()
    uneven.leaf(1)
    first.__exit__(None, None, None)
    uneven.leaf(2)
    second.__exit__(None, None, None)
    assert [node.name for node in second.roots if node.name == "leaf"] == ["leaf", "leaf"]
    assert current.get() is None


@pytest.mark.usefixtures("no_collector")
def test_a_deadline_set_from_another_thread_is_the_applications() -> None:
    def loops(until: float) -> None:
        # Not inside the `try`: 3.13.0 leaves a loop's jump out of the exception table, traced or not.
        while time.monotonic() < until:
            uneven.leaf(1)

    def spins() -> None:
        try:
            started.set()
            loops(time.monotonic() + 5)
            outcome.append("swallowed")
        except TimeoutError:
            outcome.append("timed out")

    outcome: list[str] = []
    started = threading.Event()
    holder: Any = uneven
    holder.spins = spins
    try:
        with bench() as made:
            for _ in range(5):
                probe = made.arm("targets.uneven:spins")
                thread = threading.Thread(target=holder.spins)
                thread.start()
                assert started.wait(10)
                started.clear()
                wait_for(lambda: made.tracing.live)
                ident = ctypes.c_ulong(thread.ident or 0)
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ident, ctypes.py_object(TimeoutError))
                thread.join()
                made.tracing.disarm(probe)
                made.tracing.expire(2**62)
                made.traces()
    finally:
        del holder.spins
    assert outcome == ["timed out"] * 5


def test_threads_that_come_first_together_share_one_core(monkeypatch: pytest.MonkeyPatch) -> None:
    from tracepatch import cores

    monkeypatch.setattr(cores, "_made", {})
    choose, both = cores._choose, threading.Barrier(2)

    def slow(forced: str) -> Any:
        both.wait(10)
        return choose(forced)

    monkeypatch.setattr(cores, "_choose", slow)
    found: list[Any] = []
    threads = [threading.Thread(target=lambda: found.append(core())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found[0] is found[1]


def test_a_block_leaves_frames_as_a_debugger_needs_them() -> None:
    with tracepatch.trace(cache=False):
        uneven.leaf(1)
    frame = sys._getframe()
    assert (frame.f_trace, frame.f_trace_lines) == (None, True)


def test_a_probe_inside_a_block_is_one_call_of_the_block() -> None:
    with bench() as made:
        made.arm("targets.uneven:leaf")
        with tracepatch.trace(cache=False) as block:
            uneven.leaf(1)
    assert [root.name for root in block.roots] == ["leaf"]


@pytest.mark.skipif(hasattr(sys, "monitoring"), reason="the trace hook is used before 3.12 only")
def test_a_cell_that_another_thread_writes_keeps_what_was_written() -> None:
    """bpo-30744: around a hook the interpreter copies cells out and back in."""
    rounds = 15_000

    def run() -> int:
        total = 0
        guard = threading.Lock()

        def add_one(number: int) -> None:
            nonlocal total
            with guard:
                total += 1

        def traced_adds(count: int) -> None:
            for number in range(count):
                add_one(number)

        def adds() -> None:
            nonlocal total
            for _ in range(rounds):
                with guard:
                    total += 1

        other = threading.Thread(target=adds)
        other.start()
        uneven.apply(traced_adds, rounds)
        other.join()
        return total

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with bench() as made:
            made.arm("targets.uneven:apply", limits={"max_calls": 500_000, "max_bytes": 64 << 20})
            assert run() == 2 * rounds
            assert len(made.traces()) == 1
    finally:
        sys.setswitchinterval(interval)


def test_a_trace_that_ended_leaves_no_hook_for_the_bystanders_of_the_next() -> None:
    """Its handle's end was not seen, and from then on the hook stayed on that thread while anything was traced."""

    async def bystand() -> list[object]:
        seen = []
        for _ in range(3):
            started, leave = asyncio.Event(), asyncio.Event()
            task = asyncio.create_task(uneven.waits_for(started, leave))
            await started.wait()
            await asyncio.sleep(0)
            seen.append(sys.gettrace())
            leave.set()
            await task
        return seen

    before = sys.gettrace()  # coverage may be there, then the probe refuses the tasks
    for _ in range(2):
        with bench() as made:
            made.arm("targets.uneven:waits_for", count=3)
            assert asyncio.run(bystand()) == [before] * 3
            assert len(made.traces()) == 3


def test_a_generator_is_followed_to_its_end_inside_a_task_of_asyncio() -> None:
    """No handle of the loop tells when it goes on: it runs in those of whoever takes from it."""

    async def takes() -> int:
        taken = 0
        for _ in uneven.numbers("traced"):
            await asyncio.sleep(0)
            taken += 1
        async for _ in uneven.ticks():
            taken += 1
        return taken

    with bench() as made:
        made.arm("targets.uneven:numbers")
        made.arm("targets.uneven:ticks")
        assert asyncio.run(takes()) == 6
        numbers, ticks = made.traces()
    assert names(numbers) == ["numbers", "leaf", "leaf", "leaf"]
    assert names(ticks) == ["ticks", "leaf", "leaf", "leaf"]
    assert (numbers.status, ticks.status) == ("complete", "complete")


def test_a_generator_that_began_unseen_is_not_the_dead_one_of_its_address() -> None:
    others: list[Iterator[int]] = []

    def elsewhere(address: int) -> None:
        """Close the one that is traced, and begin another, where no hook is."""
        dead = holder.pop()
        dead.close()  # type: ignore[attr-defined]
        del dead
        while not others or frame_id(others[-1].gi_frame) != address:  # type: ignore[attr-defined]
            others.append(uneven.numbers("other"))
            next(others[-1])

    with bench() as made:
        made.arm("targets.uneven:numbers")
        holder = [uneven.numbers("traced")]
        next(holder[0])
        address = frame_id(holder[0].gi_frame)  # type: ignore[attr-defined]
        thread = threading.Thread(target=lambda: elsewhere(address))
        thread.start()
        thread.join(10)
        assert list(others[-1]) == [1, 2]
        made.tracing.expire(2**62)
        trace = made.trace()
    assert {str(value) for node in trace.nodes() for value in node.args.values()} == {"traced"}


def test_a_generator_of_another_trace_is_not_the_dead_one_of_its_address() -> None:
    """3.13.0 says nothing when a suspended generator is closed."""
    with bench() as made:
        made.arm("targets.uneven:numbers")
        made.arm("targets.uneven:takes_in_place_of")
        holder: list[Any] = [uneven.numbers("traced")]
        next(holder[0])
        assert uneven.takes_in_place_of(holder) == [1, 2]
        made.tracing.expire(2**62)
        traces = {trace.roots[0].function: trace for trace in made.traces()}
    assert names(traces["numbers"]) == ["numbers", "leaf"]


def test_what_takes_from_a_traced_generator_is_recorded_on_after_its_yields() -> None:
    with bench() as made:
        made.arm("targets.kinds:generator")
        items = kinds.generator(3)
        next(items)
        made.arm("targets.uneven:takes")
        assert uneven.takes(items) == [1, 2]
        generator, taker = made.traces()
    assert names(generator) == ["generator", "leaf", "leaf", "leaf"]
    assert names(taker) == ["takes", "leaf", "leaf", "leaf", "leaf"]
    assert current.get() is None


def test_a_generator_whose_delegate_takes_what_is_thrown_goes_on_itself() -> None:
    """3.11 does not tell that it does."""
    with bench() as made:
        made.arm("targets.uneven:throws_through_a_delegate")
        uneven.throws_through_a_delegate()
        trace = made.trace()
    inside = ["answers_inside", ["leaf"]]
    assert outline(trace) == [
        ["throws_through_a_delegate", ["delegates", inside, ["leaf"], ["leaf"]], ["leaf"]]
    ]


def test_a_runner_that_leaves_its_thread_just_now_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """The agent's thread looks while the application's has taken the last node off."""
    monkeypatch.delitem(sys.modules, "greenlet", raising=False)
    leaving: Any = SimpleNamespace(current={1: SimpleNamespace(stack=[])})
    assert not core().lost(leaving)


def test_a_generator_that_a_bystander_began_is_not_the_dead_one_of_its_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One that yields while it is closed, and that nobody has any more, ends unseen."""
    monkeypatch.setattr(sys, "unraisablehook", str)  # "generator ignored GeneratorExit"
    others: list[Iterator[int]] = []

    def begin(address: int) -> Iterator[int]:
        for _ in range(1000):
            others.append(uneven.refuses_to_be_closed())
            next(others[-1])
            if frame_id(others[-1].gi_frame) == address:  # type: ignore[attr-defined]
                return others[-1]
        pytest.skip("something else got the address")

    with bench() as made:
        made.arm("targets.uneven:takes_from_a_stranger", scope={"only": ["targets.uneven"]})
        assert uneven.takes_from_a_stranger(begin) == [2]
        trace = made.trace()
    (dead,) = named(trace, "refuses_to_be_closed")
    assert dead.state in ("open", "lost")
    leaves = {node.args["value"]: node.parent for node in named(trace, "leaf")}
    assert leaves == {"first": dead.id, "last": trace.roots[0].id}


def test_a_bug_while_a_trace_is_packed_loses_nothing_and_the_trace_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with bench() as made:
        made.arm("targets.uneven:leaf", count=3)
        for number in range(3):
            uneven.leaf(number)
        first, packed = next(iter(made.tracing.recordings)), live.Live.pieces

        def breaks(self: live.Live, *args: Any, **options: Any) -> Any:
            found = packed(self, *args, **options)
            if self.recording is first:
                return found
            raise ZeroDivisionError

        monkeypatch.setattr(live.Live, "pieces", breaks)
        with pytest.raises(ZeroDivisionError):
            made.traces()
        monkeypatch.undo()
        traces = made.traces()
    states = [(trace.status, trace.reason, len(list(trace.nodes()))) for trace in traces]
    assert sorted(states) == [("complete", None, 1), ("complete", None, 1), ("tripped", "internal", 0)]
