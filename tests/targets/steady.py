"""A process with an agent that works steadily: short calls of `work`, and with `hang` as argument one that never ends."""

from __future__ import annotations

import sys
import time

import tracepatch


def leaf(number: int) -> int:
    return number + 1


def work(count: int) -> int:
    total = 0
    for number in range(count):
        total += leaf(number)
    return total


def slow() -> None:
    time.sleep(0.2)


def hang() -> None:
    leaf(1)
    while True:
        time.sleep(0.05)
        leaf(2)


def main() -> None:
    tracepatch.start(service=sys.argv[1])
    print("up", flush=True)
    if "hang" in sys.argv:
        sys.stdin.readline()
        hang()
    while True:
        work(3)
        time.sleep(0.02)


if __name__ == "__main__":
    main()
