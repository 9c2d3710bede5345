"""Events by the dozen, for the log of the native core and for what it is measured against."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator
from types import CodeType
from typing import Any

import pytest

from tracepatch.capture import Capturer
from tracepatch.codes import APPLICATION, LIBRARY, Entry
from tracepatch.recording import Recording
from tracepatch.redaction import Redactor
from tracepatch.runners import Node, Runner
from tracepatch.stream import Writer, code_record, packed, packer
from tracepatch_shared.limits import Capture
from tracepatch_shared.records import (
    BRANCH,
    CALL,
    LOST,
    RAISE,
    REENTER,
    RESUME,
    RETURN,
    SUSPEND,
    YIELD,
)
from tracepatch_shared.values import Mark

if sys.version_info < (3, 12):
    pytest.skip("there is no native core", allow_module_level=True)
native: Any = pytest.importorskip(
    "tracepatch.cores._native", reason="installed where no C compiler is", exc_type=ImportError
)
native.bind(Recording, Runner, Entry)

STARTED_NS = 1_000_000
ALPHABET = "abc é€\U0001f600\n\0"


def log_of(*, intern: bool = True, arguments: bool = True, noted: bool = False) -> Any:
    """Return an empty log."""
    capturer = Capturer(Capture(), Redactor())
    return native.Log(
        STARTED_NS,
        capturer,
        {},
        packed,
        lambda entry: packed(code_record(entry)),
        None,
        arguments,
        intern,
        noted,
    )


def code_objects(count: int) -> list[CodeType]:
    """Return code objects of functions with names and arguments of every length."""
    made = []
    for number in range(count):
        arguments = ", ".join(f"argument_{index}" for index in range(number % 31))
        scope: dict[str, Any] = {}
        exec(
            compile(f"def named_{number}({arguments}): pass", f"/application/{number % 7}.py", "exec"), scope
        )
        made.append(scope[f"named_{number}"].__code__)
    return made


class Twice:
    """The same events for a log and for a `Writer`, each with runners and nodes of its own."""

    def __init__(self, *, intern: bool = True) -> None:
        self.log = log_of(intern=intern)
        self.writer = Writer(STARTED_NS, intern=intern)
        self.events: list[tuple[Any, ...]] = []
        self.pack = packer()

    def runner(self, kind: str, name: str, parent: tuple[Any, Any] | None, link: str) -> tuple[Any, Any]:
        one, other = parent or (None, None)
        return Runner(kind, name, one, link), Runner(kind, name, other, link)

    def node(self, entry: Entry, runner: tuple[Any, Any]) -> tuple[Any, Any]:
        return Node(entry, id(entry), runner[0]), native.Node(entry, id(entry), runner[1])

    def add(self, kind: int, runner: tuple[Any, Any], now: int, node: Any = None, *rest: Any) -> None:
        first, second = ((), ()) if node is None else ((node[0],), (node[1],))
        copied = [list(item) if kind == CALL and item is not None else item for item in rest]
        self.log.append((kind, runner[1], now, *second, *rest))
        self.events.append((kind, runner[0], now, *first, *copied))

    def wanted(self) -> bytes:
        """Return what the `Writer` makes of it."""
        events, self.events = self.events, []
        return b"".join(map(self.pack, self.writer.records(events)))

    def written(self) -> Iterator[bytes]:
        """Yield what the log gives."""
        while self.log:
            yield self.log.take()


def values(draw: random.Random, texts: list[str]) -> Any:
    """Return something that a value may have become."""
    kinds: list[Callable[[], Any]] = [
        lambda: None,
        lambda: draw.random() < 0.5,
        lambda: draw.choice((0, 1, -1, -32, -33, 127, 128, 255, 256, -128, -129, 65535, 65536, -32769)),
        lambda: draw.randrange(-(1 << 63), 1 << 64),
        lambda: draw.choice((0.0, -0.0, 1.5, float("inf"))),
        lambda: draw.choice(texts),
        lambda: draw.choice(texts),
        lambda: "".join(draw.choices(ALPHABET, k=draw.choice((0, 1, 5, 6, 7, 31, 32, 255, 256)))),
        lambda: "x" * draw.choice((31, 32, 255, 256, 65535, 65536)) if draw.random() < 0.05 else "short",
        lambda: draw.randbytes(draw.randrange(40)),
        lambda: (
            [values(draw, texts) for _ in range(draw.choice((0, 2, 15, 17)))] if draw.random() < 0.2 else []
        ),
        lambda: {"key": draw.choice(texts), "other": 5},
        lambda: Mark("object", {"type": "shop.Cart", "fields": {"items": draw.randrange(300)}}),
        lambda: Mark("cut", {"text": draw.choice(texts), "length": 5000}),
    ]
    return draw.choice(kinds)()


def entries(count: int) -> list[Entry]:
    return [
        Entry(code, f"module_{number % 5}", LIBRARY if number % 4 == 0 else APPLICATION)
        for number, code in enumerate(code_objects(count))
    ]


def play(draw: random.Random, both: Twice, known: list[Entry], count: int) -> None:
    """Add random events of every kind."""
    texts = ["", "short", "longer text", "é" * 6, "\U0001f600" * 8, *(f"text number {n}" for n in range(20))]
    runners: list[tuple[Any, Any]] = []
    stacks: list[list[Any]] = []
    now = STARTED_NS
    for _ in range(count):
        now += draw.choice((-40_000, -1, 0, 1, 100, 200, 70_000, 5_000_000_000))
        if not runners or draw.random() < 0.03:
            parent = draw.choice(draw.choice(stacks) or [None]) if stacks else None
            kind = draw.choice(("root", "task", "thread", "callback"))
            made = both.runner(kind, draw.choice(texts), parent, draw.choice(("exact", "inferred")))
            runners.append(made)
            stacks.append([])
            both.add(BRANCH, made, now)
            continue
        at = draw.randrange(len(runners))
        runner, stack = runners[at], stacks[at]
        what = draw.randrange(12)
        if what < 5 or not stack:
            entry = draw.choice(known)
            node = both.node(entry, runner)
            node[0].elided = node[1].elided = draw.choice((0, 0, 0, 1, 200, 70_000))
            stack.append(node)
            given = [values(draw, texts) for _ in entry.arguments]
            both.add(CALL, runner, now, node, draw.choice((given, given, None)))
        elif what < 8:
            both.add(RETURN, runner, now, stack.pop(), values(draw, texts))
        elif what < 9:
            both.add(RAISE, runner, now, stack.pop(), draw.choice(("ValueError", "E")), values(draw, texts))
        elif what < 10:
            both.add(draw.choice((SUSPEND, RESUME)), runner, now)
        else:
            both.add(draw.choice((YIELD, REENTER, LOST)), runner, now, draw.choice(stack))
