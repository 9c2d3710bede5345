"""Which candidates are kept, and that nothing stays of the others."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import threading
import time
from typing import Any

import pytest

from targets import kept
from tracepatch.containment import report
from tracepatch.keeping import POSTPONED_BYTES, UNDECIDED
from tracepatch.recording import Recording, current
from tracepatch.response import Response
from tracepatch_shared.errors import ConditionError, MessageError, NoRoom, Refused, UsageError
from tracepatch_shared.summary import reason_text
from tracing_helpers import Bench, bench, names, outline


def ran(made: Bench, *calls: Any) -> list[Any]:
    """Make the calls and return what the roots of the kept traces returned or raised."""
    for call in calls:
        try:
            call()
        except (ValueError, LookupError):
            pass
    return [root.returned if root.raised is None else root.raised["type"] for root in roots(made)]


def recordings() -> int:
    """Return how many recordings there are, without the collector's help."""
    return sum(issubclass(type(item), Recording) for item in gc.get_objects())


def roots(made: Bench) -> list[Any]:
    return [trace.roots[0] for trace in made.traces()]


def test_a_slow_task_is_kept_and_a_quick_one_dropped() -> None:
    with bench() as made:
        probe = made.arm("targets.kept:work", count=2, keep="duration > 250ms")
        assert ran(
            made, lambda: kept.work("quick"), lambda: kept.work("slow", 0.3), lambda: kept.work("quick")
        ) == ["slow"]
        assert (probe.seen, probe.kept, len(probe.permits), len(probe.slots)) == (3, 1, 1, 8)
        counters = probe.counters(0.0, held=0, held_bytes=0)
    assert (counters["not_kept"], counters["keep_errors"]) == (2, 0)
    assert counters["nearest"]["measure"] == "duration"
    assert 0 < counters["nearest"]["value"] < 0.25


def test_the_tree_of_a_kept_trace_is_whole() -> None:
    with bench() as made:
        made.arm("targets.kept:work", keep="duration >= 0s")
        kept.work("x")
        trace = made.trace()
    assert outline(trace) == [["work", ["leaf"]]]
    assert trace.roots[0].args["what"] == "x"
    assert trace.roots[0].children[0].returned == "x"


CASES = {
    "error": ["ValueError", "LookupError"],
    "not error": ["a", "bb", "caught"],
    'returned == "bb"': ["bb"],
    'arg.what == "fail"': ["ValueError"],
    "calls > 2": ["caught"],
    'raised("*:ValueError")': ["ValueError", "caught"],
    'raised("ValueError")': ["ValueError", "caught"],
    'raised("builtins:*")': ["ValueError", "LookupError", "caught"],
    'raised("Exception")': ["ValueError", "LookupError", "caught"],
    'raised("targets.kept:Missing")': ["LookupError"],
    'raised("Missing")': ["LookupError"],
    'raised("LookupError")': ["LookupError"],
    'raised("app.errors:*")': [],
    "http_status is None": ["a", "bb", "ValueError", "LookupError", "caught"],
    "error and duration > 1s": [],
    'error or returned == "a"': ["a", "ValueError", "LookupError"],
}


@pytest.mark.parametrize("condition", CASES)
def test_what_can_be_asked(condition: str) -> None:
    with bench() as made:
        made.arm("targets.kept:work", count=9, keep=condition)
        found = ran(
            made,
            lambda: kept.work("a"),
            lambda: kept.work("bb"),
            lambda: kept.work("fail"),
            lambda: kept.work("missing"),
            lambda: kept.work("caught"),
        )
    assert [name.rpartition(".")[2].replace("Missing", "LookupError") for name in found] == CASES[condition]


@pytest.mark.parametrize(
    "condition",
    ['raised("targets.kept:Missing")', 'raised("*:LookupError")', 'raised("Exception") and not error'],
)
def test_an_exception_is_found_deep_down_and_in_branches_and_by_its_base_classes(condition: str) -> None:
    with bench() as made:
        made.arm("targets.kept:branches", "targets.kept:deep", count=9, keep=condition)
        kept.deep(30)
        for what in ("none", "task", "thread"):
            asyncio.run(kept.branches(what))
        assert [root.args.get("what", "deep") for root in roots(made)] == ["deep", "task", "thread"]


