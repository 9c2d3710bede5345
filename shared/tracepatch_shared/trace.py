"""A trace as data: its nodes and branches.

A `Trace` comes from `tree.TraceReader` (a stream) or `Trace.from_json` (a file) and does not care which. A branch
whose starting node is known hangs below it: its roots are among that node's `children`, with another `branch` number.
Nothing here recurses over nodes: a 10 000-deep trace is walked, written and read like any other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, BinaryIO, Final

from . import deepjson
from .errors import MessageError
from .records import COMPLETE, OPEN

RUNNING: Final = "open"
RETURNED: Final = "returned"
RAISED: Final = "raised"
LOST: Final = "lost"

EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)


class Code:
    """What the stream says once of a code object."""

    __slots__ = ("arguments", "file", "flags", "function", "line", "module")

    def __init__(
        self, module: str, function: str, file: str, line: int, arguments: Iterable[str] = (), flags: int = 0
    ) -> None:
        self.module = module
        self.function = function
        self.file = file
        self.line = line
        self.arguments = tuple(arguments)
        self.flags = flags


class Node:
    """One call: times in nanoseconds, `start_ns` since the start of the trace.

    `state` is `returned`, `raised`, `lost` (its end was not seen: it ended at the latest then) or `open`. `paused` is
    true for an open generator that stands at a `yield` and for what it holds: not running, and not hanging either.
    `at_line` is the line at which an open one stands, where that is known. `parent` is the number of the node below which
    it hangs, nil for a root.
    """

    __slots__ = (
        "_base",
        "_home",
        "_left",
        "_waited",
        "at_line",
        "branch",
        "caught",
        "children",
        "code",
        "depth",
        "elided",
        "error",
        "id",
        "parent",
        "paused",
        "returned",
        "self_ns",
        "start_ns",
        "state",
        "values",
        "waiting_ns",
        "wall_ns",
    )

    # What only the reader uses while the node is open.
    _home: Any
    _base: int
    _waited: int
    _left: int

    def __init__(self, number: int, code: Code, branch: int, parent: Node | None, start_ns: int) -> None:
        self.id = number
        self.code = code
        self.branch = branch
        if parent is None:
            self.parent: int | None = None
            self.depth = 0
        else:
            self.parent = parent.id
            self.depth = parent.depth + 1
        self.start_ns = start_ns
        self.wall_ns = 0
        self.waiting_ns = 0
        self.self_ns = 0
        self.values: Sequence[Any] = ()
        self.state = RUNNING
        self.paused = False
        self.at_line: int | None = None
        self.returned: Any = None
        self.error: tuple[str, Any] | None = None
        self.caught = False
        """The call that made this one handled its exception."""
        self.elided = 0
        self.children: Sequence[Node] = ()

    def add(self, child: Node) -> None:
        """Hang a call below this one; most calls make none, so the list is made with the first."""
        if type(self.children) is list:
            self.children.append(child)
        else:
            self.children = [child]

    @property
    def function(self) -> str:
        """The qualname."""
        return self.code.function

    @property
    def module(self) -> str:
        return self.code.module

    @property
    def file(self) -> str:
        return self.code.file

    @property
    def line(self) -> int:
        return self.code.line

    @property
    def running_ns(self) -> int:
        """Wall time without waiting."""
        return self.wall_ns - self.waiting_ns

    @property
    def open(self) -> bool:
        """True while no end was seen."""
        return self.state == RUNNING

    @property
    def args(self) -> dict[str, Any]:
        """The arguments by name, plain; empty where they were not recorded."""
        names = self.code.arguments
        args = dict(zip(names, self.values, strict=False))
        for index in range(len(names), len(self.values)):
            args[f"argument {index}"] = self.values[index]
        return args

    @property
    def raised(self) -> dict[str, Any] | None:
        """`{"type", "message"}` of the exception that ended the call."""
        return None if self.error is None else {"type": self.error[0], "message": self.error[1]}

    @property
    def caught_by(self) -> int | None:
        """The node in which the exception that ended the call went no further, where it did not pass on."""
        return self.parent if self.caught else None

    def __repr__(self) -> str:
        return f"<Node {self.id} {self.module}.{self.function} {self.state}>"


class Branch:
    """A part of a trace that ran in another task or thread; `parent_node` started it, as far as `link` is exact.

    `waiting` is true when it was suspended at the end of the stream, for `waiting_ns` by then: what is open there waits, it
    does not run.
    """

    __slots__ = ("id", "kind", "link", "name", "parent_node", "start_ns", "waiting", "waiting_ns")

    def __init__(
        self, number: int, kind: str, name: str, parent_node: int | None, link: str, start_ns: int
    ) -> None:
        self.id = number
        self.kind = kind
        self.name = name
        self.parent_node = parent_node
        self.link = link
        self.start_ns = start_ns
        self.waiting = False
        self.waiting_ns = 0


class Trace:
    """The call tree of one task. `open` as status means that no end was seen (yet)."""

    def __init__(self) -> None:
        self.trace_id = ""
        self.probe_id = ""
        self.target = ""
        self.agent: dict[str, Any] = {}
        self.task: dict[str, Any] = {}
        self.started_at_ns = 0
        """Unix time in nanoseconds."""
        self.duration_ns = 0
        """Wall time of the root; of the whole recording where there is not exactly one root."""
        self.status = OPEN
        self.reason: str | None = None
        self.calls = 0
        self.dropped = 0
        self.drops: dict[str, int] = {}
        self.elided = 0
        self.overhead_ns = 0
        self.unstarted = 0
        """Branches that the task had started, and that had not run when the trace ended."""
        self.limits: dict[str, Any] = {}
        self.traceparent: str | None = None
        self.captured = True
        """False where arguments, results and messages were not recorded (`--no-args`)."""
        self.branches: list[Branch] = []
        self.roots: list[Node] = []

    @property
    def complete(self) -> bool:
        return self.status == COMPLETE

    @property
    def running_branches(self) -> int:
        """Branches, the root's own not counted, that were still running when the trace ended."""
        if self.status == OPEN or not self.roots:
            return 0
        own = self.roots[0].branch
        return len({node.branch for node in self.nodes() if node.open and not node.paused} - {own})

    @property
    def started_at(self) -> str:
        """ISO 8601, UTC, microseconds."""
        try:
            moment = EPOCH + timedelta(microseconds=self.started_at_ns // 1000)
        except OverflowError:
            moment = EPOCH
        return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    @staticmethod
    def read(stream: bytes | BinaryIO | Iterable[bytes]) -> Trace:
        """Return the trace in a raw stream: bytes, a binary file, or pieces. A cut-off stream gives a tree, too."""
        from .tree import TraceReader

        reader = TraceReader()
        if isinstance(stream, (bytes, bytearray, memoryview)):
            reader.feed(bytes(stream))
        elif hasattr(stream, "read"):
            while piece := stream.read(1 << 18):
                reader.feed(piece)
        else:
            for piece in stream:
                reader.feed(piece)
        return reader.trace

    @staticmethod
    def load(path: str | Path) -> Trace:
        """Return the trace in a file: our JSON, NDJSON, or the raw stream."""
        return Trace.from_bytes(Path(path).read_bytes())

    @staticmethod
    def from_bytes(content: bytes) -> Trace:
        """Return the trace in what a file held; raise `MessageError` where it is none of our forms."""
        start = content[:64].lstrip()[:1]
        if start != b"{":
            if not content or content[0] & 0xF0 != 0x90:
                raise MessageError("this is not a trace: neither our JSON, nor NDJSON, nor a raw stream")
            return Trace.read(content)
        text = content.decode("utf-8", "replace")
        try:
            first, _, rest = text.strip().partition("\n")
            try:
                head = deepjson.loads(first)
            except ValueError:
                return Trace.from_json(deepjson.loads(text))
            if "roots" in head:
                return Trace.from_json(head)
            return Trace.from_flat(
                [head, *(deepjson.loads(line) for line in rest.splitlines() if line.strip())]
            )
        except ValueError as error:
            raise MessageError(f"this is not a trace in JSON: {error}") from None

    def nodes(self) -> Iterator[Node]:
        """Yield all nodes, those of branches too, each before its children."""
        todo = self.roots[::-1]
        while todo:
            node = todo.pop()
            yield node
            if node.children:
                todo.extend(reversed(node.children))

    def to_json(self) -> dict[str, Any]:
        """Return the nested form. Encode it with `iter_json` or `deepjson.encode`: json.dumps recurses."""
        from .form import trace_form

        return trace_form(self)

    def flat(self) -> Iterator[dict[str, Any]]:
        """Yield each node with `trace_id` and `parent` instead of `children`."""
        from .form import flat_form

        return flat_form(self)

    @staticmethod
    def from_json(form: Any) -> Trace:
        """Return the trace whose `to_json` form is given; raise `MessageError` where it is something else."""
        from .form import from_form

        return from_form(form)

    @staticmethod
    def from_flat(lines: Iterable[Any]) -> Trace:
        """Return the trace whose `flat` lines are given; what only the whole form says stays empty."""
        from .form import from_flat

        return from_flat(lines)
