"""The JSON form of a trace, DESIGN §11, in both directions: nested, flat, and as text; by loops only.

What is read may come from anybody's file: wrong types become empty values, a value nested deeper than any capture
is marked unreadable, and what is no trace at all is refused by name.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any, Final

from .errors import MessageError
from .records import COMPLETE, OPEN
from .trace import EPOCH, LOST, RAISED, RETURNED, Branch, Code, Node, Trace
from .values import Mark, from_json, shallow, to_json

SCHEMA: Final = 1
"""Version of the JSON form; fields are only ever added."""

_BRANCH_FIELDS = ("id", "kind", "name", "parent_node", "link", "start_ns", "waiting", "waiting_ns")


def trace_form(trace: Trace) -> dict[str, Any]:
    """Return the nested form: dicts in dicts, as deep as the trace."""
    roots: list[dict[str, Any]] = []
    todo = [(node, roots) for node in reversed(trace.roots)]
    while todo:
        node, siblings = todo.pop()
        children: list[dict[str, Any]] = []
        siblings.append({**node_form(node), "children": children})
        todo.extend([(child, children) for child in reversed(node.children)])
    return {**_head_form(trace), "roots": roots}


def flat_form(trace: Trace) -> Iterator[dict[str, Any]]:
    """Yield each node with `trace_id` and `parent` instead of `children`."""
    for node in trace.nodes():
        yield {"trace_id": trace.trace_id, "parent": node.parent, **node_form(node)}


def iter_json(trace: Trace) -> Iterator[str]:
    """Yield the pieces of the trace's JSON text, compact, on one line."""
    dumps = json.JSONEncoder(separators=(",", ":")).encode
    yield dumps(_head_form(trace))[:-1] + ',"roots":['
    # What is still to be written: a node, or the text between two nodes or behind the last.
    todo: list[Node | str] = ["]}"]
    _push(todo, trace.roots)
    while todo:
        item = todo.pop()
        if isinstance(item, str):
            yield item
            continue
        yield dumps(node_form(item))[:-1] + ',"children":['
        todo.append("]}")
        _push(todo, item.children)


def node_form(node: Node) -> dict[str, Any]:
    """Return a node without its children."""
    code = node.code
    form: dict[str, Any] = {
        "id": node.id,
        "function": code.function,
        "module": code.module,
        "file": code.file,
        "line": code.line,
        "branch": node.branch,
        "start_ns": node.start_ns,
        "wall_ns": node.wall_ns,
        "running_ns": node.wall_ns - node.waiting_ns,
        "waiting_ns": node.waiting_ns,
        "self_ns": node.self_ns,
        "args": {name: to_json(value) for name, value in node.args.items()},
    }
    state = node.state
    if state == RETURNED:
        form["returned"] = to_json(node.returned)
    elif state == RAISED and node.error is not None:
        form["raised"] = {"type": node.error[0], "message": to_json(node.error[1])}
        if node.caught:
            form["raised"]["caught_by"] = node.caught_by
    elif state == LOST:
        form["lost"] = True
    else:
        form["open"] = True
        if node.paused:
            form["paused"] = True
        if node.at_line is not None:
            form["at_line"] = node.at_line
    form["elided"] = node.elided
    return form


def from_form(form: Any) -> Trace:
    """Return the trace of a nested form; unknown fields are ignored, missing ones are as in an empty trace."""
    if not isinstance(form, dict) or not isinstance(form.get("roots"), list):
        raise MessageError("this JSON is not a trace: it has no roots")
    if _number(form.get("schema", SCHEMA)) > SCHEMA:
        raise MessageError(f"schema {form['schema']} of a trace is not understood here, only {SCHEMA}")
    trace = Trace()
    _read_head(trace, form)
    codes: dict[tuple[Any, ...], Code] = {}
    todo: list[tuple[Any, Node | None]] = [(item, None) for item in reversed(form["roots"])]
    while todo:
        item, parent = todo.pop()
        if not isinstance(item, dict):
            raise MessageError(f"this JSON is not a trace: a node is {type(item).__name__}")
        node = _node(item, parent, codes)
        (trace.roots.append if parent is None else parent.add)(node)
        children = item.get("children")
        if isinstance(children, list):
            todo.extend([(child, node) for child in reversed(children)])
    return trace


def from_flat(lines: Iterable[Any]) -> Trace:
    """Return the trace of flat lines, parents before their children; what only the nested form says stays empty."""
    trace = Trace()
    codes: dict[tuple[Any, ...], Code] = {}
    nodes: dict[int, Node] = {}
    for item in lines:
        if not isinstance(item, dict) or "function" not in item:
            raise MessageError("this NDJSON is not one trace: a line is not a node")
        trace_id = _text(item.get("trace_id"))
        if nodes and trace_id != trace.trace_id:
            raise MessageError("this NDJSON has nodes of several traces: read them one by one")
        trace.trace_id = trace_id
        parent = nodes.get(item["parent"]) if type(item.get("parent")) is int else None
        node = _node(item, parent, codes)
        nodes[node.id] = node
        (trace.roots.append if parent is None else parent.add)(node)
    trace.calls = len(nodes)
    trace.elided = sum(node.elided for node in nodes.values())
    trace.status = OPEN if any(node.open and not node.paused for node in nodes.values()) else COMPLETE
    trace.duration_ns = max((node.start_ns + node.wall_ns for node in nodes.values()), default=0)
    for number in sorted({node.branch for node in nodes.values()}):
        first = next(node for node in nodes.values() if node.branch == number)
        kind = "branch" if number else "root"
        trace.branches.append(Branch(number, kind, "", first.parent, "exact", first.start_ns))
    return trace


