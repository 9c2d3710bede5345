"""What every event loop's test asks of a trace: its own calls only, and times that add up.

Applications in these tests give each of their functions the task's number as first argument, so that a call of another
task's shows by its arguments.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from processes import ROOT, TARGETS
from tracepatch_shared.records import FLAG_ASYNC_GENERATOR, FLAG_GENERATOR, FLAG_LIBRARY
from tracepatch_shared.trace import Node, Trace

COVERED = 0.25
"""Part of a nominal sleep that must show as waiting: its timer may have begun before the call did, timers have a
resolution, and a machine under load takes its time between the two."""


def application(trace: Trace) -> list[Any]:
    """Return the tree without libraries as nested lists: [name, child, child...]."""

    def below(nodes: Iterable[Node]) -> list[Any]:
        found: list[Any] = []
        for node in nodes:
            inner = below(node.children)
            name = node.function.rpartition(".")[2]
            # Comprehensions are calls of their own before 3.12.
            found += inner if library(node) or name.endswith("comp>") else [[name, *inner]]
        return found

    return below(trace.roots)


def library(node: Node) -> bool:
    return bool(node.code.flags & FLAG_LIBRARY)


def one(trace: Trace, name: str) -> Node:
    """Return the only node of a function."""
    (found,) = every(trace, name)
    return found


def every(trace: Trace, name: str) -> list[Node]:
    return [node for node in trace.nodes() if node.function.rpartition(".")[2] == name]


def number_of(trace: Trace) -> int:
    """Return the task's number, after the check that every call of the application's in the tree has it."""
    numbers = {
        node.args.get("number", node.function)
        for node in trace.nodes()
        if not library(node) and not node.function.endswith(">")
    }
    assert len(numbers) == 1, f"calls of several tasks in one tree: {list(numbers)[:10]}"
    return int(numbers.pop())


def check(trace: Trace, *, status: str = "complete") -> int:
    """Check what holds for every trace, whatever loop runs it; return the task's number."""
    assert trace.status == status, trace.reason
    assert trace.dropped == 0
    if status == "complete":
        assert not [node for node in trace.nodes() if node.state == "lost"]
    check_times(trace)
    return number_of(trace)


def check_times(trace: Trace) -> None:
    """Running times of siblings on one runner neither overlap nor add up to more than their parent's.

    A generator is not asked: it hangs below the call that first resumed it, and runs below others later.
    """
    for node in trace.nodes():
        assert 0 <= node.waiting_ns <= node.wall_ns
        assert 0 <= node.self_ns <= node.wall_ns
        same = [
            child
            for child in node.children
            if child.branch == node.branch and not child.code.flags & (FLAG_GENERATOR | FLAG_ASYNC_GENERATOR)
        ]
        assert sum(child.running_ns for child in same) <= node.running_ns, (node, same)
        free = node.start_ns
        for child in same:
            assert child.start_ns >= free, (node, child)
            free = child.start_ns + child.wall_ns
            assert free <= node.start_ns + node.wall_ns
    for branch in trace.branches:
        if branch.parent_node is not None:
            parent = next(node for node in trace.nodes() if node.id == branch.parent_node)
            assert branch.start_ns >= parent.start_ns


def running_ns(traces: Iterable[Trace]) -> int:
    """Return the running time of all branches: on one thread it is no more than what passed there."""
    return sum(
        node.running_ns
        for trace in traces
        for node in trace.nodes()
        if node.parent is None or node.branch != by_id(trace, node.parent).branch
    )


def by_id(trace: Trace, number: int) -> Node:
    return next(node for node in trace.nodes() if node.id == number)


def branch_of(trace: Trace, node: Node) -> Any:
    """Return the branch that a node is in."""
    return next(branch for branch in trace.branches if branch.id == node.branch)


def links(trace: Trace) -> list[tuple[str, str, str, str]]:
    """Return kind, name, link and the name of the starting node of each branch but the root's."""
    found = []
    for branch in trace.branches:
        if branch.kind != "root":
            parent = "" if branch.parent_node is None else by_id(trace, branch.parent_node).function
            found.append((branch.kind, branch.name, branch.link, parent.rpartition(".")[2]))
    return found


def waited(node: Node, seconds: float) -> None:
    """Check that the node's waiting time covers a suspension."""
    assert node.waiting_ns >= COVERED * seconds * 1e9, (node, node.waiting_ns)


def run_target(name: str, *args: str, options: Sequence[str] = (), timeout: float = 100.0) -> str:
    """Run a program of `targets` that checks itself, in a process of its own; return what it printed."""
    done = subprocess.run(
        [sys.executable, *options, str(TARGETS / name), *args],
        env={**os.environ, "PYTHONPATH": str(Path(ROOT) / "tests")},
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
