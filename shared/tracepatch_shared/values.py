"""Plain data and the marks that stand for what is not plain.

A captured value is *plain*: `None`, `bool`, `int` (64 bits), finite `float`, `str`, `bytes`, `list` of plain,
`dict` with `str` keys, or a `Mark`. Plain data refers to no object of the user's.

On the wire a mark is msgpack extension type 1 around `[kind, fields]`; in JSON it is `{"$": kind, **fields}`.
docs/protocol.md lists the kinds.
"""

from __future__ import annotations

import math
from typing import Any, Union

EXT_MARK = 1
"""msgpack extension type of a mark: the packed array `[kind, fields]`."""

EXT_STRING = 2
"""msgpack extension type of an interned string: its number in the stream, a packed unsigned integer."""


class Mark:
    """A value that is not plain, or not whole: its kind and what is known of it.

    Kinds: `str` and `bytes` and `int` (cut: `length`/`bits` is the real size), `float` (not finite), `list`, `dict`
    (cut, or keys that are no strings: `items` holds pairs), `tuple`, `set`, `frozenset`, `object` (`type`, `fields`),
    `value` (a standard type shown by its text), `class`, `function`, `module`, `redacted`, `unreadable`, `cycle`,
    `unchecked` (too large to be checked for secrets: type and length only).
    """

    __slots__ = ("fields", "kind")

    def __init__(self, kind: str, fields: dict[str, Any]) -> None:
        self.kind = kind
        self.fields = fields

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Mark) and self.kind == other.kind and self.fields == other.fields

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Mark({self.kind!r}, {self.fields!r})"


Plain = Union[None, bool, int, float, str, bytes, "list[Any]", "dict[str, Any]", Mark]


def to_json(value: Any) -> Any:
    """Return the JSON form of plain data: itself where it is plain and whole, else `{"$": kind, ...}`.

    The depth is that of the captured value, which capture bounds.
    """
    kind = type(value)
    if kind is Mark:
        fields = {name: to_json(item) for name, item in value.fields.items()}
        return {"$": value.kind, **fields}
    if kind is bytes:
        return {"$": "bytes", "text": value.decode("latin-1"), "length": len(value)}
    if kind is list:
        return [to_json(item) for item in value]
    if kind is dict:
        whole = {name: to_json(item) for name, item in value.items()}
        return {"$": "dict", "items": [[k, v] for k, v in whole.items()]} if "$" in whole else whole
    if kind is float and not math.isfinite(value):
        return {"$": "float", "text": repr(value)}
    return value


def from_json(value: Any) -> Any:
    """Return the plain data that `to_json` turned into `value`."""
    if type(value) is list:
        return [from_json(item) for item in value]
    if type(value) is not dict:
        return value
    if "$" not in value:
        return {name: from_json(item) for name, item in value.items()}
    kind = value["$"]
    fields = {name: from_json(item) for name, item in value.items() if name != "$"}
    if kind == "bytes" and set(fields) == {"text", "length"} and len(fields["text"]) == fields["length"]:
        return fields["text"].encode("latin-1")
    if kind == "float":
        return float(fields["text"])
    return Mark(kind, fields)


_DEEPEST = 64
_SCALARS = frozenset({type(None), bool, int, float, str, bytes})


def shallow(value: Any) -> Any:
    """Return plain data as it is, or a mark where it is nested deeper than any capture is: it came from outside.

    What passes can be walked by recursion.
    """
    level = [value]
    for _ in range(_DEEPEST):
        deeper: list[Any] = []
        for item in level:
            kind = type(item)
            if kind in _SCALARS:
                continue
            if kind is dict:
                deeper.extend(item.values())
            elif kind is Mark:
                deeper.extend(item.fields.values())
            elif kind is list or kind is tuple:
                deeper.extend(item)
        if not deeper:
            return value
        level = deeper
    return Mark("unreadable", {"why": "nested too deeply"})
