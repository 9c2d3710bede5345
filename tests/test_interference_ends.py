"""Stacks that end and generators that nobody ends do so traced as untraced."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from typing import Any

import pytest

import tracepatch
from targets import ends
from tracing_helpers import bench

SHORTER = 12
"""Calls that recursion may end earlier while it is traced: callbacks stand on the same stack (docs/design.md)."""


def armed(name: str) -> Any:
    with bench() as made:
        made.arm(f"targets.ends:{name}", scope={"all": True}, limits={"max_depth": 10_000})
        result = getattr(ends, name)()
        for _ in range(2):
            made.tracing.expire()
        if (
            "greenlet" in sys.modules
        ):  # loaded by another test: then 3.10 and 3.11 wait for the recording time
            made.tracing.expire(2**62)
        assert len(made.traces()) == 1
    return result


def block(name: str) -> Any:
    with tracepatch.trace(cache=False, max_depth=10_000) as trace:
        result = getattr(ends, name)()
    assert trace.call_count > 1
    return result


WAYS: dict[str, Callable[[str], Any]] = {"armed": armed, "block": block}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", ["abandoned", "with_hooks", "shut_down"])
def test_what_nobody_ends_ends_as_ever(name: str, way: str) -> None:
    gc.collect()
    bare = getattr(ends, name)()
    assert len(bare) > 3
    seen = WAYS[way](name)
    if name == "with_hooks" and sys.version_info < (3, 11):  # see test_interference_visible.COPIED
        seen, bare = sorted(seen), sorted(bare)
    assert seen == bare
    assert sorted(getattr(ends, name)()) == sorted(bare)


@pytest.mark.parametrize("way", WAYS)
def test_recursion_ends_a_few_calls_earlier_and_is_caught(
    way: str, record_property: Callable[[str, object], None]
) -> None:
    def framed(name: str) -> Any:
        return getattr(ends, name)()  # as deep as in a way

    begun, caught, again, rest = framed("deep")
    traced = WAYS[way]("deep")
    assert traced[1:2] + traced[3:] == [caught, rest]
    for bare, seen in ((begun, traced[0]), (again, traced[2])):
        assert 0 <= bare - seen <= SHORTER
    record_property("shorter", begun - traced[0])
    assert framed("deep") == [begun, caught, again, rest]
