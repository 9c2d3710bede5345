"""A process with an agent that computes without a pause in `crunch` once it is told to, and stays when it is done."""

from __future__ import annotations

import sys

import tracepatch

TEXT = "The quick brown fox jumps over the lazy dog, and then it does so again, " * 2
TABLE = {f"column {name}": [f"{name}{row}" for row in range(6)] for name in "abcdef"}


def step(number: int, text: str, table: dict[str, list[str]]) -> int:
    return number + len(text) + len(table)


def crunch(steps: int) -> int:
    total = 0
    for number in range(steps):
        # Texts and tables of their own: nothing repeats, so nothing is kept only once.
        total += step(number, f"{number} {TEXT}"[:120], {**TABLE, "column a": [str(number)] * 6})
    return total


def main() -> None:
    tracepatch.start(service=sys.argv[1])
    crunch(1000)
    print("up", flush=True)
    for line in sys.stdin:
        crunch(int(line))
        print("done", flush=True)


if __name__ == "__main__":
    main()
