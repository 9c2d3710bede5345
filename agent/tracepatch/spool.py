"""Where a process leaves the traces that nobody takes: `DIR/spool/<trace_id>.tps`.

A trace that ended and is on its way to nobody is written at once, because most processes end without warning: a signal's
default action (uvicorn's way out after SIGTERM, too) runs no exit hook. The agent still holds it, and whoever takes it
from there has the file removed. At exit the rest follows.

A spool file is one msgpack map, then the trace's stream as it came:

    {"v": 1, "type": "spool", "agent": AGENT, "trace": TRACE_META, "chunks": n, "status": ..., "reason": ...}
    <the stream: packed records, see docs/protocol.md>

Files are 0600 in a folder 0700, appear under their name only when complete, and all of them together keep to
`MAX_TOTAL_BYTES`: what is there stays, what does not fit is left out, which the log says at exit. Whoever collects a
file removes it.
"""

from __future__ import annotations

import os
from typing import Any

from tracepatch_shared.messages import pack

from .endpoint import prepare_folder, remove, write_whole
from .held import Trace

FOLDER = "spool"
SUFFIX = ".tps"
MAX_TOTAL_BYTES = 64 << 20
MAX_FILES = 1_000


def write(folder: str, agent: dict[str, Any], traces: list[Trace]) -> int:
    """Write traces into the spool of the agents' folder; return how many found no room. Raises `OSError`."""
    spool = os.path.join(folder, FOLDER)
    prepare_folder(spool, ours=True)
    files, used = _used(spool)
    left_out = 0
    for trace in traces:
        trace.spooled = False
        header = pack(
            {
                "type": "spool",
                "agent": agent,
                "trace": trace.to_wire(),
                "chunks": len(trace.pieces),
                "status": trace.status,
                "reason": trace.reason,
            }
        )
        needed = len(header) + trace.stream_bytes
        if files >= MAX_FILES or used + needed > MAX_TOTAL_BYTES:
            left_out += 1
            continue
        write_whole(_file(folder, trace), header, *trace.pieces)
        trace.spooled = True
        files += 1
        used += needed
    return left_out


def take_back(folder: str, trace: Trace) -> None:
    """Remove the copy of a trace that somebody has taken."""
    if trace.spooled:
        remove(_file(folder, trace))


def _file(folder: str, trace: Trace) -> str:
    return os.path.join(folder, FOLDER, trace.trace_id + SUFFIX)


def _used(spool: str) -> tuple[int, int]:
    """Return how many files there are, and their bytes."""
    files = used = 0
    with os.scandir(spool) as entries:
        for entry in entries:
            try:
                used += entry.stat(follow_symlinks=False).st_size
            except OSError:
                continue
            files += 1
    return files, used
