"""Signals come at random moments into a traced hot loop, and their handler raises: every exception must arrive.

    python signalled.py WAY SIGNALS SEED

WAY is `armed`, `block` or `decorated`. Prints one JSON object. A process of its own, because test runners use SIGALRM themselves.
The collector is off: an exception that a handler raises inside a collector callback is lost by CPython, traced or not.
"""

from __future__ import annotations

import gc
import json
import random
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

MOST_S = 0.0015
"""The longest time until a signal; a trace's begin alone takes a tenth of that."""
MOST_BRIEF_S = 0.0004
"""The same where a trace ends at once."""


class SoftTimeLimit(Exception):
    """What a job queue raises in a job that takes too long."""


class Alarm:
    """The handler of SIGALRM; counts what it raises."""

    def __init__(self) -> None:
        self.raised: list[BaseException] = []
        self.ways: list[Any] = [SoftTimeLimit, TimeoutError, ValueError, KeyboardInterrupt, SystemExit]
        self.places: Counter[str] = Counter()

    def __call__(self, _number: int, frame: Any) -> None:
        error: BaseException = self.ways[len(self.raised) % len(self.ways)](len(self.raised))
        self.raised.append(error)
        self.places[_owner(frame)] += 1
        raise error


def _owner(frame: Any) -> str:
    return "ours" if "tracepatch" in frame.f_code.co_filename.rpartition("agent")[2] else "application"


def leaf(number: int, text: str = "text") -> int:
    return number + len(text)


def items(count: int) -> Iterator[int]:
    for number in range(count):
        yield leaf(number)


def fails(number: int) -> None:
    raise LookupError(number)


async def answers(number: int) -> int:
    return leaf(number)


def step(number: int) -> int:
    total = sum(items(3)) + leaf(number, text="more")
    try:
        fails(number)
    except LookupError as error:
        total += len(error.args)
    coroutine = answers(number)
    try:
        coroutine.send(None)
    except StopIteration as end:
        total += end.value
    finally:
        coroutine.close()
    return total


def hot(alarm: Alarm, before: int) -> None:
    """Work until the alarm has raised, and a little longer if its exception does not come."""
    while len(alarm.raised) == before:
        step(before)
    for _ in range(5):
        step(before)


def brief(alarm: Alarm, before: int) -> None:
    """Work for a moment, so that the alarm comes when a trace begins or ends."""
    leaf(before)


def awaits(alarm: Alarm, before: int) -> None:
    while len(alarm.raised) == before:
        pass


class Armed:
    """A probe on both."""

    def __init__(self) -> None:
        from tracing_helpers import Bench

        self.bench = Bench()
        self.probe = self.bench.arm("__main__:hot", "__main__:brief", count=1000, scope={"all": True})
        self.statuses: Counter[str] = Counter()
        self.calls = 0

    def block(self) -> AbstractContextManager[Any]:
        return nullcontext()

    def calls_of(self, work: Any) -> Any:
        return work

    def settle(self) -> bool:
        """Do what the agent's thread does every 100 ms; return whether nothing is recorded any more."""
        from tracepatch.missing import LOOKS

        for _ in range(LOOKS + 1):
            self.bench.tracing.expire()
            traces = self.bench.traces()
        for trace in traces:
            self.statuses[f"{trace.status} {trace.reason or ''}".strip()] += 1
            self.calls += trace.calls
        self.bench.readers.clear()
        self.bench.ended.clear()
        probe = self.probe
        whole = len(probe.slots) == probe.limits.concurrent and len(probe.permits) == probe.count - probe.kept
        return whole and self.bench.tracing.live == 0

    def end(self) -> bool:
        return bool(self.bench.tracing.release()["ok"])


class Block:
    """`trace()` around each turn."""

    def __init__(self) -> None:
        self.statuses: Counter[str] = Counter()
        self.calls = 0

    def block(self) -> AbstractContextManager[Any]:
        import tracepatch

        self._trace = tracepatch.trace(cache=False, capture="safe")
        return self._trace

    def calls_of(self, work: Any) -> Any:
        return work

    def settle(self) -> bool:
        self.statuses["interrupted" if self._trace.was_limited else "complete"] += 1
        self.calls += self._trace.call_count
        return self.end()

    def end(self) -> bool:
        from tracepatch.cores import core

        clean = core().clean()
        return bool(clean["ok"]) and "blocks" not in clean


class Decorated(Block):
    """`@trace()` on what is called in each turn."""

    def block(self) -> AbstractContextManager[Any]:
        super().block()
        return nullcontext()

    def calls_of(self, work: Any) -> Any:
        return self._trace(work)


def turn(
    way: Any, alarm: Alarm, work: Callable[[Alarm, int], None], after_s: float, *, interrupt: bool
) -> str:
    """Have one exception raised at a random moment; return what became of it."""
    before = len(alarm.raised)
    block = way.block()
    work = way.calls_of(work)
    sender = threading.Thread(target=_interrupt, args=(threading.get_ident(), after_s)) if interrupt else None
    outcome = "swallowed"
    try:
        try:
            if sender is None:
                signal.setitimer(signal.ITIMER_REAL, after_s)
            else:  # as from a terminal, or from another process
                sender.start()
            with block:
                work(alarm, before)
            awaits(alarm, before)
        except BaseException as error:
            outcome = "arrived" if error is alarm.raised[-1] else f"another: {error!r}"
    except BaseException as error:
        outcome = f"late: {error!r}"
    if sender is not None:
        sender.join()
    alarm.raised[-1].__traceback__ = None
    return outcome if len(alarm.raised) == before + 1 else f"raised {len(alarm.raised) - before} times"


def main(way_name: str, signals: int, seed: int) -> None:
    sys.path.insert(1, __file__.rpartition("targets")[0])
    from tracepatch.recording import current

    gc.disable()
    chance = random.Random(seed)
    alarm = Alarm()
    signal.signal(signal.SIGALRM, alarm)
    signal.signal(signal.SIGINT, alarm)
    make: Any = {"armed": Armed, "block": Block, "decorated": Decorated}[way_name]
    way = make()
    outcome: Counter[str] = Counter()
    with way.block():  # loads what it needs
        way.calls_of(brief)(alarm, 0)
    way.settle()
    way.end()
    way = make()
    for number in range(signals):
        if way_name == "armed" and number % 500 == 499:
            outcome["released" if way.end() else "not clean"] += 1
            statuses, calls = way.statuses, way.calls
            way = make()
            way.statuses, way.calls = statuses, calls
        work = brief if number % 2 else hot
        after_s = chance.uniform(1e-6, MOST_S if work is hot else MOST_BRIEF_S)
        outcome[turn(way, alarm, work, after_s, interrupt=number % 5 == 4)] += 1
        if not way.settle():
            outcome["still live"] += 1
        recording = current.get()
        if recording is not None and not recording.done:
            outcome["left in the Context"] += 1
        leaf(number)
        if sys.gettrace() is not None:
            outcome["a hook is left"] += 1
        gc.collect()
    outcome["released" if way.end() else "not clean"] += 1
    print(
        json.dumps(
            {
                "outcome": outcome,
                "statuses": way.statuses,
                "places": alarm.places,
                "calls": way.calls,
            }
        )
    )


def _interrupt(thread: int, after_s: float) -> None:
    time.sleep(after_s)
    signal.pthread_kill(thread, signal.SIGINT)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
