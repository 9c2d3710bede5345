"""A trace as lines of text: what an engineer reads at three in the morning.

Times stand in columns at the left, so that a slow call is found by running down one column; the tree is at the right,
where it may be as wide as it likes. `draw` yields lines as spans of (style, text) for whoever has colours, `render`
yields plain text. Both walk the tree with a stack, never by recursion, and hold no line but the current one.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from typing import Any, Final

from .records import COMPLETE
from .showing import ELLIPSIS, escape, value_text
from .summary import Span, count, foot, head, symbols
from .text import duration
from .trace import LOST, RAISED, RETURNED, Branch, Node, Trace

VALUE_CHARACTERS: Final = 80
MESSAGE_CHARACTERS: Final = 200
DEEPEST_INDENT: Final = 32
"""From here on a line shows its depth as a number and only the last guides."""
_KEPT = 8 * 4
_FOLD_SHOWN = 3
_COLUMN = 9
_LEAST_ARGUMENTS = 16


def render(
    trace: Trace,
    *,
    ascii: bool = False,
    max_lines: int | None = None,
    width: int | None = None,
    fold: int | None = 10,
) -> Iterator[str]:
    """Yield the lines of a trace without line ends.

    `width` cuts lines at that many columns, `max_lines` the tree after that many lines (head and foot are always
    there), `fold` shows that many equal calls in a row as a few and a count (nil: never). `ascii` uses ASCII only, whatever was
    captured.
    """
    for line in draw(trace, ascii=ascii, max_lines=max_lines, fold=fold):
        yield "".join([text for _, text in (line if width is None else cut(line, width, ascii=ascii))])


def draw(
    trace: Trace, *, ascii: bool = False, max_lines: int | None = None, fold: int | None = 10
) -> Iterator[list[Span]]:
    """Yield the same lines as spans."""
    drawing = _Drawing(trace, ascii, fold)
    lines = drawing.lines(max_lines)
    if not ascii:
        yield from lines
        return
    for line in lines:
        yield [(style, _ascii(text)) for style, text in line]


def cut(line: list[Span], width: int, *, ascii: bool = False) -> list[Span]:
    """Return the line in `width` columns, an ellipsis at the end where something is missing."""
    over = sum(columns(text) for _, text in line) - width
    if over <= 0:
        return line
    mark = "..." if ascii else ELLIPSIS
    # Arguments give way first: how a call ended matters more than what it was given.
    for index, (style, text) in enumerate(line):
        if style == "args" and len(text) > _LEAST_ARGUMENTS:
            end = f"{mark})"
            keep = max(len(text) - over - len(end), _LEAST_ARGUMENTS)
            line = [*line[:index], (style, text[:keep] + end), *line[index + 1 :]]
            if sum(columns(text) for _, text in line) <= width:
                return line
    left = width - len(mark)
    kept: list[Span] = []
    for style, text in line:
        for index, char in enumerate(text):
            left -= columns(char)
            if left < 0:
                return [*kept, (style, text[:index] + mark)] if width > len(mark) else [("dim", mark[:width])]
        kept.append((style, text))
    return kept


def columns(text: str) -> int:
    """Return the terminal columns that `text` takes."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text
    )


