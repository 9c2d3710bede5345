"""A process with an agent whose `dig` calls itself 9 999 times, again and again."""

from __future__ import annotations

import sys
import threading
import time

import tracepatch

DEPTH = 10_000


def dig(left: int) -> int:
    return dig(left - 1) + 1 if left > 1 else 1


def work() -> None:
    while True:
        assert dig(DEPTH) == DEPTH
        time.sleep(0.05)


def main() -> None:
    tracepatch.start(service=sys.argv[1])
    sys.setrecursionlimit(4 * DEPTH)
    threading.stack_size(256 << 20)  # up to 3.10 each call takes its piece of the C stack
    threading.Thread(target=work, daemon=True).start()
    print("up", flush=True)
    sys.stdin.readline()


if __name__ == "__main__":
    main()
