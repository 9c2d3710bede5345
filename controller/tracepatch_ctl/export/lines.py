"""`ndjson`: one call a line with `trace_id` and `parent` instead of `children`, for tools that stop at some depth."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tracepatch_shared.tree import Trace


def lines(trace: Trace) -> Iterator[str]:
    """Yield a line for each call, callers before what they called."""
    encode = json.JSONEncoder(separators=(",", ":")).encode
    for node in trace.flat():
        yield encode({"type": "node", **node}) + "\n"
