"""The records of a trace's stream: what each array holds.

A stream is a sequence of msgpack arrays; the first element is the kind, times are signed nanoseconds since the record
before that has one. CODE, STRING, BRANCH and CALL records number themselves from 0 in the order in which they stand
in the stream. CALL, RETURN, RAISE, SUSPEND and RESUME belong to the branch that the last BRANCH or SWITCH named.
The stream is append-only and complete up to wherever it is cut. docs/protocol.md has the table with examples.

    HEAD     {v, trace_id, probe_id, target, agent, task, started_at_ns, limits, ...}   first record
    CODE     module, qualname, file, line, [argument names], flags
    STRING   text                                    a string that comes again; EXT_STRING n refers to it
    BRANCH   dt, kind, name, parent node | nil, link           begins branch n and switches to it
    SWITCH   branch
    CALL     dt, code, argument...                   node n begins below the branch's top node
    RETURN   dt, value, elided                       the top node ends
    RAISE    dt, type, message, elided               the top node ends by an exception
    SUSPEND  dt                                      the branch waits
    RESUME   dt                                      the branch runs again
    YIELD    dt, node                                a generator leaves its branch with all above it
    REENTER  dt, node                                it comes back on top of the current branch
    LOST     dt, node                                the node's end was not seen; it ended at the latest now
    DROP     count, reason                           records left out here
    END      dt, status, reason | nil, {...}         last record
    LINES    dt, {node: line}                        where nodes that are open stand now
"""

from __future__ import annotations

from typing import Final

HEAD: Final = 0
CODE: Final = 1
STRING: Final = 2
BRANCH: Final = 3
SWITCH: Final = 4
CALL: Final = 5
RETURN: Final = 6
RAISE: Final = 7
SUSPEND: Final = 8
RESUME: Final = 9
YIELD: Final = 10
REENTER: Final = 11
LOST: Final = 12
DROP: Final = 13
END: Final = 14
LINES: Final = 15

NAMES: Final = (
    "HEAD", "CODE", "STRING", "BRANCH", "SWITCH", "CALL", "RETURN", "RAISE", "SUSPEND", "RESUME",
    "YIELD", "REENTER", "LOST", "DROP", "END", "LINES",
)  # fmt: skip

FLAG_LIBRARY: Final = 1
"""CODE flag: standard library or site-packages."""
FLAG_COROUTINE: Final = 2
FLAG_GENERATOR: Final = 4
FLAG_ASYNC_GENERATOR: Final = 8

COMPLETE: Final = "complete"
OPEN: Final = "open"
TRIPPED: Final = "tripped"