def test_an_exception_of_a_class_without_a_module_is_told_by_its_name() -> None:
    made_by: dict[str, Any] = {}
    exec("Nameless = type('Nameless', (ValueError,), {})", made_by)  # in no module: there is no __name__
    with bench() as made:
        made.arm("targets.kept:refuse_with", count=2, keep='raised("?:Nameless") or raised("ValueError")')
        with pytest.raises(ValueError, match="no"):
            kept.refuse_with(made_by["Nameless"]("no"))
        assert made.trace().roots[0].raised == {"type": "?.Nameless", "message": "no"}
    assert report() is None


def test_waiting_and_running_are_told_apart() -> None:
    with bench() as made:
        probe = made.arm("targets.kept:serve", count=9, keep="waiting > 200ms and running < 200ms")
        asyncio.run(kept.serve("waits", 0.25))
        asyncio.run(kept.serve("runs", 0, busy=0.25))
        assert [root.returned for root in roots(made)] == ["waits"]
        assert probe.counters(0.0, held=0, held_bytes=0)["nearest"]["measure"] == "waiting"


def test_of_several_conditions_it_is_told_which_alone_kept_a_trace_out() -> None:
    with bench() as made:
        probe = made.arm("targets.kept:work", count=9, keep="calls > 2 and (error and arg.what != 'fail')")
        for what in ("a", "fail", "missing", "caught", "missing"):
            with contextlib.suppress(ValueError, LookupError):
                kept.work(what)
        assert made.traces() == []
        missed = probe.counters(0.0, held=0, held_bytes=0)["missed"]
    # `missing` fails after one call alone; `a` misses two of the three, and so does `fail`; `caught` does not fail.
    assert missed == [
        {"part": "calls > 2", "count": 2, "nearest": {"measure": "calls", "least": True, "value": 1.0}},
        {"part": "error", "count": 1, "nearest": None},
        {"part": "arg.what != 'fail'", "count": 0, "nearest": None},
    ]


def test_what_fails_on_a_value_has_not_held() -> None:
    with bench() as made:
        probe = made.arm("targets.kept:work", count=9, keep="returned > 5 and not error and calls > 1")
        kept.work("a")
        assert made.traces() == []
        counters = probe.counters(0.0, held=0, held_bytes=0)
    assert [one["count"] for one in counters["missed"]] == [1, 0, 0]
    assert counters["keep_errors"] == 1


def test_count_is_of_kept_traces_and_any_number_may_record_meanwhile() -> None:
    async def main() -> None:
        await asyncio.gather(*(kept.serve(str(number), 0.001) for number in range(12)))

    with bench() as made:
        probe = made.arm("targets.kept:serve", keep='returned in ("6", "7")')
        asyncio.run(main())
        assert [root.returned for root in roots(made)] == ["6"]
        assert (probe.passed_over, len(probe.slots), len(probe.permits)) == (4, 8, 0)
        kept.work("more")
        asyncio.run(kept.serve("6", 0))
        assert len(made.traces()) == 1
        assert probe.passed_over == 5


def test_a_limit_does_not_falsify_the_decision() -> None:
    with bench() as made:
        made.arm("targets.kept:many", count=9, keep="duration > 200ms", limits={"max_calls": 3})
        kept.many(10)
        kept.many(10, 0.25)
        trace = made.trace()
    assert (trace.status, trace.reason) == ("tripped", "max_calls")
    assert names(trace) == ["many", "leaf", "leaf"]
    assert not trace.roots[0].open
    assert trace.duration_ns > 200e6


def test_when_the_recording_time_is_up_it_is_decided_as_it_stands() -> None:
    with bench() as made:
        probe = made.arm("targets.kept:blocked", count=9, keep="duration > 10ms and not error")
        inside, release = threading.Event(), threading.Event()
        thread = threading.Thread(target=kept.blocked, args=(inside, release))
        thread.start()
        assert inside.wait(10)
        time.sleep(0.011)  # the duration itself, not a wait for something
        made.tracing.expire(2**62)
        trace = made.trace()
        release.set()
        thread.join()
        assert (trace.status, trace.reason) == ("tripped", "max_duration_s")
        assert trace.roots[0].open
        assert (probe.kept, len(probe.slots)) == (1, 8)


