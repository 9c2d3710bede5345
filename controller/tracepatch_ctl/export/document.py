"""`json`: a trace as one nested object on one line; several traces are several lines."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tracepatch_shared.tree import Trace


def document(trace: Trace) -> Iterator[str]:
    """Yield the pieces of the object that docs/cli-json.md describes, then the end of its line."""
    from tracepatch_shared.tree import iter_json

    yield from iter_json(trace)
    yield "\n"
