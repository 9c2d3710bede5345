"""A tracing without an agent: arm, run, read the trees."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tracepatch.codes import is_library
from tracepatch.policy import DEFAULT, Policy
from tracepatch.probe import Probe, options_from_wire
from tracepatch.resolve import resolve
from tracepatch.tracing import Tracing
from tracepatch_shared.targets import parse_target
from tracepatch_shared.trace import Node, Trace
from tracepatch_shared.tree import TraceReader


class Bench:
    """One `Tracing`, driven by hand."""

    def __init__(self, policy: Policy = DEFAULT) -> None:
        self.tracing = Tracing(int, policy=policy)  # called, and does nothing
        self.reader = TraceReader
        self.readers: dict[str, TraceReader] = {}
        self.ended: list[str] = []

    def arm(self, *targets: str, **options: Any) -> Probe:
        probe = Probe(
            options_from_wire(
                {
                    "probe_id": os.urandom(4).hex(),
                    "targets": list(targets),
                    "count": options.pop("count", 1),
                    "ttl_s": options.pop("ttl_s", 60),
                    "lease_s": None,
                    "operator": "test@here",
                    **options,
                },
                self.tracing.policy,
            )
        )
        parsed = [parse_target(target) for target in targets]
        asks = probe.options.where is not None
        self.tracing.arm(probe, parsed, self.tracing.policy.narrowed(parsed, resolve(parsed), asks=asks))
        return probe

    def traces(self) -> list[Trace]:
        """Return the trees of the traces that have ended so far, in the order of their ends."""
        for piece in self.tracing.drain():
            self.readers.setdefault(piece.trace_id, self.reader()).feed(piece.data)
            if piece.end is not None:
                self.ended.append(piece.trace_id)
        return [self.readers[trace_id].trace for trace_id in self.ended]

    def trace(self) -> Trace:
        """Return the only trace that has ended."""
        (trace,) = self.traces()
        return trace


@contextmanager
def bench(policy: Policy = DEFAULT) -> Iterator[Bench]:
    """A bench that is released at the end, and verified to be clean then."""
    made = Bench(policy)
    try:
        yield made
    finally:
        clean = made.tracing.release()
    assert clean["ok"], clean


def names(trace: Trace) -> list[str]:
    """Return the qualnames in call order, the standard library's left out."""
    return [node.function for node in trace.nodes() if not is_library(node.file)]


def outline(trace: Trace) -> list[Any]:
    """Return the tree as nested lists: [qualname, child, child...]; branches' roots follow under their own root."""

    def one(node: Node) -> list[Any]:
        return [node.function, *(one(child) for child in node.children)]

    return [one(root) for root in trace.roots]
