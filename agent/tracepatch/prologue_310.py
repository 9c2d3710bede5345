"""Insert a call at the start of a CPython 3.10 function: behind GEN_START where there is one.

3.10 has absolute jumps, whose arguments may need another EXTENDED_ARG after the move: the bytecode is taken apart,
lengthened and put together again. The line table is the one of PEP 626 (Objects/lnotab_notes.txt).
"""

from __future__ import annotations

import dis
from collections.abc import Callable, Iterable
from types import CodeType

_ABSOLUTE = frozenset(dis.hasjabs)
_RELATIVE = frozenset(dis.hasjrel)
_CALL = ("LOAD_CONST", "CALL_FUNCTION", "POP_TOP")
_NO_LINE = 128


class _Instruction:
    __slots__ = ("arg", "line", "op", "target", "unit", "width")

    def __init__(self, op: int, arg: int, unit: int, width: int, line: int | None) -> None:
        self.op = op
        self.arg = arg
        self.unit = unit
        """First code unit (two bytes), prefixes included."""
        self.width = width
        """Units, prefixes included."""
        self.line = line
        self.target: _Instruction | None = None


def insert(code: CodeType, hook: Callable[[], object]) -> tuple[CodeType, int, int]:
    """Return `code` that first calls `hook()`, the index of the first instruction inserted, and how many there are.

    Raises ValueError for code that is not shaped like the compiler's.
    """
    instructions = _taken_apart(code)
    at = 1 if instructions[0].op == dis.opmap["GEN_START"] else 0
    line = instructions[at].line if at < len(instructions) else None
    const = len(code.co_consts)
    call = [_Instruction(dis.opmap[name], const if name == "LOAD_CONST" else 0, 0, 1, line) for name in _CALL]
    instructions[at:at] = call
    _place(instructions)
    changed = code.replace(
        co_code=b"".join(map(_bytes, instructions)),
        co_consts=(*code.co_consts, hook),
        co_linetable=_line_table(instructions, code.co_firstlineno),
        co_stacksize=max(code.co_stacksize, 1),
    )
    return changed, at, len(call)


def _taken_apart(code: CodeType) -> list[_Instruction]:
    raw = code.co_code
    lines = [line for start, end, line in code.co_lines() for _ in range(start, end, 2)]
    instructions: list[_Instruction] = []
    begin = high = 0
    for unit in range(len(raw) // 2):
        op, arg = raw[unit * 2], raw[unit * 2 + 1] | high
        if op == dis.EXTENDED_ARG:
            high = arg << 8
            continue
        instructions.append(_Instruction(op, arg, begin, unit + 1 - begin, lines[unit]))
        begin, high = unit + 1, 0
    at = {instruction.unit: instruction for instruction in instructions}
    for instruction in instructions:
        if instruction.op in _ABSOLUTE:
            instruction.target = at.get(instruction.arg)
        elif instruction.op in _RELATIVE:
            instruction.target = at.get(instruction.unit + instruction.width + instruction.arg)
        else:
            continue
        if instruction.target is None:
            raise ValueError("it jumps into the middle of an instruction")
    if not instructions:
        raise ValueError("it is empty")
    return instructions


def _place(instructions: list[_Instruction]) -> None:
    """Give each instruction its unit and each jump its argument; widths only grow, so this ends."""
    grown = True
    while grown:
        grown = False
        unit = 0
        for instruction in instructions:
            instruction.unit = unit
            unit += instruction.width
        for instruction in instructions:
            if instruction.target is not None:
                instruction.arg = instruction.target.unit
                if instruction.op in _RELATIVE:
                    instruction.arg -= instruction.unit + instruction.width
            needed = max(1, (instruction.arg.bit_length() + 7) // 8)
            if needed > instruction.width:
                instruction.width = needed
                grown = True


def _bytes(instruction: _Instruction) -> bytes:
    out = bytearray()
    for index in range(instruction.width - 1, 0, -1):
        out += bytes((dis.EXTENDED_ARG, instruction.arg >> 8 * index & 255))
    return bytes((*out, instruction.op, instruction.arg & 255))


def _line_table(instructions: Iterable[_Instruction], first_line: int) -> bytes:
    runs: list[tuple[int, int | None]] = []
    for instruction in instructions:
        length = instruction.width * 2
        if runs and runs[-1][1] == instruction.line:
            length += runs.pop()[0]
        runs.append((length, instruction.line))
    out = bytearray()
    previous = first_line
    for length, line in runs:
        delta = 0
        if line is not None:
            delta, previous = line - previous, line
        while not -127 <= delta <= 127:
            step = 127 if delta > 0 else -127
            out += bytes((0, step & 255))
            delta -= step
        code = _NO_LINE if line is None else delta & 255
        later = _NO_LINE if line is None else 0
        while length > 254:
            out += bytes((254, code))
            length -= 254
            code = later
        out += bytes((length, code))
    return bytes(out)
