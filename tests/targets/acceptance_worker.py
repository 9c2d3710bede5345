"""A process with an agent that works steadily, and says on request what of tracing is in it.

Lines of standard input: `hang` makes another thread call `hang`, `release` ends that call, `state` prints one JSON
line, `fork N` makes children that wait to be killed, `exit` ends it.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time

import tracepatch

RELEASED = threading.Event()
ENDING = threading.Event()
PROFILED: set[str] = set()
"""Holds the main thread while a profile function is in it: only the thread itself can tell."""


def leaf(number: int) -> int:
    return number + 1


def work(count: int) -> int:
    total = 0
    for number in range(count):
        total += leaf(number)
    return total


def hang() -> None:
    leaf(1)
    while not RELEASED.wait(0.05):
        leaf(2)


CODES = {function.__name__: function.__code__ for function in (leaf, work, hang)}


def state() -> dict[str, object]:
    """Say what of tracing is in this process: all zero and false when nothing is."""
    found: dict[str, object] = {
        "replaced": [name for name, code in CODES.items() if globals()[name].__code__ is not code],
        "profile": bool(sys.getprofile() or threading.getprofile() or PROFILED),
    }
    if hasattr(sys, "monitoring"):
        ids = range(6)
        found["tools"] = [name for name in map(sys.monitoring.get_tool, ids) if name]
        found["events"] = sum(
            sys.monitoring.get_events(number) for number in ids if sys.monitoring.get_tool(number)
        )
        found["local_events"] = sum(
            sys.monitoring.get_local_events(number, code) for number in ids for code in CODES.values()
        )
    return found


def listen() -> None:
    for line in sys.stdin:
        command, *words = line.split()
        if command == "state":
            print(json.dumps(state()), flush=True)
        elif command == "fork":
            for _ in range(int(words[0])):
                if os.fork() == 0:
                    os.write(1, f"child {os.getpid()}\n".encode())  # one write: others print, too
                    signal.alarm(60)
                    while True:
                        signal.pause()
        elif command == "exit":
            ENDING.set()
        elif command == "hang":
            threading.Thread(target=hang, daemon=True).start()
        elif command == "release":
            RELEASED.set()


def main() -> None:
    tracepatch.start(service=sys.argv[1])
    print("up", os.getpid(), flush=True)
    threading.Thread(target=listen, daemon=True).start()
    while not ENDING.is_set():
        work(3)
        (PROFILED.add if sys.getprofile() else PROFILED.discard)("main")
        time.sleep(0.02)


if __name__ == "__main__":
    main()
