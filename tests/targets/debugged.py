"""Runs below debugpy with a client attached: `python debugged.py bare|armed|block`; prints what was counted, and in how many calls.

The client (tests/debug_client.py) has a breakpoint at the line that ends in `# here`.
"""

from __future__ import annotations

import json
import sys
from typing import Any


def leaf(number: int) -> int:
    doubled = 2 * number
    return doubled  # here


def work() -> int:
    return sum(leaf(number) for number in range(3))


def main(way: str) -> None:
    sys.path.insert(1, __file__.rpartition("targets")[0])
    import debugpy

    _, port = debugpy.listen(("127.0.0.1", 0))
    print(port, flush=True)
    debugpy.wait_for_client()
    debugpy.trace_this_thread(True)
    calls: Any = None
    refused = ""
    result = 0
    if way == "block":
        import tracepatch

        with tracepatch.trace(cache=False) as trace:
            result = work()
        calls = trace.call_count
    elif way == "armed":
        from tracepatch_shared.errors import Conflict
        from tracing_helpers import bench

        with bench() as made:
            try:
                made.arm("__main__:work")
            except Conflict as conflict:
                refused = str(conflict)
            result = work()
            calls = sum(trace.calls for trace in made.traces())
    else:
        result = work()
    print(json.dumps({"result": result, "calls": calls, "refused": refused, "again": work()}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
