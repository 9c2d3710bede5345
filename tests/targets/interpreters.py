"""Traces in a subinterpreter, then in the main one: `python interpreters.py`; prints how many calls each has recorded."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import tracepatch

INSIDE = """
import sys
sys.path[:0] = {path!r}
import tracepatch

def traced(value):
    return value

with tracepatch.trace() as trace:
    traced(1)
print("inside", trace.call_count, flush=True)
"""


def traced(value: int) -> int:
    return value


def main() -> None:
    name = "_interpreters" if sys.version_info >= (3, 13) else "_xxsubinterpreters"
    interpreters: Any = importlib.import_module(name)
    run = interpreters.exec if sys.version_info >= (3, 13) else interpreters.run_string
    failed = run(interpreters.create(), INSIDE.format(path=sys.path))
    assert failed is None, failed
    with tracepatch.trace() as trace:
        traced(1)
    print("outside", trace.call_count, flush=True)


if __name__ == "__main__":
    main()
