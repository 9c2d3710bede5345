"""What a trace of the app must look like: whose calls it holds, below what, how many."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from tracepatch import TraceNode
from tracepatch_shared.records import COMPLETE
from tracepatch_shared.trace import LOST, RETURNED, Node, Trace

MODULE = "soak.app"

CALLERS = {
    "note": {"numbers", "stream", "consume", "blocking", "fails", "leaf", "hangs", "late", "handler"},
    "numbers": {"handler"},
    "stream": {"handler"},
    "consume": {"handler"},
    "blocking": {"handler"},
    "fails": {"handler"},
    "leaf": {"handler"},
    "times_out": {"handler"},
    "hangs": {"times_out"},
    "late": {"handler"},
    "handler": set(),
    "elsewhere": set(),
}
"""Each function, and what may be the innermost call of the app that it hangs below."""

CLOSED = "numbers"
"""A suspended generator that is closed; 3.13.0 says nothing then, and its node stays open."""

NOTES = {"leaf": 1, "blocking": 1, "fails": 1, "late": 1, "hangs": 1, "consume": 3, "stream": 3}
WHOLE = Counter(
    handler=1, note=16, numbers=2, consume=1, leaf=2, blocking=1, fails=1, times_out=1, hangs=1, stream=1
)
"""The calls of one complete `handler`; `late` outlives it, and is in it or not."""


class WrongTrace(AssertionError):
    """A trace that does not tell what happened."""


def check(trace: Trace, *, whole: bool) -> int:
    """Look at every node; return how many there are. `whole` says that nothing was pruned or left out on purpose."""
    nodes = list(trace.nodes())
    by_id = {node.id: node for node in nodes}
    numbers = {node.args["task"] for node in nodes if node.module == MODULE and "task" in node.args}
    if not nodes and trace.status != COMPLETE:
        return 0  # its probe ended between the trigger and the first call
    if len(numbers) > 1 or (trace.captured and not numbers):
        raise WrongTrace(f"calls of the tasks {numbers} in one trace: {outline(trace, nodes)}")
    inferred = {branch.id for branch in trace.branches if branch.link != "exact"}
    for node in nodes:
        if node.module == MODULE:
            linked = whole and node.branch not in inferred
            problem = wrong(node, by_id, numbers, linked=linked, captured=trace.captured)
            if problem:
                raise WrongTrace(f"{problem}: {node}, below {[str(above) for above in chain(node, by_id)]}")
    if whole and trace.status == COMPLETE:
        check_whole(trace, nodes)
    return len(nodes)


def wrong(node: Node, by_id: dict[int, Node], numbers: set[int], *, linked: bool, captured: bool) -> str:
    """Say what is wrong with a node; nothing, mostly."""
    above = next((one.function for one in chain(node, by_id) if one.module == MODULE), None)
    # Of what was pruned a caller may be missing; where a branch was started is not known when a probe was set meanwhile.
    if linked and above is not None and above not in CALLERS[node.function]:
        return f"{above} does not call it"
    if node.state == LOST and node.function != CLOSED:
        return "its end was not seen"
    if not captured or node.state != RETURNED or node.function in ("numbers", "stream"):
        return ""
    return "" if {node.returned} == numbers else f"it returned {node.returned}, in a trace of {numbers}"


def check_whole(trace: Trace, nodes: list[Node]) -> None:
    """A complete trace has all calls of its root, and their ends."""
    root = trace.roots[0].function
    calls = Counter(node.function for node in nodes if node.module == MODULE)
    if root == "handler":
        late = calls.pop("late", 0)
        spare = calls["note"] - WHOLE["note"]
        right = late <= 1 and 0 <= spare <= late and calls - Counter(note=spare) == WHOLE
    elif root == "elsewhere":
        right = calls == Counter(elsewhere=1)
    else:
        right = "elsewhere" not in calls and (
            root not in NOTES or (calls["note"] == NOTES[root] and calls[root] == 1)
        )
    if not right:
        raise WrongTrace(f"a complete {root} made of {dict(calls)}")
    unfinished = [
        node
        for node in nodes
        if node.open and node.module == MODULE and node.function not in ("late", CLOSED)
    ]
    if unfinished:
        raise WrongTrace(f"still open in a complete trace: {unfinished}")


def outline(trace: Trace, nodes: list[Node]) -> str:
    """Return the app's calls of a trace, for the report of what is wrong with it."""
    return " ".join(
        f"{trace.branches[node.branch].kind} {node.branch}:{node.function}({node.args.get('task')}){node.state}"
        for node in nodes
        if node.module == MODULE
    )


def chain(node: Node, by_id: dict[int, Node]) -> Iterator[Node]:
    """Yield what a node hangs below, innermost first."""
    while node.parent is not None:
        node = by_id[node.parent]
        yield node


def check_block(roots: list[TraceNode], task: int) -> None:
    """A block of `trace()` around one `handler` has no call of another task."""
    todo = list(roots)
    while todo:
        node = todo.pop()
        todo.extend(node.children)
        if node.module == MODULE and not (node.args + ",").startswith(f"task={task},"):
            raise WrongTrace(f"{node.name}({node.args}) in a block of task {task}")
