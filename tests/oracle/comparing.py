"""Compares what was recorded with the reference, node for node.

Nodes of the library, of comprehensions and of lambdas are looked through: what hangs below one hangs below the nearest
call of the program around it.
"""

from __future__ import annotations

import ast
import asyncio
import sys
from typing import Any

from tracepatch_shared.trace import Node, Trace
from tracepatch_shared.values import Mark

from .reference import OPEN, Call, Outcome, Reference, Tree
from .running import Difference, Run

MONITORING = sys.version_info >= (3, 12)
SILENT_CLOSE = (3, 13, 0) <= sys.version_info < (3, 13, 10)
"""A suspended generator that is closed reports nothing unless its yield stands in a `try`."""


class Comparison:
    """What was compared: numbers for the report; raises `Difference`."""

    def __init__(self, run: Run) -> None:
        self.reference = Reference(run.log)
        self.nodes = 0
        self.run = run
        roots = {tree.root.number: tree for tree in self.reference.trees}
        seen = set()
        for trace in run.traces:
            numbers = [self._number(trace.roots[0])] if trace.roots else []
            if not numbers or numbers[0] not in roots:
                raise Difference(f"a trace begins with {numbers}, traced were {roots}")
            seen.add(numbers[0])
            self._trace(trace, roots[numbers[0]])
        missing = set(roots) - seen
        if missing:
            raise Difference(f"no trace of {[roots[number].root for number in missing]}")

    # ---- one trace ----------------------------------------------------------------------------------------------

    def _number(self, node: Node) -> int | None:
        """Return the number of a call of the program, nil for any other node."""
        if node.module != self.run.name:
            return None
        args = node.args
        if type(args.get("c")) is int and "p" in args:
            return int(args["c"])
        if node.function.endswith(("__enter__", "__aenter__", "__exit__", "__aexit__")):
            fields = args["self"].fields["fields"]
            return int(fields["enter" if "enter" in node.function else "leave"])
        return None

    def _trace(self, trace: Trace, tree: Tree) -> None:
        found: dict[int, Node] = {}
        nodes = {node.id: node for node in trace.nodes()}
        numbers = {node.id: self._number(node) for node in nodes.values()}
        for node in nodes.values():
            number = numbers[node.id]
            if not MONITORING and number not in self.reference.calls and node.state == "raised":
                numbers[node.id] = None  # thrown into before it began: 3.10 tells, and the program cannot
            elif number is not None:
                if number in found:
                    raise Difference(f"call {number} twice in {trace.target}")
                found[number] = node
        calls = {call.number: call for call in tree.calls}
        for number in found:
            if number not in calls:
                other = self.reference.calls.get(number)
                raise Difference(
                    f"{other or number} of {other and other.tree and other.tree.root} in {tree.root}"
                )
        branches: dict[int, Any] = {}
        for number, call in calls.items():
            if number not in found:
                if self._races(call, tree):
                    continue
                raise Difference(f"{call} is missing in {tree.root}")
            node = found[number]
            self.nodes += 1
            above: Node | None = node
            while above is not None:
                above = None if above.parent is None else nodes[above.parent]
                if above is None or numbers[above.id] is not None:
                    break
            self._node(call, node, None if above is None else numbers[above.id], trace, branches, tree)
        self._order(trace, numbers, calls)
        self._status(trace, tree)
        _times(trace)

    @staticmethod
    def _races(call: Call, tree: Tree) -> bool:
        """Tell whether a call runs in a thread that nobody had joined when the trace ended: it may be there or not."""
        thread = call.branch.threaded if call.branch is not None else None
        if thread is None or tree.ended is None:
            return False
        return thread.joined is None or thread.joined > tree.ended

    def _node(
        self, call: Call, node: Node, above: int | None, trace: Trace, branches: dict[int, Any], tree: Tree
    ) -> None:
        if node.function.rpartition(".")[2] != call.name.rpartition(".")[2]:
            raise Difference(f"{call} is called {node.function}")
        if call.args:
            args = {name: value for name, value in node.args.items() if name not in ("c", "p")}
            wanted = {name: _plain(value) for name, value in call.args.items()}
            if args != wanted:
                raise Difference(f"{call} got {wanted}, recorded {args}")
        branch = trace.branches[node.branch]
        expected = call.branch
        assert expected is not None
        if not call.adrift:
            known = branches.setdefault(branch.id, expected)
            if known is not expected or branch.kind != expected.kind:
                raise Difference(f"{call} stands in the branch of another: {branch.kind} {branch.name!r}")
        starts = call.number in self.reference._spawned and call is not tree.root
        if starts:
            self._branch(call, branch, above, tree)
        elif above != (None if call.parent is None else call.parent.number):
            raise Difference(f"{call} hangs below {self.reference.calls.get(above or 0)}, not {call.parent}")
        self._outcome(call, node, tree)

    def _branch(self, call: Call, branch: Any, above: int | None, tree: Tree) -> None:
        expected = call.branch
        assert expected is not None
        if branch.kind != expected.kind:
            raise Difference(f"{call} is a {branch.kind}, not a {expected.kind}")
        starter = None if expected.starter is None else expected.starter.number
        exact = {"task": True, "thread": None, "callback": False}[expected.kind]
        if exact and branch.link != "exact":
            raise Difference(f"{call} is linked {branch.link}")
        if branch.link == "exact" and above != starter:
            raise Difference(
                f"{call} was started by {expected.starter}, not {self.reference.calls.get(above or 0)}"
            )

    def _outcome(self, call: Call, node: Node, tree: Tree) -> None:
        expected, at = self.reference.outcome(call)
        allowed = [expected]
        end = tree.ended if tree.ended is not None else 1 << 62
        if at > end:
            allowed = [OPEN]
        elif call.here is not tree or call.gone:
            allowed = [OPEN]  # it ended in somebody else's context
        silent = SILENT_CLOSE and expected[0] == "raised" and expected[1] is GeneratorExit
        if silent or (call.thrown is not None and call.thrown[1] is GeneratorExit and SILENT_CLOSE):
            allowed.append(OPEN)
        if call.closed_unseen:
            allowed += [OPEN, ("raised", GeneratorExit, "()")]
            if self.reference.cancelled(call):
                allowed.append(("raised", asyncio.CancelledError, "()"))
        if self._races(call, tree):
            return
        for outcome in allowed:
            if _same(outcome, node):
                return
        raise Difference(f"{call} ended as {allowed}, recorded {node.state} {node.raised or node.returned!r}")

    def _order(self, trace: Trace, numbers: dict[int, int | None], calls: dict[int, Call]) -> None:
        """Calls that one call made in its own branch stand in the order in which it made them."""
        for node in trace.nodes():
            last = -1
            for child in node.children:
                number = numbers[child.id]
                if number is None or child.branch != node.branch or number not in calls:
                    continue
                at = calls[number].trail[0][0]
                if at < last:
                    raise Difference(f"{calls[number]} stands in the wrong place")
                last = at

    def _status(self, trace: Trace, tree: Tree) -> None:
        wanted = "complete" if tree.ended is not None else "tripped"
        if trace.status != wanted:
            raise Difference(f"the trace of {tree.root} is {trace.status} ({trace.reason}), not {wanted}")


