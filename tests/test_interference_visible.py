"""What an application can see of itself is the same while it is traced, and after."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest

import tracepatch
from targets import visible
from tracepatch.cores import core
from tracepatch.recording import current
from tracing_helpers import bench

COPIED = {
    (3, 10): {
        "deaths_of_deleted_arguments",
        "deaths_of_rebound_locals",
        "deaths_of_exceptions",
        "deaths_in_coroutines",
        "reference_counts",
    },
    (3, 11): {"deaths_of_deleted_arguments"},
}.get(sys.version_info[:2], set())
"""Before 3.12 the core is the interpreter's trace hook, and around each call of a trace function the interpreter
itself (on 3.11: only where the function reads them, as it must for the arguments) copies the frame's variables into its
`f_locals`. No function written in Python can prevent or undo that: what a traced frame deletes lives until the next
event there, at the latest until the frame ends."""
if sys.version_info[:2] == (3, 11) and core().name == "native":
    # Through the evaluation hook a caller keeps the arguments until the call is over, as 3.10 always does.
    COPIED.add("deaths_of_arguments")


def armed(name: str) -> Any:
    with bench() as made:
        made.arm(
            f"targets.visible:{name}",
            scope={"all": True},
            limits={"max_calls": 100_000, "max_bytes": 64 << 20},
        )
        result = visible.run(visible.SCENES[name])
        (trace,) = made.traces()
    assert (trace.status, trace.roots[0].function) == ("complete", name)
    assert trace.calls > 1
    return result


def block(name: str, capture: Any) -> Any:
    with tracepatch.trace(cache=False, capture=capture, max_depth=200, max_calls=100_000) as trace:
        result = visible.run(visible.SCENES[name])
    assert trace.call_count > 1
    return result


WAYS: dict[str, Callable[[str], Any]] = {
    "armed": armed,
    "block": lambda name: block(name, "safe"),
    "repr": lambda name: block(name, "repr"),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", visible.SCENES)
def test_what_the_application_sees_is_the_same(name: str, way: str) -> None:
    visible.run(visible.SCENES[name])  # fills caches
    before = visible.run(visible.SCENES[name])
    seen = WAYS[way](name)
    if name not in COPIED:
        assert seen == before
    elif name != "reference_counts":
        assert sorted(seen) == sorted(before)  # later, but all of it
    assert visible.run(visible.SCENES[name]) == before
    assert current.get() is None


def test_the_scenes_can_tell() -> None:
    for scene in visible.SCENES.values():
        assert visible.run(scene), "a scene that shows nothing proves nothing"
