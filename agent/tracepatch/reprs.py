"""The `repr` of a value within bounds."""

from __future__ import annotations

from itertools import islice
from typing import Any

MAX_DEPTH = 50
MAX_BITS = 4_096
"""Bits of an integer that is still written out in decimal, which takes quadratic time."""

_BRACKETS = {
    list: ("[", "]"),
    tuple: ("(", ")"),
    dict: ("{", "}"),
    set: ("{", "}"),
    frozenset: ("frozenset({", "})"),
}
_BRACKETS_BY_ID = {id(kind): pair for kind, pair in _BRACKETS.items()}


def bounded_repr(value: Any, room: int, inside: tuple[int, ...] = ()) -> str:
    """Return the `repr` of a value, or its beginning when it is a built-in container longer than `room`."""
    kind = type(value)
    if kind is str or kind is bytes:
        return repr(value[:room])
    if kind is int and value.bit_length() > MAX_BITS:
        return f"<int of {value.bit_length()} bits>"
    brackets = _BRACKETS_BY_ID.get(id(kind))
    if brackets is None or not value or len(inside) > MAX_DEPTH:
        text = repr(value)
        return text if type(text) is str else str.__str__(text)
    opening, closing = brackets
    if id(value) in inside:
        return f"{opening}...{closing}"
    inside = (*inside, id(value))
    parts: list[str] = []
    for item in list(islice(value.items() if kind is dict else value, room // 2 + 1)):
        if kind is dict:
            key = bounded_repr(item[0], room, inside)
            parts.append(f"{key}: {bounded_repr(item[1], room, inside)}")
        else:
            parts.append(bounded_repr(item, room, inside))
        room -= len(parts[-1]) + 2
        if room < 0:
            break
    comma = "," if kind is tuple and len(value) == 1 else ""
    return f"{opening}{', '.join(parts)}{comma}{closing}"


def packable(text: str) -> str:
    """Return text that UTF-8 can carry: itself, or with half surrogate pairs escaped."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace").decode()
    return text