class _Drawing:
    """One walk over one trace."""

    def __init__(self, trace: Trace, ascii: bool, fold: int | None) -> None:
        self.trace = trace
        self.fold = fold
        self.text = symbols(ascii)
        self.branches = {branch.id: branch for branch in trace.branches}
        self.main = trace.roots[0].branch if trace.roots else -1
        self.shown = 0

    def lines(self, max_lines: int | None) -> Iterator[list[Span]]:
        yield from head(self.trace, self.text)
        yield []
        yield [("dim", f"{'wall':>{_COLUMN}}{'waited':>{_COLUMN + 1}}")]
        for number, line in enumerate(self.tree()):
            if number == max_lines:
                rest = self.trace.calls - self.shown
                yield [("note", f"{'':{2 * _COLUMN + 3}}{ELLIPSIS} {count(rest, 'more call')}")]
                break
            yield line
        if not self.trace.roots:
            yield [
                (
                    "note",
                    f"{'':{2 * _COLUMN + 3}}(no calls yet)"
                    if self.trace.status != COMPLETE
                    else "(no calls)",
                )
            ]
        last = list(foot(self.trace))
        if last:
            yield []
            yield from last

    # ---- the tree -----------------------------------------------------------------------------------------------

    def tree(self) -> Iterator[list[Span]]:
        text = self.text
        # (what, guides before it, connector, guides before its children); the last ones come first.
        todo: list[tuple[Any, str, str, str, int]] = []
        for item in reversed(self.items(self.trace.roots, self.main)):
            todo.append((item, "", "", "", 0))
        while todo:
            item, before, connector, below, depth = todo.pop()
            if type(item) is Node:
                self.shown += 1
                yield self.node(item, before + connector, depth)
                items = self.items(item.children, item.branch)
            elif type(item) is _Group:
                yield [
                    ("dim", " " * (2 * _COLUMN + 3)),
                    ("guide", self.lead(before + connector, depth)),
                    *self.branch(item.branch),
                ]
                items = self.fold_runs(item.nodes)
            else:
                self.shown += len(item.nodes)
                yield self.folded(item, before + connector, depth)
                continue
            last = len(items) - 1
            for index in range(last, -1, -1):
                final = index == last
                step = text["none"] if final else text["pass"]
                child_below = (below + step)[-_KEPT:] if depth >= DEEPEST_INDENT else below + step
                todo.append(
                    (items[index], below, text["last"] if final else text["fork"], child_below, depth + 1)
                )

    def items(self, children: Sequence[Node], branch: int) -> list[Any]:
        """Return what hangs below a node: its calls, repetitions folded, and the branches that it started."""
        if all(child.branch == branch for child in children):
            return self.fold_runs(children)
        items: list[Any] = []
        groups: dict[int, _Group] = {}
        run: list[Node] = []
        for child in children:
            if child.branch == branch:
                run.append(child)
                continue
            items += self.fold_runs(run)
            run = []
            group = groups.get(child.branch)
            if group is None:
                group = groups[child.branch] = _Group(self.branches.get(child.branch))
                items.append(group)
            group.nodes.append(child)
        return items + self.fold_runs(run)

    def fold_runs(self, nodes: Sequence[Node]) -> list[Any]:
        least = self.fold
        if least is None or len(nodes) < least:
            return list(nodes)
        items: list[Any] = []
        start = 0
        while start < len(nodes):
            end = start + 1
            if _foldable(nodes[start]):
                code = nodes[start].code
                while end < len(nodes) and nodes[end].code is code and _foldable(nodes[end]):
                    end += 1
            if end - start < least:
                items += nodes[start:end]
            else:
                items += nodes[start : start + _FOLD_SHOWN]
                items.append(_Run(nodes[start + _FOLD_SHOWN : end]))
            start = end
        return items

    def lead(self, guides: str, depth: int) -> str:
        """Return the guides; in deep trees the depth as a number, and only the last of them."""
        return guides if depth <= DEEPEST_INDENT else f"[{depth}] {guides[-_KEPT:]}"

    def node(self, node: Node, guides: str, depth: int) -> list[Span]:
        text = self.text
        wall = duration(node.wall_ns)
        waited = duration(node.waiting_ns) if node.waiting_ns else ""
        line: list[Span] = [
            ("time", f"{wall:>{_COLUMN}}"),
            ("wait", f"{waited:>{_COLUMN + 1}}  "),
            ("guide", self.lead(guides, depth)),
            ("module", escape(node.module) + "."),
            ("function", escape(node.function)),
            ("args", self.arguments(node)),
        ]
        state = node.state
        if state == RETURNED:
            if self.trace.captured:
                line += [("dim", text["gives"]), ("value", value_text(node.returned, VALUE_CHARACTERS))]
        elif state == RAISED and node.error is not None:
            line.append(("error", text["raises"] + error_text(node)))
            if node.caught:
                line.append(("note", "  (caught)"))
        elif state == LOST:
            line.append(("note", "  (end not seen)"))
        else:
            line.append(("open", text["paused" if node.paused else "open"] + self.open_text(node)))
            if node.at_line is not None:
                line.append(("open", f" at {escape(_tail(node))}:{node.at_line}"))
        if node.elided:
            line.append(("note", f"  +{count(node.elided, 'inner call')}"))
        return line

    def arguments(self, node: Node) -> str:
        if not self.trace.captured:
            return f"({ELLIPSIS})" if node.code.arguments else "()"
        parts = [f"{escape(name)}={value_text(value, VALUE_CHARACTERS)}" for name, value in node.args.items()]
        return f"({', '.join(parts)})"

    def open_text(self, node: Node) -> str:
        if node.paused:
            return "paused at a yield"
        branch = self.branches.get(node.branch)
        if branch is None or not branch.waiting:
            text = "still running"
        else:
            innermost = not any(child.open and child.branch == node.branch for child in node.children)
            how_long = f" {duration(branch.waiting_ns)}" if innermost and node.at_line is not None else ""
            text = f"still waiting{how_long}"
        return f"{text} when the trace ended" if self.trace.status == COMPLETE else text

    def branch(self, branch: Branch | None) -> list[Span]:
        if branch is None:
            return [("branch", self.text["branch"] + "branch")]
        name = f" '{escape(branch.name)}'" if branch.name else ""
        line = [("branch", f"{self.text['branch']}{escape(branch.kind)}{name}")]
        if branch.link == "inferred":
            line.append(("note", "  (inferred: started about here)"))
        return line

    def folded(self, run: _Run, guides: str, depth: int) -> list[Span]:
        nodes = run.nodes
        slowest = max(nodes, key=_wall)
        waited = sum(node.waiting_ns for node in nodes)
        name = f"{escape(nodes[0].module)}.{escape(nodes[0].function)}"
        return [
            ("time", f"{duration(sum(map(_wall, nodes))):>{_COLUMN}}"),
            ("wait", f"{duration(waited) if waited else '':>{_COLUMN + 1}}  "),
            ("guide", self.lead(guides, depth)),
            (
                "note",
                f"{self.text['more']} {self.text['times']}{len(nodes)} more {name}, the slowest {duration(slowest.wall_ns)}",
            ),
        ]


