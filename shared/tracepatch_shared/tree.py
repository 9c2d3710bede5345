"""A trace from its stream, at any moment: what the records mean.

`TraceReader` takes records or bytes as they come; `trace` is the tree so far. Each branch has a stack of open nodes and
a clock of its suspended time: a node's waiting time is the difference of that clock between its end and its start, so
a suspension costs the same however deep the stack is. A generator that yields leaves the stack with all above it, its
clock stands until it comes back, on whatever branch. Self time is charged to the node on top of a branch that runs.

Unknown records and extra fields are ignored, so is a record that is malformed (`ignored` counts those), and a stream
that is cut off gives the tree up to there.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

from . import PROTOCOL, records
from .errors import VersionError
from .form import iter_json
from .reader import RecordReader
from .records import COMPLETE, OPEN
from .trace import LOST, RAISED, RETURNED, Branch, Code, Node, Trace
from .values import Mark, shallow

__all__ = ["Branch", "Code", "Node", "Trace", "TraceReader", "iter_json"]

_CONTAINERS = (list, dict, tuple, Mark)
_HERE = os.path.dirname(os.path.abspath(__file__)) + os.sep


class _Stack:
    """The open nodes of one branch and its clocks, in nanoseconds since the start of the trace."""

    __slots__ = ("branch", "mark", "nodes", "since", "suspended")

    def __init__(self, branch: Branch) -> None:
        self.branch = branch
        self.nodes: list[Node] = []
        self.suspended = 0
        """Time of the suspensions that are over."""
        self.since: int | None = None
        """When the present suspension began."""
        self.mark = branch.start_ns
        """Up to here the time is charged to some node's self time."""

    def waited(self, now: int) -> int:
        return self.suspended if self.since is None else self.suspended + now - self.since

    def charge(self, now: int) -> None:
        if self.since is None:
            if self.nodes:
                self.nodes[-1].self_ns += now - self.mark
            self.mark = now