def _plain(value: Any) -> Any:
    if type(value) is tuple:
        return Mark("tuple", {"items": [_plain(item) for item in value]})
    return value


def _message(kind: type, text: str) -> Any:
    """Return what is shown of an exception whose arguments have this repr."""
    if kind.__name__.endswith("Group"):
        return ast.literal_eval(text[1 : text.index(", [")])
    args = ast.literal_eval(text)
    if len(args) != 1:
        return text if args else ""
    return args[0] if type(args[0]) is str and kind is not KeyError else repr(args[0])


def _same(outcome: Outcome, node: Node) -> bool:
    if outcome[0] == "open":
        return node.state in ("open", "lost")
    if outcome[0] == "returned":
        return (
            node.state == "returned"
            and bool(node.returned == _plain(outcome[1]))
            and type(node.returned) is type(_plain(outcome[1]))
        )
    raised = node.raised
    if raised is None or node.state != "raised":
        return False
    if raised["type"].rpartition(".")[2] != outcome[1].__name__:
        return False
    return outcome[2] is None or raised["message"] == _message(outcome[1], outcome[2])


def _times(trace: Trace) -> None:
    """Waiting and running make up the wall time; on one runner siblings do not run at the same time."""
    for node in trace.nodes():
        if not 0 <= node.waiting_ns <= node.wall_ns:
            raise Difference(f"{node} waited {node.waiting_ns} of {node.wall_ns} ns")
        if node.self_ns < 0:
            raise Difference(f"{node} has a self time of {node.self_ns} ns")
        own = [child for child in node.children if child.branch == node.branch]
        if any(child.code.flags & 12 for child in own):  # generators run below whoever resumes them
            continue
        total = sum(child.running_ns for child in own)
        if total > node.running_ns and not node.code.flags & 12:
            raise Difference(f"{node} ran {node.running_ns} ns, its calls {total}")
