"""What the command line makes of `--keep`, `--slower-than`, `--errors`, and what it advises where nothing was kept."""

from __future__ import annotations

from typing import Any

import pytest

from tracepatch_ctl.choice import Tally, advice, joined, literal, requested, tally
from tracepatch_ctl.reports import Counters, Missed, Nearest
from tracepatch_ctl.view.chosen import left_out, passed_over
from tracepatch_shared.conditions import parse
from tracepatch_shared.errors import ConditionError, UsageError
from tracepatch_shared.thresholds import Threshold, least_s, measures, parts, thresholds

SLOW = Nearest(measure="duration", least=True, value=0.48)


@pytest.mark.parametrize(
    ("conditions", "slower_than", "errors", "expected"),
    [
        ((), None, False, None),
        ((), 0.5, False, "duration > 500ms"),
        ((), None, True, "error"),
        (("calls > 3 or error",), None, False, "calls > 3 or error"),
        (("calls > 3 or error", "total > 1s"), None, False, "(calls > 3 or error) and (total > 1s)"),
        (("calls > 3 or error",), 90.0, True, "duration > 90s and error and (calls > 3 or error)"),
    ],
)
def test_conditions_are_joined(
    conditions: tuple[str, ...], slower_than: float | None, errors: bool, expected: str | None
) -> None:
    found = joined(conditions, slower_than, errors)
    assert found == expected
    if found is not None:
        parse(found, kind="keep")


def test_what_is_wrong_is_shown_in_what_was_typed() -> None:
    with pytest.raises(ConditionError, match="duraton is no measure") as caught:
        joined(["error", "duraton > 5s"], 1.0, False)
    assert "\n    duraton > 5s\n    ^^^^^^^" in str(caught.value)


@pytest.mark.parametrize(
    "seconds", [0.5, 5.0, 90.0, 3600.0, 0.25, 0.0015, 2e-5, 1e-6, 1 / 3, 86_400.0, 123.456]
)
def test_a_duration_is_written_so_that_it_is_read_again(seconds: float) -> None:
    (threshold,) = thresholds(parse(f"duration > {literal(seconds)}", kind="keep"))
    assert threshold.value == pytest.approx(seconds, rel=1e-5)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("duration > 500ms", [Threshold("duration", True, 0.5)]),
        ("2s <= total", [Threshold("total", True, 2.0)]),
        ("1s < duration < 2s", [Threshold("duration", True, 1.0), Threshold("duration", False, 2.0)]),
        (
            "error and (duration > 1s and calls >= 3)",
            [Threshold("duration", True, 1.0), Threshold("calls", True, 3.0)],
        ),
        ("error or duration > 1s", []),
        ("not duration > 1s", []),
        ("duration == 1s", []),
        ("arg.seconds > 5", []),
    ],
)
def test_thresholds(text: str, expected: list[Threshold]) -> None:
    assert thresholds(parse(text, kind="keep")) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("duration > 500ms", ["duration > 500ms"]),
        ("duration > 500ms and error", ["duration > 500ms", "error"]),
        ("duration > 1s and error and (calls > 3 or not error)", ["duration > 1s", "error", "(calls > 3 or not error)"]),
        ("((duration > 1s and (calls > 3 and error)))", ["duration > 1s", "calls > 3", "error"]),
        ("(error) and (calls > 3)", ["(error)", "(calls > 3)"]),
        ("error or calls > 3 and running > 1s", ["error or calls > 3 and running > 1s"]),
        ("arg.text == ' and ' and returned[0] in ('(', 'and')", ["arg.text == ' and '", "returned[0] in ('(', 'and')"]),
        ("not (error and calls > 1)", ["not (error and calls > 1)"]),
    ],
)  # fmt: skip
def test_the_parts_that_must_all_hold(text: str, expected: list[str]) -> None:
    found = parts(parse(text, kind="keep"))
    assert [part.text for part in found] == expected
    parse(" and ".join(expected), kind="keep")


def test_how_long_a_task_has_to_take() -> None:
    assert least_s(parse("waiting > 3s and running > 1s and calls > 50", kind="keep")) == 3.0
    assert least_s(parse("duration < 3s", kind="keep")) == 0.0


