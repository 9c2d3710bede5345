"""Traces that ended processes left beside their sockets: `DIR/spool/<trace_id>.tps`.

A file is one msgpack map (`agent`, `trace`, `chunks`, `status`, `reason`), then the trace's stream as it came. They
were written by somebody else's process: opened without following links, read to a bound, checked; what does not hold
is passed over.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from tracepatch_shared import PROTOCOL
from tracepatch_shared.errors import MessageError
from tracepatch_shared.messages import MAX_REQUEST_BYTES, field

from .assembly import MAX_STREAM_BYTES
from .events import TraceFinished
from .reports import agent_from_wire, meta_from_wire
from .selection import Selection

FOLDER = "spool"
ENDED = "its process ended and left the trace in its spool"

_FILE = re.compile(r"([0-9a-f]{8})\.tps")
_MAX_FILES = 10_000
_OPEN = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)


@dataclass(frozen=True)
class Spooled:
    """A trace in a spool: where it lies, and what is delivered."""

    directory: str
    trace: TraceFinished

    def remove(self) -> None:
        """Remove the file, once the trace is stored."""
        remove(self.directory, self.trace.trace_id)


def spooled(directories: Sequence[str], selection: Selection) -> Iterator[Spooled]:
    """Yield the traces in the spools of these runtime directories whose agents the selection matches, one at a time."""
    for directory in directories:
        try:
            folder = os.open(f"{directory}/{FOLDER}", _OPEN | getattr(os, "O_DIRECTORY", 0))
        except OSError:
            continue
        try:
            for name in sorted(os.listdir(folder))[:_MAX_FILES]:
                match = _FILE.fullmatch(name)
                trace = _read(folder, name, match[1], directory, selection) if match else None
                if trace is not None:
                    yield Spooled(directory, trace)
        except OSError:
            continue
        finally:
            os.close(folder)


def remove(directory: str, trace_id: str) -> None:
    """Remove a trace from the spool of a runtime directory; nothing when it is not there or not ours to remove."""
    try:
        folder = os.open(f"{directory}/{FOLDER}", _OPEN | getattr(os, "O_DIRECTORY", 0))
    except OSError:
        return
    try:
        os.unlink(f"{trace_id}.tps", dir_fd=folder)
    except OSError:
        pass
    finally:
        os.close(folder)


def _read(
    folder: int, name: str, trace_id: str, directory: str, selection: Selection
) -> TraceFinished | None:
    try:
        with open(os.open(name, _OPEN, dir_fd=folder), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return None
            content = file.read(MAX_STREAM_BYTES + 1)
    except OSError:
        return None
    try:
        trace = _parse(content, endpoint=f"ipc://{directory}/{FOLDER}")
    except MessageError:
        return None
    if trace.trace_id != trace_id or not selection.matches(trace.agent):
        return None
    return replace(trace, agent=replace(trace.agent, state="silent", reason=ENDED))


def _parse(content: bytes, *, endpoint: str) -> TraceFinished:
    import msgpack

    if len(content) > MAX_STREAM_BYTES:
        raise MessageError(f"a spooled trace is larger than the {MAX_STREAM_BYTES} bytes allowed")
    unpacker = msgpack.Unpacker(
        max_buffer_size=MAX_REQUEST_BYTES, strict_map_key=True, unicode_errors="replace"
    )
    try:
        unpacker.feed(content[:MAX_REQUEST_BYTES])
        header = unpacker.unpack()
    except Exception as problem:  # noqa: BLE001 - msgpack raises a dozen unrelated types for bad input
        raise MessageError(f"a spooled trace has no header: {type(problem).__name__}") from None
    if not isinstance(header, dict) or header.get("v") != PROTOCOL:
        raise MessageError("a spooled trace is of another version")
    meta = meta_from_wire(header.get("trace"))
    return TraceFinished(
        agent=agent_from_wire(header.get("agent"), endpoint=endpoint),
        probe_id=meta.probe_id,
        trace_id=meta.trace_id,
        data=content[unpacker.tell() :],
        status=field(header, "status", str),
        reason=field(header, "reason", str, None),
        meta=meta,
    )
