"""The W3C's `traceparent`: which distributed trace a request belongs to (https://www.w3.org/TR/trace-context/).

00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01     version, trace id, span id, flags
"""

from __future__ import annotations

import re
from typing import NamedTuple

from .errors import UsageError

_HEADER = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_TRACE_ID = re.compile(r"[0-9a-f]{32}")


class Traceparent(NamedTuple):
    trace_id: str
    span_id: str
    flags: int = 0

    def __str__(self) -> str:
        return f"00-{self.trace_id}-{self.span_id}-{self.flags & 0xFF:02x}"


def read(header: str) -> Traceparent | None:
    """Return what a header says; None where it is not valid."""
    found = _HEADER.fullmatch(header.strip())
    if found is None or found[1] == "ff" or (found[1] == "00" and found[5]):
        return None
    if not int(found[2], 16) or not int(found[3], 16):
        return None
    return Traceparent(found[2], found[3], int(found[4], 16))


def trace_id_of(text: str) -> str:
    """Return the trace id that an operator names, by itself or as a whole header; raise `UsageError`."""
    text = text.strip().lower()
    header = read(text)
    if header is not None:
        return header.trace_id
    if _TRACE_ID.fullmatch(text) and int(text, 16):
        return text
    raise UsageError(
        f"--traceparent {text[:80]!r} is no trace id: write its 32 hex digits, or the whole header 00-…-…-01"
    )
