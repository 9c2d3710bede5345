"""Runs under coverage.py: the same lines, with a trace in between or without. `python covered.py bare|armed|block`."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from typing import Any


def leaf(number: int) -> str:
    if number % 2:
        return "odd"
    return "even"


def items(count: int) -> Any:
    for number in range(count):
        yield leaf(number)


def fails() -> None:
    try:
        raise LookupError("x")
    except LookupError:
        leaf(2)
    finally:
        leaf(3)


def never() -> None:
    leaf(4)


async def answers() -> str:
    return leaf(5)


def work() -> list[str]:
    fails()
    coroutine = answers()
    try:
        coroutine.send(None)
    except StopIteration as end:
        return [*items(4), end.value]
    return []


def main(way: str) -> None:
    sys.path.insert(1, __file__.rpartition("targets")[0])
    before = work()
    block: Any = nullcontext()
    made = None
    if way == "block":
        import tracepatch

        block = tracepatch.trace(cache=False)
    elif way == "armed":
        from tracing_helpers import Bench

        made = Bench()
        made.arm("__main__:work", count=5)
    with block:
        assert work() == before
    if made is not None:
        made.tracing.release()
    assert work() == before
    print(block.call_count if way == "block" else -1 if made is None else made.tracing.core.name)


if __name__ == "__main__":
    main(sys.argv[1])
