"""The calls of a local trace as users hold them: `TraceNode`, and the tree as text."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from tracepatch_shared.records import TRIPPED
from tracepatch_shared.showing import escape, python_text, type_text
from tracepatch_shared.trace import RETURNED

if TYPE_CHECKING:
    from tracepatch_shared.trace import Node, Trace

_DEEPEST_INDENT: Final = 64
_KEPT: Final = 8 * 4
_LINE_CHARACTERS: Final = 10_000


@dataclass(eq=False)
class TraceNode:
    """One call. Times are `time.perf_counter` seconds; `waiting` is the part of `elapsed` in which it was suspended.

    `branch` names the task or thread for a call that began one, `open` is true while no end was seen.
    """

    name: str
    module: str
    args: str
    return_value: str | None = None
    exception: str | None = None
    start: float = 0.0
    end: float = 0.0
    elapsed: float = 0.0
    children: list[TraceNode] = field(default_factory=list, repr=False)
    depth: int = 0
    waiting: float = 0.0
    branch: str = ""
    open: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return the node and all below it as JSON fields."""
        whole: list[dict[str, Any]] = []
        todo: list[tuple[TraceNode, list[dict[str, Any]]]] = [(self, whole)]
        while todo:
            node, siblings = todo.pop()
            form = node._form()
            siblings.append(form)
            if node.children:
                children: list[dict[str, Any]] = []
                form["children"] = children
                todo.extend([(child, children) for child in reversed(node.children)])
        return whole[0]

    def _form(self) -> dict[str, Any]:
        form: dict[str, Any] = {
            "name": self.name,
            "module": self.module,
            "args": self.args,
            "return_value": self.return_value,
            "start": self.start,
            "end": self.end,
            "elapsed_ms": round(self.elapsed * 1000, 4),
        }
        if self.exception is not None:
            form["exception"] = self.exception
        return form


def json_lines(roots: list[TraceNode]) -> Iterator[str]:
    """Yield the JSON array of nodes, one a line, indented up to a depth."""
    dumps = json.JSONEncoder().encode
    breaks = ["\n" + "  " * (level + 2) for level in range(_DEEPEST_INDENT)]
    # What is still to be written: a node and its level, or the text that closes one.
    todo: list[tuple[TraceNode | None, int, str]] = []

    def push(nodes: list[TraceNode], level: int) -> None:
        todo.append((None, level, f"{breaks[min(level, _DEEPEST_INDENT - 1)][:-2]}]" if nodes else "]"))
        for index in range(len(nodes) - 1, -1, -1):
            todo.append((nodes[index], level, "," if index else ""))

    yield "["
    push(roots, 0)
    while todo:
        node, level, text = todo.pop()
        if node is None:
            yield text
            continue
        start = text + breaks[min(level, _DEEPEST_INDENT - 1)] + dumps(node._form())
        if node.children:
            yield start[:-1] + ', "children": ['
            todo.append((None, level, "}"))
            push(node.children, level + 1)
        else:
            yield start


class Result:
    """What a recording has come to: the numbers, and the tree when it is asked for.

    `began` is the `perf_counter` time at which the trace's own times start, `characters` the bound of a text; with
    `reprs` the captured texts are reprs and stand as they are.
    """

    def __init__(self, whole: Trace | None, *, began: float, characters: int, reprs: bool) -> None:
        self._whole = whole
        self._began = began
        self._room = max(characters, 4)
        self._reprs = reprs
        self._roots: list[TraceNode] | None = None
        self.calls = 0 if whole is None else whole.calls
        self.limited = whole is not None and (whole.status == TRIPPED or whole.dropped > 0)

    @property
    def roots(self) -> list[TraceNode]:
        if self._roots is None:
            self._roots = [] if self._whole is None else self._converted(self._whole)
            self._whole = None
        return self._roots

    def _converted(self, whole: Trace) -> list[TraceNode]:
        roots: list[TraceNode] = []
        by_id: dict[int, tuple[TraceNode, int]] = {}
        branches = {branch.id: branch for branch in whole.branches}
        for node in whole.nodes():
            made = self._node(node)
            by_id[node.id] = (made, node.branch)
            above = None if node.parent is None else by_id[node.parent]
            (roots if above is None else above[0].children).append(made)
            branch = branches.get(node.branch)
            if branch is not None and branch.kind != "root" and (above is None or above[1] != node.branch):
                made.branch = f"{branch.kind} {branch.name!r}" if branch.name else branch.kind
        return roots

    def _node(self, node: Node) -> TraceNode:
        start = self._began + node.start_ns / 1e9
        elapsed = node.wall_ns / 1e9
        made = TraceNode(
            name=node.function.rpartition(".")[2],
            module=node.module,
            args=self._short(", ".join([f"{name}={self._text(value)}" for name, value in node.args.items()])),
            start=start,
            end=start + elapsed,
            elapsed=elapsed,
            depth=node.depth,
            waiting=node.waiting_ns / 1e9,
            open=node.open,
        )
        if node.error is not None:
            kind, message = node.error
            text = message if isinstance(message, str) else "" if message is None else self._text(message)
            made.exception = f"{type_text(kind)}: {text}"
        elif node.state == RETURNED:
            made.return_value = self._text(node.returned)
        return made

    def _text(self, value: Any) -> str:
        if self._reprs and isinstance(value, str):
            return self._short(value)
        return self._short(python_text(value, self._room))

    def _short(self, text: str) -> str:
        return text if len(text) <= self._room else text[: self._room - 3] + "..."


NOTHING = Result(None, began=0.0, characters=0, reprs=False)


def lines(roots: list[TraceNode]) -> Iterator[str]:
    """Yield the tree's lines; far down the depth is a number and only the last guides are drawn."""
    todo: list[tuple[TraceNode, str, bool, int]] = []
    for index in range(len(roots) - 1, -1, -1):
        todo.append((roots[index], "", index == len(roots) - 1, 0))
    while todo:
        node, prefix, last, depth = todo.pop()
        outcome = ""
        if node.exception is not None:
            outcome = f" !! {escape(node.exception)}"
        elif node.return_value is not None:
            outcome = f" -> {escape(node.return_value)}"
        elif node.open:
            outcome = " ... still running"
        waited = f", waited {_duration(node.waiting)}" if node.waiting else ""
        branch = f"[{escape(node.branch)}] " if node.branch else ""
        lead = prefix if depth <= _DEEPEST_INDENT else f"[{depth}] {prefix}"
        yield (
            f"{lead}{'└── ' if last else '├── '}{branch}{escape(node.module)}.{node.name}({escape(node.args)}){outcome}"
            f"  [{_duration(node.elapsed)}{waited}]"
        )[:_LINE_CHARACTERS]
        below = prefix + ("    " if last else "│   ")
        if depth >= _DEEPEST_INDENT:
            below = below[-_KEPT:]
        for index in range(len(node.children) - 1, -1, -1):
            todo.append((node.children[index], below, index == len(node.children) - 1, depth + 1))


def _duration(seconds: float) -> str:
    if seconds < 0.001:
        return f"{seconds * 1e6:.0f}us"
    return f"{seconds * 1e3:.2f}ms" if seconds < 1 else f"{seconds:.3f}s"