@pytest.mark.parametrize(
    ("condition", "response", "came"),
    [
        ("http_status == 404 and not error", {"status": 404}, 1),
        ("error", {"status": 404}, 0),
        ("error", {"status": 503}, 1),
        ("duration < total", {"status": 200, "ended_ns": 1}, 1),
        ("duration < total", {"status": 200, "ended_ns": 0}, 0),
        ("http_status is None", None, 1),
    ],
)
def test_a_request_is_judged_by_its_response(
    condition: str, response: dict[str, Any] | None, came: int
) -> None:
    with bench() as made:
        made.arm("targets.kept:blocked", keep=condition)
        inside, release = threading.Event(), threading.Event()
        thread = threading.Thread(target=kept.blocked, args=(inside, release))
        thread.start()
        assert inside.wait(10)
        (recording,) = made.tracing.recordings
        if response is not None:
            recording.response = Response()
            recording.response.begins(response["status"])
            if response.get("ended_ns"):
                recording.response.ends()
        release.set()
        thread.join()
        assert len(made.traces()) == came


@pytest.mark.parametrize(("permits", "came"), [(1, 1), (0, 0)])
def test_when_the_probe_ends_those_that_run_are_decided_as_they_stand(permits: int, came: int) -> None:
    with bench() as made:
        probe = made.arm("targets.kept:blocked", keep="duration > 0s")
        inside, release = threading.Event(), threading.Event()
        thread = threading.Thread(target=kept.blocked, args=(inside, release))
        thread.start()
        assert inside.wait(10)
        if not permits:
            probe.permits.clear()
        made.tracing.trip(probe, "ttl")
        assert len(made.traces()) == came
        release.set()
        thread.join()
        assert len(made.traces()) == came
        assert made.tracing.held_bytes == 0


def test_a_condition_that_fails_on_a_value_is_counted_with_a_sample() -> None:
    with bench() as made:
        probe = made.arm("targets.kept:work", count=9, keep="len(returned) > 1")
        assert ran(made, lambda: kept.work("a"), lambda: kept.work("fail"), lambda: kept.work("bb")) == ["bb"]
        counters = probe.counters(0.0, held=0, held_bytes=0)
    assert (counters["not_kept"], counters["keep_errors"]) == (2, 1)
    assert counters["keep_error"]


def test_events_wait_unpacked_until_the_end_and_are_bounded() -> None:
    with bench() as made:
        probe = made.arm(
            "targets.kept:steps", count=9, keep='returned == "keep"', limits={"max_calls": 200_000}
        )
        steps = kept.steps("drop")
        next(steps)
        assert made.tracing.drain() == []
        (recording,) = made.tracing.recordings
        waiting = len(recording.events)
        assert waiting > 0
        assert recording.packed_bytes == 0
        steps.send(90_000)
        assert made.tracing.drain() == []
        while recording.held_bytes > POSTPONED_BYTES:
            assert made.tracing.drain() == []
        assert 0 < recording.packed_bytes <= made.tracing.held_bytes
        list(steps)
        assert made.tracing.drain() == []
        assert (made.tracing.held_bytes, len(made.tracing.recordings), len(probe.slots)) == (0, 0, 8)
        steps = kept.steps("keep")
        next(steps)
        made.tracing.drain()
        steps.send(10_000)
        made.tracing.drain()
        list(steps)
        trace = made.trace()
    assert len(names(trace)) == 10_002
    assert [trace.roots[0].args["what"], trace.roots[0].returned] == ["keep", "keep"]


def test_the_trace_that_takes_most_stops_growing_where_all_take_half_of_the_room() -> None:
    with bench() as made:
        made.arm(
            "targets.kept:steps",
            count=9,
            keep="duration > 0s",
            limits={"max_calls": 100_000, "total_bytes": 1 << 16},
        )
        small, large = kept.steps("small"), kept.steps("large")
        for steps in (small, large):
            next(steps)
        large.send(5_000)
        made.traces()
        small.send(10)
        large.send(10)
        list(small), list(large)
        first, second = made.traces()
    assert (first.status, first.calls) == ("complete", 12)
    assert (second.status, second.reason) == ("tripped", "total_bytes")
    assert "--concurrent" in reason_text(second)


