"""What capture alone costs on the workload, by function: `python -m benchmarks.capture [safe|repr]`."""

from __future__ import annotations

import sys
from time import perf_counter_ns
from types import FrameType
from typing import Any

from tracepatch.capture import Capturer
from tracepatch.codes import APPLICATION, Entry
from tracepatch.redaction import Redactor
from tracepatch_shared.limits import Capture

from . import workload

Event = tuple[str, Entry, Any]
"""`arguments` or `returned`, and what it is called with."""

ROUNDS, TIMES = 30, 200


def main() -> None:
    """Measure and print; the best of many short rounds, as all else that runs on the machine only adds."""
    mode = "repr" if "repr" in sys.argv[1:] else "safe"
    capturer = Capturer(Capture(), Redactor(), mode=mode)
    events = recorded()
    for name, entry, value in events:
        print(f"{entry.code.co_name:12} {name:10} {best(capturer, [(name, entry, value)]):8.0f} ns")
    print(f"{'a call':23} {best(capturer, events) / workload.CALLS_PER_SERVE:8.0f} ns")


def recorded() -> list[Event]:
    """Return what is captured of one `serve`."""
    events: list[Event] = []
    entries: dict[int, Entry] = {}

    def hook(frame: FrameType, event: str, value: Any) -> None:
        code = frame.f_code
        if code.co_filename == workload.__file__ and event in ("call", "return"):
            entry = entries.setdefault(id(code), Entry(code, workload.__name__, APPLICATION))
            values = {name: frame.f_locals[name] for name in entry.arguments}
            events.append(("arguments", entry, values) if event == "call" else ("returned", entry, value))

    sys.setprofile(hook)
    try:
        workload.serve(7)
    finally:
        sys.setprofile(None)
    return events


def best(capturer: Capturer, events: list[Event]) -> float:
    """Return nanoseconds that these events take."""
    calls = [(getattr(capturer, name), entry, value) for name, entry, value in events]
    spent = []
    for _ in range(ROUNDS):
        began = perf_counter_ns()
        for _ in range(TIMES):
            for function, entry, value in calls:
                function(entry, value)
        spent.append((perf_counter_ns() - began) / TIMES)
    return min(spent)


if __name__ == "__main__":
    main()
