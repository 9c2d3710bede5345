"""JSON of any depth: the standard library's encoder and decoder recurse and stop at the interpreter's limit.

`loads` asks the standard library first and falls back to a loop, so that only deep texts pay for it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from json.decoder import JSONDecodeError, scanstring  # type: ignore[attr-defined]
from typing import Any

_SPACE = re.compile(r"[ \t\n\r]*")
_NUMBER = re.compile(r"(-?(?:0|[1-9]\d*))(\.\d+)?([eE][-+]?\d+)?")
_CONSTANTS = {
    "null": None,
    "true": True,
    "false": False,
    "NaN": float("nan"),
    "Infinity": float("inf"),
    "-Infinity": float("-inf"),
}
_CONSTANT = re.compile("|".join(map(re.escape, _CONSTANTS)))


def loads(text: str) -> Any:
    """Return the value that `text` stands for; raise `json.JSONDecodeError` where it is not JSON."""
    try:
        return json.loads(text)
    except RecursionError:
        return _decode(text)


def encode(value: Any, *, indent: int | None = None) -> Iterator[str]:
    """Yield the pieces of the JSON text of `value`: dicts with `str` keys, lists, tuples and scalars.

    With `indent` every item has a line of its own, as the standard library writes it; the indentation stops growing
    at 64 levels, or a deep text would be quadratic.
    """
    colon, comma = (": ", ",") if indent else (":", ",")
    todo: list[tuple[Iterator[Any], str, bool]] = []
    breaks = [""] if indent is None else ["\n" + " " * (indent * level) for level in range(66)]
    dumps = json.dumps

    def line_break() -> str:
        return breaks[min(len(todo), len(breaks) - 1)]

    item = value
    while True:
        if isinstance(item, dict) and item:
            yield "{"
            todo.append((iter(item.items()), "}", True))
        elif isinstance(item, (list, tuple)) and item:
            yield "["
            todo.append((iter(item), "]", True))
        else:
            yield dumps(item)
        while todo:
            items, closer, first = todo[-1]
            found = next(items, _NOTHING)
            if found is not _NOTHING:
                break
            todo.pop()
            yield line_break() + closer
        else:
            return
        if first:
            todo[-1] = (items, closer, False)
        lead = line_break() if first else comma + line_break()
        if closer == "}":
            yield lead + dumps(found[0]) + colon
            item = found[1]
        else:
            item = found
            if lead:
                yield lead


_NOTHING: Any = object()


def _decode(text: str) -> Any:
    """Decode without recursion: `stack` holds the containers that are open, `names` the key each waits for."""
    space = _SPACE.match
    stack: list[Any] = []
    names: list[str] = []
    at = _end(space(text, 0))
    while True:
        char = text[at : at + 1]
        value: Any
        if char == "{":
            at = _end(space(text, at + 1))
            if text[at : at + 1] != "}":
                stack.append({})
                name, at = _name(text, at)
                names.append(name)
                continue
            value, at = {}, at + 1
        elif char == "[":
            at = _end(space(text, at + 1))
            if text[at : at + 1] != "]":
                stack.append([])
                continue
            value, at = [], at + 1
        else:
            value, at = _scalar(text, at)
        while True:
            at = _end(space(text, at))
            if not stack:
                if at != len(text):
                    raise JSONDecodeError("Extra data", text, at)
                return value
            holder = stack[-1]
            char = text[at : at + 1]
            if type(holder) is dict:
                holder[names[-1]] = value
                if char == ",":
                    names[-1], at = _name(text, _end(space(text, at + 1)))
                    break
                if char != "}":
                    raise JSONDecodeError("Expecting ',' delimiter", text, at)
                names.pop()
            else:
                holder.append(value)
                if char == ",":
                    at = _end(space(text, at + 1))
                    break
                if char != "]":
                    raise JSONDecodeError("Expecting ',' delimiter", text, at)
            value = stack.pop()
            at += 1


def _name(text: str, at: int) -> tuple[str, int]:
    """Return the key at `at` and where its value begins."""
    if text[at : at + 1] != '"':
        raise JSONDecodeError("Expecting property name enclosed in double quotes", text, at)
    name, at = scanstring(text, at + 1, True)
    at = _end(_SPACE.match(text, at))
    if text[at : at + 1] != ":":
        raise JSONDecodeError("Expecting ':' delimiter", text, at)
    return name, _end(_SPACE.match(text, at + 1))


def _scalar(text: str, at: int) -> tuple[Any, int]:
    if text[at : at + 1] == '"':
        string: tuple[str, int] = scanstring(text, at + 1, True)
        return string
    constant = _CONSTANT.match(text, at)
    if constant:
        return _CONSTANTS[constant[0]], constant.end()
    number = _NUMBER.match(text, at)
    if not number:
        raise JSONDecodeError("Expecting value", text, at)
    return float(number[0]) if number[2] or number[3] else int(number[0]), number.end()


def _end(match: re.Match[str] | None) -> int:
    return match.end() if match else 0