def _push(todo: list[Node | str], nodes: Sequence[Node]) -> None:
    for index in range(len(nodes) - 1, -1, -1):
        todo.append(nodes[index])
        if index:
            todo.append(",")


def _head_form(trace: Trace) -> dict[str, Any]:
    return {
        "type": "trace",
        "schema": SCHEMA,
        "trace_id": trace.trace_id,
        "probe_id": trace.probe_id,
        "target": trace.target,
        "agent": to_json(trace.agent),
        "task": to_json(trace.task),
        "started_at": trace.started_at,
        "duration_ns": trace.duration_ns,
        "status": trace.status,
        "reason": trace.reason,
        "calls": trace.calls,
        "dropped": trace.dropped,
        "drops": to_json(trace.drops),
        "elided": trace.elided,
        "overhead_ns": trace.overhead_ns,
        "unstarted": trace.unstarted,
        "limits": to_json(trace.limits),
        "traceparent": trace.traceparent,
        "captured": trace.captured,
        "branches": [{name: getattr(branch, name) for name in _BRANCH_FIELDS} for branch in trace.branches],
    }


def _read_head(trace: Trace, form: dict[str, Any]) -> None:
    for name in ("trace_id", "probe_id", "target"):
        setattr(trace, name, _text(form.get(name)))
    for name in ("duration_ns", "calls", "dropped", "elided", "overhead_ns", "unstarted"):
        setattr(trace, name, _number(form.get(name)))
    for name in ("agent", "task", "limits", "drops"):
        value = _value(form.get(name))
        setattr(trace, name, value if isinstance(value, dict) else {})
    trace.status = _text(form.get("status")) or OPEN
    trace.reason = _text(form.get("reason")) or None
    trace.traceparent = _text(form.get("traceparent")) or None
    trace.captured = form.get("captured") is not False
    try:
        moment = datetime.strptime(_text(form.get("started_at")), "%Y-%m-%dT%H:%M:%S.%fZ")
    except ValueError:
        moment = datetime(1970, 1, 1)
    trace.started_at_ns = (moment.replace(tzinfo=timezone.utc) - EPOCH) // timedelta(microseconds=1) * 1000
    branches = form.get("branches")
    for item in branches if isinstance(branches, list) else ():
        if isinstance(item, dict):
            parent = item.get("parent_node")
            branch = Branch(
                _number(item.get("id")),
                _text(item.get("kind")),
                _text(item.get("name")),
                parent if type(parent) is int else None,
                _text(item.get("link")) or "exact",
                _number(item.get("start_ns")),
            )
            branch.waiting = item.get("waiting") is True
            branch.waiting_ns = _number(item.get("waiting_ns"))
            trace.branches.append(branch)


def _node(item: dict[str, Any], parent: Node | None, codes: dict[tuple[Any, ...], Code]) -> Node:
    args = item.get("args")
    args = args if isinstance(args, dict) else {}
    module, function, file = (_text(item.get(name)) for name in ("module", "function", "file"))
    line = _number(item.get("line"))
    key = (module, function, file, line, tuple(args))
    code = codes.get(key)
    if code is None:
        code = codes[key] = Code(module, function, file, line, args)
    node = Node(
        _number(item.get("id")), code, _number(item.get("branch")), parent, _number(item.get("start_ns"))
    )
    node.wall_ns = _number(item.get("wall_ns"))
    node.waiting_ns = _number(item.get("waiting_ns"))
    node.self_ns = _number(item.get("self_ns"))
    node.values = [_value(value) for value in args.values()]
    node.elided = _number(item.get("elided"))
    raised = item.get("raised")
    if isinstance(raised, dict):
        node.state = RAISED
        node.error = (_text(raised.get("type")), _value(raised.get("message")))
        node.caught = type(raised.get("caught_by")) is int
    elif item.get("lost") is True:
        node.state = LOST
    elif item.get("open") is not True:
        node.state = RETURNED
        node.returned = _value(item.get("returned"))
    else:
        node.paused = item.get("paused") is True
        stands = item.get("at_line")
        node.at_line = stands if type(stands) is int else None
    return node


def _value(form: Any) -> Any:
    kind = type(form)
    if kind is not list and kind is not dict:
        return form
    checked = shallow(form)
    try:
        return from_json(checked) if checked is form else checked
    except (KeyError, TypeError, ValueError, AttributeError):
        return Mark("unreadable", {"why": "malformed"})


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _number(value: Any) -> int:
    return value if type(value) is int else 0
