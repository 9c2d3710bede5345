"""A process with an agent that calls one small function all the time: `python hot.py`; says `round` every 200 000 calls."""

from __future__ import annotations

import time

import tracepatch


def leaf(number: int) -> int:
    return number + 1


def main() -> None:
    tracepatch.start(service="hot")
    print("up", flush=True)
    while True:
        began = time.perf_counter()
        for number in range(200_000):
            leaf(number)
        print(f"round {time.perf_counter() - began:.4f}", flush=True)


if __name__ == "__main__":
    main()
