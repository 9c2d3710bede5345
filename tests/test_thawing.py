"""Captured values as conditions read them."""

from __future__ import annotations

import datetime
import decimal
from typing import Any, NamedTuple

import pytest

from tracepatch.capture import Capturer
from tracepatch.conditions import Condition, ConditionFailed
from tracepatch.redaction import Redactor
from tracepatch.thawing import thawed
from tracepatch_shared.limits import Capture


class User:
    def __init__(self, name: str, tags: set[str]) -> None:
        self.name = name
        self.tags = tags
        self.token = "s3cr3t-t0k3n"


class Pair(NamedTuple):
    left: int
    right: int


class Text(str):
    pass


def holds(condition: str, value: Any) -> bool:
    plain = Capturer(Capture(), Redactor()).value(value)
    return Condition(condition, "keep").holds({"returned": thawed(plain)})


@pytest.mark.parametrize(
    ("condition", "value"),
    [
        ("returned == 5", 5),
        ("returned is None", None),
        ('returned == "x"', "x"),
        ('returned == "x"', Text("x")),
        ("returned == [1, 2]", [1, 2]),
        ("returned == (1, 2)", (1, 2)),
        ("returned.right == 2", Pair(1, 2)),
        ("2 in returned", {1, 2}),
        ('returned["a"]["b"] == 1', {"a": {"b": 1}}),
        ("returned[5] == 6", {5: 6}),
        ('returned.name == "ann" and "vip" in returned.tags', User("ann", {"vip"})),
        ("returned > 1.5", decimal.Decimal("1.75")),
        ('startswith(returned, "2026-01")', datetime.date(2026, 1, 31)),
        ("returned > 1", float("inf")),
        ("returned is not None", User),
        ("len(returned) == 3", [1, 2, 3]),
    ],
)
def test_what_was_captured_whole_is_read_as_it_was(condition: str, value: Any) -> None:
    assert holds(condition, value)


@pytest.mark.parametrize(
    ("condition", "value", "reason"),
    [
        ('returned == "y"', "x" * 500, "was cut"),
        ("len(returned) > 1", list(range(100)), "was cut"),
        ("1 in returned", set(range(100)), "was cut"),
        ("returned > 1", 1 << 100, "was cut"),
        ('returned.name == "x"', User, "only by its type"),
        ('returned.nothing == "x"', User("x", set()), "no attribute nothing"),
        ("returned == 1", User("x", set()), "not compared"),
    ],
)
def test_what_was_not_fails_and_says_why(condition: str, value: Any, reason: str) -> None:
    with pytest.raises(ConditionFailed, match=reason):
        holds(condition, value)


def test_a_secret_is_not_read() -> None:
    user = thawed(Capturer(Capture(), Redactor()).value(User("ann", set())))
    with pytest.raises(ConditionFailed, match="a redacted value"):
        Condition("len(returned) > 3", "keep").holds({"returned": vars(user)["token"]})