class _Group:
    """A branch and its roots."""

    __slots__ = ("branch", "nodes")

    def __init__(self, branch: Branch | None) -> None:
        self.branch = branch
        self.nodes: list[Node] = []


class _Run:
    """Equal calls in a row that are shown as one line."""

    __slots__ = ("nodes",)

    def __init__(self, nodes: Sequence[Node]) -> None:
        self.nodes = nodes


def error_text(node: Node) -> str:
    """Return `Type: message` of the exception that ended the call."""
    kind, message = node.error or ("?", None)
    name = escape(kind)
    if message is None or message == "":
        return name
    if isinstance(message, str):
        cut_off = (
            message if len(message) <= MESSAGE_CHARACTERS else message[: MESSAGE_CHARACTERS - 1] + ELLIPSIS
        )
        return f"{name}: {escape(cut_off)}"
    return f"{name}: {value_text(message, MESSAGE_CHARACTERS)}"


def _tail(node: Node) -> str:
    """Return the end of a node's file that its module has as well: `app/db.py` for `app.db`."""
    parts = node.file.replace("\\", "/").split("/")
    length = node.module.count(".") + 1 + (parts[-1] == "__init__.py")
    return "/".join(parts[-length:])


def _foldable(node: Node) -> bool:
    return not node.children and node.state == RETURNED


def _wall(node: Node) -> int:
    return node.wall_ns


def _ascii(text: str) -> str:
    if text.isascii():
        return text
    plain = text.replace(ELLIPSIS, "...").replace("µs", "us")
    return plain.encode("ascii", "backslashreplace").decode("ascii")
