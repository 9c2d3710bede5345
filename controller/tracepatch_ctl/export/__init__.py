"""Traces as files that other tools read: one module per format, chosen by name.

A format is a function from traces to pieces of text. Nothing here recurses over a trace.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from tracepatch_shared.errors import UsageError

from .document import document
from .lines import lines

if TYPE_CHECKING:
    from tracepatch_shared.tree import Trace

FORMATS: dict[str, Callable[[Trace], Iterator[str]]] = {"json": document, "ndjson": lines}

__all__ = ["FORMATS", "document", "export", "lines"]


def export(traces: Iterable[Trace], name: str) -> Iterator[str]:
    """Yield the pieces of the text of `traces` in the format `name`; every piece that ends a line says so."""
    write = FORMATS.get(name)
    if write is None:
        raise UsageError(f"{name!r} is no format: {', '.join(FORMATS)} are")
    for trace in traces:
        yield from write(trace)
