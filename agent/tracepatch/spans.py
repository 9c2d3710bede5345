"""The span of OpenTelemetry that is current, where the application has loaded it; it is never imported, none of its code runs.

Its context is a dictionary in a ContextVar, and the span in it holds a tuple of its ids. Each is read only where it has
exactly the type that the library gives it. A context of another kind (`OTEL_PYTHON_CONTEXT`), or a span that holds its
ids in another way, is no span here.

Concurrency: on application threads inside callbacks, about 2 µs.
"""

from __future__ import annotations

import sys
from contextvars import ContextVar
from types import ModuleType
from typing import Any

from tracepatch_shared.traceparent import Traceparent

from .walk import instance_dict

_TRACE_IDS = 1 << 128
_SPAN_IDS = 1 << 64


class Span(Traceparent):
    """A span's ids; `remote`: it is another process's, which asked for this work."""

    remote: bool = False


def current_span() -> Span | None:
    """Return the span of the Context in which this runs."""
    runtime = _of("opentelemetry.context", "_RUNTIME_CONTEXT")
    kind = _of("opentelemetry.context.contextvars_context", "ContextVarsRuntimeContext")
    if runtime is None or type(runtime) is not kind:
        return None
    variable = instance_dict(runtime).get("_current_context")
    return span_in(variable.get(None)) if type(variable) is ContextVar else None


def span_in(context: object) -> Span | None:
    """Return the span of a context of OpenTelemetry's."""
    key = _of("opentelemetry.trace.propagation", "_SPAN_KEY")
    if type(key) is not str or type(context) is not _of("opentelemetry.context.context", "Context"):
        return None
    held: Any = context
    ids: Any = instance_dict(dict.get(held, key)).get("_context")
    if type(ids) is not _of("opentelemetry.trace.span", "SpanContext"):
        return None
    given: tuple[Any, ...] = tuple(tuple.__iter__(ids))
    if len(given) < 4 or type(given[0]) is not int or type(given[1]) is not int:
        return None
    if not 0 < given[0] < _TRACE_IDS or not 0 < given[1] < _SPAN_IDS:
        return None
    flags = given[3]
    known = type(flags) is int or type(flags) is _of("opentelemetry.trace.span", "TraceFlags")
    span = Span(f"{given[0]:032x}", f"{given[1]:016x}", int.__and__(flags, 0xFF) if known else 0)
    span.remote = given[2] is True
    return span


def _of(module: str, name: str) -> Any:
    """Return what a module that is loaded holds."""
    found = sys.modules.get(module)
    return vars(found).get(name) if type(found) is ModuleType else None
