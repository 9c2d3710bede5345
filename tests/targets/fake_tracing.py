"""A Tracing that records nothing by itself: a test, or the program it runs in, says when a trace begins and ends."""

from __future__ import annotations

import os
import threading
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from tracepatch.policy import DEFAULT


@dataclass(frozen=True)
class Piece:
    probe: Any
    trace_id: str
    meta: dict
    data: bytes
    end: Any


@dataclass
class Function:
    name: str = "handle"

    def to_wire(self) -> dict:
        return {"function": self.name, "module": "shop", "file": "shop.py", "line": 1, "kind": "function"}


@dataclass
class Resolution:
    functions: list = field(default_factory=list)
    total: int = 0
    refused: list = field(default_factory=list)
    near: list = field(default_factory=list)
    waits_for_import: bool = False


def resolver(texts: Any) -> tuple[list, Resolution]:
    """`shop:N` matches N functions, `compiled` is refused, `later` waits for an import, `broken` raises."""
    from tracepatch_shared.errors import UsageError

    result = Resolution()
    for text in texts:
        if text.startswith("shop:"):
            result.functions += [Function()] * int(text[5:])
        elif text == "compiled":
            result.refused.append((text, "compiled function"))
        elif text == "later":
            result.waits_for_import = True
        elif text == "broken":
            raise ZeroDivisionError("a bug of ours")
        elif text == "malformed":
            raise UsageError("'malformed' is not a target")
        else:
            result.near.append("shop:handle")
    result.total = len(result.functions)
    return list(texts), result


class FakeTracing:
    core_name = "fake"
    core_reason = ""

    def __init__(self, wake: Any) -> None:
        self.wake = wake
        self.identity: dict = {}
        self.policy = DEFAULT
        self.probes: dict = {}
        self.running: dict = {}
        self.pieces: deque = deque()
        self.released = 0
        self.forks = 0
        self.broken: set[str] = set()
        self.share = 0.0
        self.undrained = 0
        self.lock = threading.Lock()

    def _may(self, what: str) -> None:
        if what in self.broken:
            raise ZeroDivisionError(what)

    def arm(self, probe: Any, targets: Any, resolution: Any) -> None:
        self._may("arm")
        self.probes[probe.probe_id] = probe

    def disarm(self, probe: Any) -> None:
        self._may("disarm")
        self.probes.pop(probe.probe_id, None)

    def stand(self) -> None: ...

    @property
    def behind(self) -> bool:
        return "behind" in self.broken

    def drain(self, within_s: float) -> list:
        self._may("drain")
        pieces = []
        while self.pieces:
            pieces.append(self.pieces.popleft())
        return pieces

    @property
    def live(self) -> int:
        return len(self.running)

    @property
    def held_bytes(self) -> int:
        return self.undrained

    def expire(self, now_ns: int) -> None: ...

    def trip(self, probe: Any, reason: str) -> None:
        for trace_id, owner in list(self.running.items()):
            if owner is probe:
                self.end(trace_id, "tripped", reason)

    def release(self) -> dict:
        self._may("release")
        self.released += 1
        return {"events": 0, "tool_id_freed": True, "hooks": 0, "hooked_threads": 0, "ok": True}

    def after_fork_in_child(self) -> None:
        self.forks += 1
        self.probes.clear()
        self.running.clear()
        self.pieces.clear()

    def tax(self) -> tuple[int, float]:
        return 1000, self.share

    def over(self, budget: float) -> bool:
        return self.share > budget

    # ---- what a traced application would do

    def begin(self) -> str | None:
        for probe in list(self.probes.values()):
            probe.seen += 1
            try:
                probe.slots.pop()
            except IndexError:
                probe.passed_over += 1
                continue
            try:
                probe.permits.pop()
            except IndexError:
                probe.slots.append(None)
                probe.passed_over += 1
                continue
            trace_id = os.urandom(4).hex()
            self.running[trace_id] = probe
            self.pieces.append(
                Piece(probe, trace_id, {"target": "shop:handle", "started_at_ns": 5}, b"\x90", None)
            )
            self.wake()
            return trace_id
        return None

    def write(self, trace_id: str, data: bytes) -> None:
        self.pieces.append(Piece(self.running[trace_id], trace_id, {"calls": 1}, data, None))
        self.wake()

    def end(self, trace_id: str, status: str = "complete", reason: str | None = None) -> None:
        probe = self.running.pop(trace_id)
        self.pieces.append(Piece(probe, trace_id, {"calls": 2}, b"\x91\x0e", (status, reason)))
        probe.slots.append(None)
        self.wake()

    def trace(self, size: int = 0) -> str | None:
        trace_id = self.begin()
        if trace_id is not None:
            if size:
                self.write(trace_id, b"\x00" * size)
            self.end(trace_id)
        return trace_id