def test_a_crowd_that_is_not_decided_keeps_its_slots() -> None:
    with bench() as made:
        probe = made.arm("targets.kept:work", keep="duration > 1s")
        for _ in range(UNDECIDED + 20):
            kept.work("x")
        assert probe.passed_over > 0
        assert len(made.tracing.recordings) < UNDECIDED + 8
        assert made.traces() == []
        assert (len(probe.slots), len(made.tracing.recordings)) == (8, 0)
        kept.work("x")
        assert len(made.tracing.recordings) == 1


def test_nothing_is_left_of_ten_thousand_that_were_dropped(no_collector: None) -> None:
    before = recordings()
    with bench() as made:
        probe = made.arm("targets.kept:work", count=3, keep="duration > 1s")
        for number in range(10_000):
            kept.work("x")
            if number % 50 == 49:
                assert made.tracing.drain() == []
        counters = probe.counters(0.0, held=0, held_bytes=0)
        assert (counters["seen"], counters["not_kept"], counters["passed_over"]) == (10_000, 10_000, 0)
        assert (len(probe.slots), len(probe.permits)) == (8, 3)
        assert (made.tracing.held_bytes, len(made.tracing.recordings)) == (0, 0)
        assert recordings() <= before + 1  # the Context may keep the last one


def test_a_context_that_lives_on_holds_nothing_of_a_dropped_candidate() -> None:
    with bench() as made:
        made.arm("targets.kept:context", keep="duration > 1s")
        copied = kept.context()
        recording = copied[current]
        assert recording is not None
        assert recording.events
        assert made.traces() == []
        assert not recording.events
        assert (recording.root_node, recording.root, recording.on_end) == (None, None, None)


def test_sampling_comes_before_slots_and_permits() -> None:
    with bench() as made:
        probe = made.arm("targets.kept:work", count=900, sample=4)
        for _ in range(400):
            kept.work("x")
            made.tracing.drain()
        counters = probe.counters(0.0, held=0, held_bytes=0)
        assert counters["sampled_out"] + probe.kept == counters["seen"] == 400
        assert 40 < probe.kept < 180
        assert counters["passed_over"] == 0


def test_the_rate_bounds_what_begins() -> None:
    with bench() as made:
        probe = made.arm("targets.kept:work", count=900, rate=0.01)
        for _ in range(5):
            kept.work("x")
            made.tracing.drain()
        counters = probe.counters(0.0, held=0, held_bytes=0)
        assert (probe.kept, counters["rate_limited"], counters["passed_over"]) == (1, 4, 0)


REFUSED: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "malformed": ({"keep": "duration >"}, ConditionError, "operand"),
    "no text": ({"keep": 5}, MessageError, "keep"),
    "live": ({"keep": "error", "live": True}, UsageError, "--live"),
    "no values": ({"keep": "returned == 1", "args": False}, UsageError, "--no-args"),
    "no arguments": ({"keep": "arg.what == 1", "args": False}, UsageError, "--no-args"),
    "longer than the probe": ({"keep": "duration > 2m"}, NoRoom, "--ttl"),
    "longer than the ceiling": ({"keep": "error and duration > 2h", "ttl_s": 9000}, NoRoom, "1h00m"),
    "sample": ({"sample": 0}, MessageError, "sample"),
    "rate": ({"rate": 0}, MessageError, "rate"),
    "a secret": ({"keep": "arg.password == 1"}, Refused, "password is redacted"),
    "no such argument": ({"keep": "arg.wat == 1"}, ConditionError, "did you mean what"),
    "infinite": ({"rate": float("inf")}, MessageError, "rate"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_is_refused_by_name(case: str) -> None:
    options, error, text = REFUSED[case]
    with bench() as made, pytest.raises(error, match=text):
        made.arm("targets.kept:work", **options)


def test_a_limit_that_makes_the_condition_impossible_is_raised() -> None:
    with bench() as made:
        probe = made.arm("targets.kept:work", keep="duration > 5m and error", ttl_s=1000)
        assert probe.limits.max_duration_s == 375
        assert "5m00s" in probe.options.raised[0]
        other = made.arm("targets.kept:work", keep="duration > 5m or error", limits={"concurrent": 3})
        assert (other.limits.max_duration_s, other.limits.concurrent) == (60, 3)
        assert other.options.raised == ()