def test_what_is_looked_at() -> None:
    assert measures(parse('error and raised("a:*") and len(arg.items) > 2', kind="keep")) == {
        "error",
        "raised",
        "arg",
        "len",
    }


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a trace id": ({"traceparent": "4bf9"}, "32 hex digits"),
    "live and a call": ({"having": ["a:b"], "live": True}, "--live"),
    "too many calls": ({"having": ["a:b"] * 9}, "9 --having are more than the 8"),
    "a call of a request": ({"having": ["http:/a"]}, "a call is of a function"),
    "live": ({"keep": "error", "live": True}, "--live"),
    "no arguments": ({"keep": "arg.user == 1", "args": False}, "--no-args"),
    "no results": ({"keep": "returned == 1", "args": False}, "--no-args"),
    "impossible": ({"keep": "duration > 2m", "ttl_s": 60.0}, "raise it"),
    "sample": ({"sample": 0}, "1/1"),
    "rate": ({"rate": 5000.0}, "1000/s"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_meant(case: str) -> None:
    options, text = REFUSED[case]
    with pytest.raises(UsageError, match=text):
        requested(
            **{
                "keep": None,
                "sample": None,
                "rate": None,
                "live": False,
                "args": True,
                "ttl_s": None,
                **options,
            }
        )


def test_the_time_to_live_makes_room_for_the_duration_asked_for() -> None:
    def ttl(keep: str | None, ttl_s: float | None = None) -> float | None:
        return requested(keep=keep, sample=None, rate=None, live=False, args=True, ttl_s=ttl_s)[1]

    assert ttl(None) is None
    assert ttl("duration > 2m") is None
    assert ttl("duration > 10m") == 1200.0
    assert ttl("duration > 10m", 700.0) == 700.0


def counters(**fields: Any) -> Counters:
    names = (
        "count",
        "seen",
        "passed_over",
        "kept",
        "live",
        "finished",
        "held_bytes",
        "matched_total",
        "errors",
    )
    return Counters(
        probe_id="aaaaaaaa", targets=(), operator="", tag=None, detached=False, armed_at=0.0, expires_in_s=0.0,
        **{**dict.fromkeys(names, 0), **fields},
    )  # fmt: skip


def test_agents_are_added_up_and_the_nearest_miss_is_the_nearest_of_all() -> None:
    slower = Nearest(measure="duration", least=True, value=0.49)
    total = tally(
        [counters(not_kept=3, nearest=SLOW), None, counters(not_kept=4, sampled_out=2, nearest=slower)]
    )
    assert total == Tally(not_kept=7, sampled_out=2, nearest=slower)
    one = Missed(part="duration > 1s", count=2, nearest=SLOW)
    two = Missed(part="duration > 1s", count=3, nearest=slower)
    added = tally([counters(missed=(one, Missed(part="error", count=1))), counters(missed=(two,))]).missed
    assert added == (Missed(part="duration > 1s", count=5, nearest=slower), Missed(part="error", count=1))
    small, large = (Nearest(measure="calls", least=False, value=value) for value in (3.0, 9.0))
    assert tally([counters(nearest=large), counters(nearest=small)]).nearest == small


def test_what_is_said_of_them() -> None:
    counts = Tally(
        not_kept=769,
        sampled_out=5,
        rate_limited=2,
        keep_errors=1,
        keep_error="None has no order",
        nearest=SLOW,
    )
    assert ", ".join([passed_over(40, wanting=True), *left_out(counts)]) == (
        "40 passed over (--concurrent), 5 sampled out (--sample), 2 over the rate (--rate), "
        "769 not kept: slowest 480 ms, --keep failed on 1: None has no order"
    )
    both = (
        Missed(part="duration > 500ms", count=4, nearest=SLOW),
        Missed(part="error", count=3),
        Missed(part="calls > 1", count=0),
    )
    assert list(left_out(Tally(not_kept=9, nearest=SLOW, missed=both))) == [
        "9 not kept: 4 only for duration > 500ms (slowest 480 ms), 3 only for error"
    ]
    assert list(left_out(Tally(not_kept=9, nearest=SLOW, missed=both[2:]))) == ["9 not kept: slowest 480 ms"]
    assert list(left_out(Tally(other_traces=7))) == ["7 of other traces (--traceparent)"]
    missed = Tally(not_kept=9, having_missed=7, having_errors=3, having_error="None has no order")
    assert ", ".join(left_out(missed)) == (
        "9 not kept, 7 of these without the call of --having, --having failed on 3 calls: None has no order"
    )
    assert passed_over(0, wanting=True) == "0 passed over"
    assert passed_over(3, wanting=False) == "3 passed over"
    fast = Nearest(measure="duration", least=False, value=3.21)
    many = Nearest(measure="calls", least=True, value=812.0)
    assert [next(left_out(Tally(not_kept=1, nearest=one))) for one in (fast, many)] == [
        "1 not kept: fastest 3.2 s",
        "1 not kept: highest calls 812",
    ]


@pytest.mark.parametrize(
    ("probe", "counts", "passed", "expected"),
    [
        ({"keep": "duration > 500ms"}, Tally(not_kept=9, nearest=SLOW), 3, "--slower-than 400ms"),
        ({"keep": "duration > 500ms"}, Tally(not_kept=9, nearest=SLOW), 30, "--concurrent 16"),
        (
            {"keep": "duration > 500ms", "limits": {"concurrent": 16}},
            Tally(not_kept=9, nearest=SLOW),
            30,
            "--slower-than 400ms",
        ),
        ({"keep": "duration > 500ms", "limits": {"concurrent": 2}}, Tally(), 30, "--concurrent 4"),
        ({"keep": "calls < 5"}, Tally(not_kept=9, nearest=Nearest(measure="calls", least=False, value=7.0)), 0, "--keep 'calls < 8'"),
        ({"keep": "waiting > 1s"}, Tally(not_kept=9, nearest=Nearest(measure="waiting", least=True, value=0.4)), 0, "--keep 'waiting > 300ms'"),
        ({"keep": "error"}, Tally(not_kept=9), 3, "--ttl"),
        ({"keep": "error", "sample": 100}, Tally(not_kept=9, sampled_out=900), 3, "--sample 1/10"),
        ({"rate": 0.5}, Tally(rate_limited=900), 3, "--rate 5/s"),
        ({"keep": "len(returned) > 1"}, Tally(not_kept=9, keep_errors=9), 0, None),
        ({"keep": "error and duration > 500ms"}, Tally(not_kept=9, nearest=SLOW), 0, None),
        ({"keep": "error and duration > 500ms"}, Tally(not_kept=9, nearest=SLOW, missed=(Missed(part="error", count=2), Missed(part="duration > 500ms", count=5, nearest=SLOW))), 0, "--keep 'error and duration > 400ms'"),
        ({"keep": "error and duration > 500ms"}, Tally(not_kept=9, nearest=SLOW, missed=(Missed(part="error", count=6), Missed(part="duration > 500ms", count=5, nearest=SLOW))), 0, "--keep 'duration > 500ms'"),
        ({"keep": "error and duration > 500ms"}, Tally(not_kept=9, nearest=SLOW, missed=(Missed(part="error", count=0), Missed(part="duration > 500ms", count=0))), 0, "--ttl"),
        ({"having": ["a.b:c(x == 1)"]}, Tally(not_kept=9, having_missed=9), 3, "--having 'a.b:c'"),
        ({"having": ["a.b:c(x == 1)"]}, Tally(not_kept=9, having_missed=9, having_errors=2), 0, None),
        ({"having": ["a.b:c"]}, Tally(not_kept=9, having_missed=9), 0, "--ttl"),
        ({"having": ["a.b:c"]}, Tally(not_kept=9, having_missed=9), 20, "--concurrent 16"),
        ({"having": ["a.b:c"], "keep": "duration > 500ms"}, Tally(not_kept=9, having_missed=2, nearest=SLOW), 0, "--slower-than 400ms"),
        ({}, Tally(), 0, None),
    ],
)  # fmt: skip
def test_the_one_option_to_try_next(
    probe: dict[str, Any], counts: Tally, passed: int, expected: str | None
) -> None:
    assert advice(probe, counts, passed) == expected
    if expected and expected.startswith("--keep"):
        parse(expected.removeprefix("--keep ").strip("'"), kind="keep")
