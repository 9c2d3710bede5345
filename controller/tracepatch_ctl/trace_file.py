"""Traces in a file: our JSON, NDJSON, what `--json` printed, or the raw stream."""

from __future__ import annotations

from typing import Any

from tracepatch_shared import deepjson
from tracepatch_shared.errors import MessageError
from tracepatch_shared.records import OPEN
from tracepatch_shared.tree import Trace


def ended(trace: Trace, status: str, reason: str | None) -> Trace:
    """Return the trace with what is known of its end where its stream has none: its process was gone by then."""
    if trace.status == OPEN and trace.reason is None:
        trace.status, trace.reason = status or OPEN, reason
    return trace


def traces_in(content: bytes) -> list[Trace]:
    """Return all traces in what a file holds; raise `MessageError` where there is none.

    Lines of other types, which `arm --json` prints between the traces, are passed over.
    """
    if content[:64].lstrip()[:1] != b"{":
        return [Trace.from_bytes(content)]
    found: list[Trace] = []
    flat: dict[str, list[Any]] = {}
    try:
        for line in content.decode("utf-8", "replace").split("\n"):
            if not line.strip():
                continue
            form = deepjson.loads(line)
            if not isinstance(form, dict):
                raise MessageError(f"this is not a trace: a line is a JSON {type(form).__name__}")
            if "roots" in form:
                found.append(Trace.from_json(form))
            elif "function" in form and "trace_id" in form:
                flat.setdefault(str(form["trace_id"]), []).append(form)
    except ValueError:
        return [Trace.from_bytes(content)]  # one object over many lines, or its error
    found += [Trace.from_flat(nodes) for nodes in flat.values()]
    if not found:
        raise MessageError("there is no trace in it")
    return found
