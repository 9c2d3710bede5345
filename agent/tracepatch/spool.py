"""Where a process that ends leaves the traces that nobody took: `DIR/spool/<trace_id>.tps`.

A spool file is one msgpack map, then the trace's stream as it came:

    {"v": 1, "type": "spool", "agent": AGENT, "trace": TRACE_META, "chunks": n, "status": ..., "reason": ...}
    <the stream: packed records, see docs/protocol.md>

Files are 0600 in a folder 0700, appear under their name only when complete, and all of them together keep to
`MAX_TOTAL_BYTES`: what is there stays, what does not fit is left out and said in the log. Whoever collects a file
removes it.
"""

from __future__ import annotations

import os
from typing import Any

from tracepatch_shared.messages import pack

from .endpoint import prepare_folder, write_whole
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
        write_whole(os.path.join(spool, trace.trace_id + SUFFIX), b"".join((header, *trace.pieces)))
        files += 1
        used += needed
    return left_out


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
