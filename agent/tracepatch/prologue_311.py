"""Insert a call at the start of a CPython 3.11 function: after its first RESUME, so in the function's own frame.

All jumps of 3.11 are relative and none crosses the start of a function, so the bytecode behind the insertion moves as it
is; the exception table (Objects/exception_handling_notes.txt) and the location table (Objects/locations.md) move with it.
"""

from __future__ import annotations

import dis
import opcode
from collections.abc import Callable, Iterator
from types import CodeType
from typing import Any

_CACHES: list[int] = getattr(opcode, "_inline_cache_entries", [])
_NO_LOCATION = 15
"""Location code for "these units have no line": tracebacks and debuggers do not see them."""


def insert(code: CodeType, hook: Callable[[], object]) -> tuple[CodeType, int, int]:
    """Return `code` that first calls `hook()`, the index of the first instruction inserted, and how many there are.

    Raises ValueError for code that is not shaped like the compiler's.
    """
    whole: Any = code  # typed for 3.10, which has no exception table
    raw = code.co_code
    first, before = _resume(raw)
    inserted = _call(len(code.co_consts))
    units = len(inserted) // 2
    changed: CodeType = whole.replace(
        co_code=raw[: first * 2] + inserted + raw[first * 2 :],
        co_consts=(*code.co_consts, hook),
        co_exceptiontable=_moved_exceptions(whole.co_exceptiontable, first, units),
        co_linetable=_moved_locations(code.co_linetable, first, units),
        co_stacksize=max(code.co_stacksize, 2),
    )
    return changed, before, 5


def _resume(raw: bytes) -> tuple[int, int]:
    """Return the unit behind the first RESUME, and the number of instructions up to there."""
    unit = count = 0
    while unit * 2 < len(raw):
        op = raw[unit * 2]
        unit += 1 + _CACHES[op]
        count += op != dis.EXTENDED_ARG
        if op == dis.opmap["RESUME"]:
            return unit, count
    raise ValueError("it has no RESUME")


def _call(const: int) -> bytes:
    out = bytearray()
    for name, arg in (("PUSH_NULL", 0), ("LOAD_CONST", const), ("PRECALL", 0), ("CALL", 0), ("POP_TOP", 0)):
        op = dis.opmap[name]
        for shift in (24, 16, 8):
            if arg >> shift:
                out += bytes((dis.EXTENDED_ARG, arg >> shift & 255))
        out += bytes((op, arg & 255)) + bytes(2 * _CACHES[op])
    return bytes(out)


def _moved_exceptions(table: bytes, first: int, units: int) -> bytes:
    out = bytearray()
    numbers = _numbers(table)
    for start in numbers:
        length, target, depth_lasti = next(numbers), next(numbers), next(numbers)
        if start >= first:
            start += units
        elif start + length > first:
            length += units
        if target >= first:
            target += units
        entry = [*map(_encoded, (start, length, target, depth_lasti))]
        entry[0] = bytes((entry[0][0] | 128,)) + entry[0][1:]
        out += b"".join(entry)
    return bytes(out)


def _numbers(table: bytes) -> Iterator[int]:
    number = 0
    for byte in table:
        number = number << 6 | byte & 63
        if not byte & 64:
            yield number
            number = 0


def _encoded(number: int) -> bytes:
    digits = [number & 63]
    while number := number >> 6:
        digits.append(number & 63 | 64)
    return bytes(reversed(digits))


def _moved_locations(table: bytes, first: int, units: int) -> bytes:
    position = unit = 0
    while unit < first and position < len(table):
        unit += (table[position] & 7) + 1
        position += 1
        while position < len(table) and not table[position] & 128:
            position += 1
    if unit != first:
        raise ValueError("one entry of its location table covers the start of its body and what is before")
    added = bytearray()
    while units:
        covered = min(units, 8)
        added.append(128 | _NO_LOCATION << 3 | covered - 1)
        units -= covered
    return table[:position] + bytes(added) + table[position:]
