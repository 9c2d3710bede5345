"""What stands above and below a trace's tree: whose it is, how it ended, what it does not contain."""

from __future__ import annotations

from collections.abc import Iterator
from math import isfinite

from .limits import OPTIONS
from .records import COMPLETE, TRIPPED
from .showing import escape
from .text import duration, size
from .trace import Trace

Span = tuple[str, str]
"""Style and text. Styles: head, dim, time, wait, guide, module, function, args, value, error, open, branch, note."""

_FOLLOWED = ("max_calls", "max_bytes", "total_bytes")
"""Limits after which the open calls are followed to their end."""

_SYMBOLS = {
    # name: (Unicode, ASCII)
    "fork": ("├── ", "|-- "),
    "last": ("└── ", "`-- "),
    "pass": ("│   ", "|   "),
    "none": ("    ", "    "),
    "gives": (" → ", " -> "),
    "raises": (" ✗ ", " !! "),
    "open": (" ⏳ ", " ... "),
    "paused": (" ⏸ ", " ... "),
    "branch": ("⑂ ", "& "),
    "times": ("× ", "x "),
    "dot": (" · ", " | "),
    "more": ("⋮", ":"),
}


def symbols(ascii: bool) -> dict[str, str]:
    """Return the guides and signs by name."""
    return {name: pair[ascii] for name, pair in _SYMBOLS.items()}


def head(trace: Trace, text: dict[str, str]) -> Iterator[list[Span]]:
    """Yield the lines that say which trace this is."""
    dot = text["dot"]
    first: list[Span] = [("head", f"trace {escape(trace.trace_id) or '?'}")]
    if trace.target:
        first += [("dim", dot), ("head", escape(trace.target))]
    task = _task_text(trace, text)
    if task:
        first += [("dim", dot), ("head", task)]
    waiting = sum(root.waiting_ns for root in trace.roots if root.branch == trace.roots[0].branch)
    first += [("dim", dot), ("time", duration(trace.duration_ns))]
    if waiting:
        first += [("wait", f" ({duration(waiting)} waiting)")]
    style = {COMPLETE: "value", TRIPPED: "error"}.get(trace.status, "open")
    first += [("dim", dot), (style, escape(trace.status))]
    yield first
    yield [("dim", dot.join(_facts(trace)))]


def _task_text(trace: Trace, text: dict[str, str]) -> str:
    """Return the task's kind and name where they say more than the target, and how it ended."""
    task = trace.task
    kind, name = str(task.get("kind", "")), str(task.get("name", ""))
    parts = []
    if kind not in ("", "call", "function") and name and name not in trace.target:
        parts.append(escape(f"{kind} {name}"))
    if task.get("http_status") is not None:
        parts.append(escape(str(task["http_status"])))
    return text["gives"].join(parts)


def _facts(trace: Trace) -> Iterator[str]:
    agent = trace.agent
    where = "@".join([escape(str(agent[name])) for name in ("service", "host") if agent.get(name)])
    if agent.get("pid"):
        where = f"{where} pid {escape(str(agent['pid']))}".lstrip()
    if where:
        yield where
    if agent.get("python"):
        yield escape(f"Python {agent['python']}")
    if trace.started_at_ns:
        yield trace.started_at[:23].replace("T", " ") + " UTC"
    if trace.traceparent:
        yield f"traceparent {escape(trace.traceparent)}"
    yield count(trace.calls, "call")
    if len(trace.branches) > 1:
        yield count(len(trace.branches), "branch", "branches")
    running = trace.running_branches
    if running:
        yield f"{count(running, 'branch', 'branches')} still running"
    if trace.unstarted:
        yield f"{count(trace.unstarted, 'branch', 'branches')} not begun"
    if trace.elided:
        yield f"{count(trace.elided, 'inner call')} not shown"


def foot(trace: Trace) -> Iterator[list[Span]]:
    """Yield the lines that say what is missing; none where nothing is."""
    reason = reason_text(trace)
    if reason:
        yield [("error" if trace.status == TRIPPED else "open", reason)]
    if trace.status == TRIPPED and trace.reason in _FOLLOWED:
        yield [
            ("note", "calls that began later are missing; those that were open were followed to their end")
        ]
    if trace.dropped:
        why = ", ".join(escape(name) for name in trace.drops if name)
        yield [("error", f"{count(trace.dropped, 'record')} dropped{f': {why}' if why else ''}")]
    if not trace.captured:
        yield [("note", "arguments, results and messages were not recorded")]


def reason_text(trace: Trace) -> str:
    """Return why a trace is not complete, with the option that raises the limit; nothing when it is."""
    if trace.status == COMPLETE:
        return ""
    reason = escape(trace.reason or "")
    option = OPTIONS.get(reason)
    if trace.status != TRIPPED:
        return f"no end was seen{f' ({reason})' if reason else ''}: what is open was still running"
    if reason == "total_bytes":
        return "tripped: the tasks that were recorded side by side filled the memory allowed; fewer (--concurrent) get more each"
    if option is None:
        return f"tripped: {reason or 'no reason given'}"
    limit = trace.limits.get(reason)
    known = isinstance(limit, (int, float)) and isfinite(limit)
    shown = f" of {_limit_text(reason, limit)}" if known and limit is not None else ""
    return f"tripped: {reason}{shown} reached; {option} raises it"


def count(number: int, one: str, several: str | None = None) -> str:
    """Return `1 call`, `2 calls`."""
    return f"{number} {one if number == 1 else several or one + 's'}"


def _limit_text(name: str, value: float) -> str:
    if name.endswith("bytes"):
        return size(value)
    return duration(value * 1e9) if name.endswith("_s") else f"{value:,}".replace(",", " ")