class TraceReader:
    """Build a trace from its records. Not for several threads at once."""

    def __init__(self) -> None:
        self.ignored = 0
        """Records that were malformed."""
        self._trace = Trace()
        self._now = 0
        self._latest = 0
        self._codes: list[Code] = []
        self._strings: list[str] = []
        self._nodes: list[Node] = []
        self._stacks: list[_Stack] = []
        self._current: _Stack | None = None
        self._away: dict[int, list[Node]] = {}
        self._standing: list[Node] = []
        self._raised: dict[int, list[Node]] = {}
        """By the calls that made them: calls that raised, until it shows how their exceptions went on."""
        self._ended = False
        self._decoder: RecordReader | None = None
        self._do: dict[int, Callable[[Sequence[Any]], None]] = {
            records.HEAD: self._head,
            records.CODE: self._code,
            records.STRING: self._string,
            records.BRANCH: self._branch,
            records.SWITCH: self._switch,
            records.CALL: self._call,
            records.RETURN: self._return,
            records.RAISE: self._raise,
            records.SUSPEND: self._suspend,
            records.RESUME: self._resume,
            records.YIELD: self._yield,
            records.REENTER: self._reenter,
            records.LOST: self._lost,
            records.DROP: self._drop,
            records.END: self._end,
            records.LINES: self._lines,
        }

    @property
    def ended(self) -> bool:
        """True once the END record was read; what follows it is ignored."""
        return self._ended

    @property
    def damage(self) -> str | None:
        """What is wrong with the bytes, nil as long as all is well."""
        return None if self._decoder is None else self._decoder.damage

    def feed(self, data: bytes) -> None:
        """Read a piece of the stream's bytes; the pieces may be cut anywhere."""
        if self._decoder is None:
            self._decoder = RecordReader(self._strings)
        for record in self._decoder.feed(data):
            self.record(record)

    def record(self, record: Sequence[Any]) -> None:
        """Read one record; raise `VersionError` when the stream is of a version that is not understood."""
        if self._ended:
            return
        try:
            do = self._do.get(record[0])
            if do is not None:
                do(record)
        except (IndexError, KeyError, TypeError, ValueError, AttributeError) as error:
            if _raised_elsewhere(error):
                raise  # in a process that reads its own trace: a signal handler's
            self.ignored += 1

    @property
    def trace(self) -> Trace:
        """The trace so far, always the same object; the times of open nodes reach to the last record."""
        trace = self._trace
        now = self._latest
        for stack in self._stacks:
            stack.charge(now)
            stack.branch.waiting = stack.since is not None
            stack.branch.waiting_ns = 0 if stack.since is None else max(0, now - stack.since)
            clock = stack.waited(now)
            for node in stack.nodes:
                node.wall_ns = max(0, now - node.start_ns)
                node.waiting_ns = min(max(0, node._waited + clock - node._base), node.wall_ns)
        for segment in self._away.values():
            for node in segment:
                node.wall_ns = max(0, now - node.start_ns)
                node.waiting_ns = min(max(0, node._waited + now - node._left), node.wall_ns)
        trace.calls = len(self._nodes)
        own = [root for root in trace.roots if root.branch == trace.roots[0].branch]
        trace.duration_ns = own[0].wall_ns if len(own) == 1 else now
        response = trace.task.get("response_ns")
        if type(response) is int and response >= 0 and own:
            # Of a request: from its entry until the last byte was handed to the server.
            trace.duration_ns = max(0, response - own[0].start_ns)
        elif trace.task.get("kind") == "http" and trace.status != COMPLETE and own:
            # A body that was returned is not at its end: that is none of a short request.
            trace.duration_ns = max(0, now - own[0].start_ns)
        return trace

    def _tick(self, delta: Any) -> int:
        self._now = now = self._now + int(delta)
        if now > self._latest:
            self._latest = now
        return now

    def _head(self, record: Sequence[Any]) -> None:
        head = record[1]
        version = head.get("v", PROTOCOL)
        if version != PROTOCOL:
            raise VersionError(
                f"version {version!r} of a trace's stream is not understood here, only {PROTOCOL}"
            )
        trace = self._trace
        for name in ("trace_id", "probe_id", "target"):
            setattr(trace, name, _text(head.get(name, "")))
        self._facts(head)
        for name in ("agent", "limits"):
            value = head.get(name)
            if isinstance(value, dict):
                setattr(trace, name, shallow(value))
        started = head.get("started_at_ns")
        if type(started) is int:
            trace.started_at_ns = started

    def _facts(self, source: dict[str, Any]) -> None:
        """Read what the first or the last record may say."""
        trace = self._trace
        task = source.get("task")
        if isinstance(task, dict):
            trace.task = {**trace.task, **shallow(task)}
        if source.get("args") is False:
            trace.captured = False
        if isinstance(source.get("traceparent"), str):
            trace.traceparent = source["traceparent"]
        for name in ("overhead_ns", "elided", "dropped", "unstarted"):
            value = source.get(name)
            if type(value) is int and value > getattr(trace, name):
                setattr(trace, name, value)

    def _code(self, record: Sequence[Any]) -> None:
        # A malformed one still takes its number, or all that follow would be misnamed.
        module, function, file, line, arguments, flags = _filled(record, 1, ("?", "?", "", 0, (), 0))
        names = [_text(name) for name in arguments] if isinstance(arguments, (list, tuple)) else []
        self._codes.append(Code(_text(module), _text(function), _text(file), _int(line), names, _int(flags)))

    def _string(self, record: Sequence[Any]) -> None:
        self._strings.append(_text(record[1]) if len(record) > 1 else "")

    def _branch(self, record: Sequence[Any]) -> None:
        now = self._tick(record[1])
        kind, name, parent, link = _filled(record, 2, ("", "", None, "exact"))
        if type(parent) is not int or not 0 <= parent < len(self._nodes):
            parent = None
        self._current = self._begin(
            Branch(len(self._stacks), _text(kind), _text(name), parent, _text(link), now)
        )

    def _begin(self, branch: Branch) -> _Stack:
        stack = _Stack(branch)
        self._stacks.append(stack)
        self._trace.branches.append(branch)
        return stack

    def _switch(self, record: Sequence[Any]) -> None:
        if record[1] < 0:
            raise ValueError
        self._current = self._stacks[record[1]]

    def _call(self, record: Sequence[Any]) -> None:
        # Calls and returns are nearly all of a stream: the steps that others share stand here in full.
        self._now = now = self._now + int(record[1])
        if now > self._latest:
            self._latest = now
        stack = self._current
        if stack is None:
            stack = self._current = self._begin(Branch(0, "root", "", None, "exact", now))
        if self._standing:
            self._go_on(stack)
        open_nodes = stack.nodes
        code = self._codes[record[2]] if 0 <= record[2] < len(self._codes) else _UNKNOWN
        runs = stack.since is None
        if open_nodes:
            parent: Node | None = open_nodes[-1]
            if runs and parent is not None:
                parent.self_ns += now - stack.mark
        else:
            number = stack.branch.parent_node
            parent = None if number is None else self._nodes[number]
        if runs:
            stack.mark = now
        node = Node(len(self._nodes), code, stack.branch.id, parent, now)
        self._nodes.append(node)
        if parent is None:
            self._trace.roots.append(node)
        else:
            parent.add(node)
        if len(record) > 3:
            values = record[3:]
            for value in values:
                if type(value) in _CONTAINERS:
                    values = [shallow(item) for item in values]
                    break
            node.values = values
        node._home = stack
        node._base = stack.suspended if runs else stack.waited(now)
        node._waited = 0
        open_nodes.append(node)

    def _return(self, record: Sequence[Any]) -> None:
        node = self._leave(self._tick(record[1]))
        if node is not None:
            node.state = RETURNED
            if self._raised:
                self._handled(node)
            if len(record) > 2:
                value = record[2]
                node.returned = shallow(value) if type(value) in _CONTAINERS else value
                if len(record) > 3:
                    self._elide(node, record[3])

    def _raise(self, record: Sequence[Any]) -> None:
        node = self._leave(self._tick(record[1]))
        if node is not None:
            node.state = RAISED
            kind, message, elided = _filled(record, 2, ("?", None, 0))
            node.error = (_text(kind), shallow(message))
            self._elide(node, elided)
            self._handled(node)
            stack = self._current
            if (
                stack is not None and stack.nodes and kind != "GeneratorExit"
            ):  # which `close` throws, and takes back
                self._raised.setdefault(stack.nodes[-1].id, []).append(node)

    def _handled(self, node: Node) -> None:
        """A call has ended: what the calls that it made have raised was caught there, but for what it raises itself."""
        raised = self._raised.pop(node.id, [])
        if raised and node.error is not None and raised[-1].error == node.error:
            raised.pop()
        for child in raised:
            child.caught = True

    def _leave(self, now: int) -> Node | None:
        """Take the top node off the current stack, its times final."""
        stack = self._current
        if stack is None or not stack.nodes:
            self.ignored += 1
            return None
        if self._standing:
            self._go_on(stack)
        stack.charge(now)
        node = stack.nodes.pop()
        self._close(node, stack.waited(now) - node._base, now)
        return node

    @staticmethod
    def _close(node: Node, waited: int, now: int) -> None:
        node.wall_ns = max(0, now - node.start_ns)
        node.waiting_ns = min(max(0, node._waited + waited), node.wall_ns)
        node._home = None

    def _elide(self, node: Node, count: Any) -> None:
        if type(count) is int and count > 0:
            node.elided = count
            self._trace.elided += count

    def _suspend(self, record: Sequence[Any]) -> None:
        now = self._tick(record[1])
        stack = self._current
        if stack is not None and stack.since is None:
            stack.charge(now)
            stack.since = now

    def _resume(self, record: Sequence[Any]) -> None:
        now = self._tick(record[1])
        stack = self._current
        if stack is not None and stack.since is not None:
            self._go_on(stack)
            stack.suspended += now - stack.since
            stack.since = None
            stack.mark = now

    def _yield(self, record: Sequence[Any]) -> None:
        now = self._tick(record[1])
        node = self._known(record[2])
        stack: _Stack | None = node._home
        if stack is None:
            return
        position = _position(stack.nodes, node)
        self._go_on(stack)
        stack.charge(now)
        segment = stack.nodes[position:]
        del stack.nodes[position:]
        clock = stack.waited(now)
        for item in segment:
            item._waited += clock - item._base
            item._left = now
            item._home = None
            item.paused = True
        self._away[node.id] = segment

    def _reenter(self, record: Sequence[Any]) -> None:
        now = self._tick(record[1])
        stack = self._current
        node = self._known(record[2])
        segment = self._away.pop(node.id, None)
        if stack is None or segment is None:
            return
        self._go_on(stack)
        stack.charge(now)
        clock = stack.waited(now)
        for item in segment:
            item._waited += now - item._left
            item._base = clock
            item._home = stack
            item.paused = False
        stack.nodes.extend(segment)

    def _lost(self, record: Sequence[Any]) -> None:
        now = self._tick(record[1])
        node = self._known(record[2])
        if node.state != OPEN:
            return
        stack: _Stack | None = node._home
        if stack is not None:
            stack.charge(now)
            del stack.nodes[_position(stack.nodes, node)]
            self._close(node, stack.waited(now) - node._base, now)
            node.state = LOST
            return
        # A generator that stands at a yield is dead, and so is what it holds; inside such a segment it is only itself.
        for item in self._away.pop(node.id, [node]):
            self._close(item, now - item._left, now)
            item.state = LOST
            item.paused = False
        for segment in self._away.values():
            if node in segment:
                segment.remove(node)
                break

    def _drop(self, record: Sequence[Any]) -> None:
        count, reason = record[1], _text(record[2]) if len(record) > 2 else ""
        if type(count) is int and count > 0:
            self._trace.dropped += count
            self._trace.drops[reason] = self._trace.drops.get(reason, 0) + count

    def _end(self, record: Sequence[Any]) -> None:
        self._tick(record[1])
        self._ended = True
        trace = self._trace
        trace.status = _text(record[2])
        trace.reason = _text(record[3]) if len(record) > 3 and record[3] is not None else None
        if len(record) > 4 and isinstance(record[4], dict):
            for number, count in record[4].get("open_elided", {}).items():
                self._elide(self._known(int(number)), count)
            self._stand(record[4].get("open_lines", {}))
            self._facts(record[4])

    def _lines(self, record: Sequence[Any]) -> None:
        self._tick(record[1])
        self._stand(record[2])

    def _stand(self, lines: dict[Any, Any]) -> None:
        """Note where open nodes stand; what was said of others before is past."""
        for node in self._standing:
            node.at_line = None
        self._standing = []
        for number, line in lines.items():
            node = self._known(int(number))
            if node.state == OPEN and type(line) is int:
                node.at_line = line
                self._standing.append(node)

    def _go_on(self, stack: _Stack) -> None:
        """Forget where the nodes of a branch stood: it runs."""
        for node in self._standing:
            if node._home is stack:
                node.at_line = None
        self._standing = [node for node in self._standing if node.at_line is not None]

    def _known(self, number: Any) -> Node:
        if number < 0:
            raise IndexError
        return self._nodes[int(number)]


_UNKNOWN = Code("?", "?", "", 0)


def _filled(record: Sequence[Any], start: int, defaults: tuple[Any, ...]) -> list[Any]:
    """Return the fields of a record from `start` on, with the defaults of those that it does not have."""
    found = list(record[start : start + len(defaults)])
    return [*found, *defaults[len(found) :]]


def _position(nodes: list[Node], node: Node) -> int:
    """Return where the node is on a stack; usually it is the top."""
    position = len(nodes) - 1
    while nodes[position] is not node:
        position -= 1
    return position


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else str(value)[:200]


def _int(value: Any) -> int:
    return value if type(value) is int else 0


def _raised_elsewhere(error: BaseException) -> bool:
    innermost = error.__traceback__
    while innermost is not None and innermost.tb_next is not None:
        innermost = innermost.tb_next
    return innermost is not None and not innermost.tb_frame.f_code.co_filename.startswith(_HERE)
