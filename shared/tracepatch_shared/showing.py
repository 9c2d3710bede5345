"""Captured values and foreign text on one line, safe for a terminal.

What was captured comes from requests and from anybody's code: nothing of it reaches a terminal as a control character,
an escape sequence or a change of writing direction.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .values import Mark

ELLIPSIS = "…"
_DEEPEST = 12
_BRACKETS = {"tuple": "()", "set": "{}", "frozenset": "{}", "list": "[]", "dict": "{}"}
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def escape(text: str) -> str:
    """Return `text` with everything that is not a printable character written as an escape."""
    if text.isprintable():
        return text
    return "".join([char if char.isprintable() else _escaped(char) for char in text])


def quoted(text: str) -> str:
    """Return `text` between double quotes, escaped."""
    return '"' + escape(text.replace("\\", "\\\\").replace('"', '\\"')) + '"'


def value_text(value: Any, limit: int = 80) -> str:
    """Return a plain value or a mark on one line of about `limit` characters.

    An `…` within quotes is cut for the line; what capture cut says the real size behind it, as in `"abc…"(120 of 4096)`.
    """
    return _DISPLAY.text(value, max(limit, 1), 0)


def python_text(value: Any, limit: int = 80) -> str:
    """Like `value_text`, with strings quoted as Python's `repr` does."""
    return _PYTHON.text(value, max(limit, 1), 0)


def type_text(name: Any) -> str:
    """Return the last part of a type's dotted name."""
    text = escape(name) if isinstance(name, str) else "?"
    return text if "<locals>" in text else text.rpartition(".")[2]


def _escaped(char: str) -> str:
    number = ord(char)
    if char in _SHORT:
        return _SHORT[char]
    return (
        f"\\x{number:02x}"
        if number < 0x100
        else f"\\u{number:04x}"
        if number < 0x10000
        else f"\\U{number:08x}"
    )


class _Style:
    """How strings are quoted; values are walked by recursion, their depth is bounded."""

    def __init__(self, quote: Callable[[str], str]) -> None:
        self.quote = quote

    def text(self, value: Any, room: int, depth: int) -> str:
        kind = type(value)
        if kind is str:
            return (
                self.quote(value)
                if len(value) <= room - 2
                else self.quote(value[: max(room - 3, 1)] + ELLIPSIS)
            )
        if value is None or kind is bool or kind is float:
            return repr(value)
        if kind is int:
            return _int_text(value, room)
        if depth >= _DEEPEST:
            return ELLIPSIS
        if kind is bytes:
            return _bytes_text(value, room)
        if kind is list or kind is tuple:
            return self.sequence(value, len(value), "[]", room, depth)
        if kind is dict:
            return self.pairs(list(value.items()), len(value), room, depth)
        if kind is Mark:
            return self.mark(value.kind, value.fields, room, depth)
        return f"<{type_text(kind.__name__)}>"

    def sequence(
        self, items: list[Any] | tuple[Any, ...], length: int, brackets: str, room: int, depth: int
    ) -> str:
        parts: list[str] = []
        left = room - 2
        for item in items:
            if left < 4 and parts:
                break
            part = self.text(item, left, depth + 1)
            if len(part) > left and parts:
                break
            parts.append(part)
            left -= len(part) + 2
        return _closed(parts, length, brackets)

    def pairs(self, items: list[Any], length: int, room: int, depth: int) -> str:
        parts: list[str] = []
        left = room - 2
        for item in items:
            if left < 8 and parts:
                break
            name, value = item if type(item) in (list, tuple) and len(item) == 2 else (item, None)
            start = f"{self.text(name, max(left // 2, 4), depth + 1)}: "
            part = start + self.text(value, max(left - len(start), 4), depth + 1)
            if len(part) > left and parts:
                break
            parts.append(part)
            left -= len(part) + 2
        return _closed(parts, length, "{}")

    def mark(self, kind: str, fields: dict[str, Any], room: int, depth: int) -> str:
        name = fields.get("type")
        text = fields.get("text")
        length = fields.get("length")
        if kind in ("str", "bytes"):
            return self.cut_text(kind, text, length, room, depth)
        if kind in _BRACKETS:
            return self.cut_container(kind, fields, room, depth)
        if kind == "object":
            return self.object(fields, room, depth)
        if kind == "int":
            return _long_int_text(fields)
        if kind == "redacted":
            return "<redacted>"
        if kind == "cycle":
            return f"<cycle: {type_text(name)}>" if name else "<cycle>"
        if kind == "unchecked":
            what = type_text(name) if name else "value"
            size = f" of {length}" if type(length) is int else ""
            return f"<{what}{size}, unchecked>"
        if kind == "unreadable":
            what = f": {type_text(name)}" if name else ""
            why = f" ({_bare(fields['why'], 60)})" if fields.get("why") else ""
            return f"<unreadable{what}{why}>"
        if isinstance(text, str):
            return _bare(text, room)
        name = fields.get("name") or name
        start = f"<{escape(kind[:20])}"
        return f"{start} {_bare(name, max(room - len(start), 20))}>" if name else f"{start}>"

    def cut_text(self, kind: str, text: Any, length: Any, room: int, depth: int) -> str:
        if kind == "bytes" and isinstance(text, bytes):
            size = f"({len(text)} of {length})" if type(length) is int and length > len(text) else ""
            return _bytes_text(text, max(room - len(size), 8), cut=bool(size)) + size
        if not isinstance(text, str):
            return f"<{kind} of {length}>" if type(length) is int else f"<{kind}>"
        size = f"({len(text)} of {length})" if type(length) is int and length > len(text) else ""
        shown = text[: max(room - len(size) - 3, 1)] + ELLIPSIS if size else text
        return self.text(shown, max(room - len(size), 4), depth) + size

    def cut_container(self, kind: str, fields: dict[str, Any], room: int, depth: int) -> str:
        items = fields.get("items")
        length = fields.get("length")
        if not isinstance(items, (list, tuple, dict)):
            return f"<{kind} of {length}>" if type(length) is int else f"<{kind}>"
        items = list(items.items()) if isinstance(items, dict) else items
        whole = max(length, len(items)) if type(length) is int else len(items)
        if kind == "dict":
            return self.pairs(list(items), whole, room, depth)
        if kind in ("set", "frozenset") and not whole:
            return f"{kind}()"
        body = self.sequence(items, whole, _BRACKETS[kind], room, depth)
        return f"frozenset({body})" if kind == "frozenset" else body

    def object(self, fields: dict[str, Any], room: int, depth: int) -> str:
        start = "<" + type_text(fields.get("type"))
        name, value, inner = fields.get("name"), fields.get("value"), fields.get("fields")
        if isinstance(name, str):
            start += f" {_bare(name, room)}"
        if value is not None:
            start += f" {self.text(value, max(room - len(start), 8), depth + 1)}"
        if not isinstance(inner, dict) or not inner:
            return start + ">"
        parts: list[str] = []
        left = room - len(start) - 1
        length = fields.get("length")
        whole = max(length, len(inner)) if type(length) is int else len(inner)
        for field, item in inner.items():
            if left < 8 and parts:
                break
            lead = f" {escape(str(field))}="
            part = lead + self.text(item, max(left - len(lead), 4), depth + 1)
            if len(part) > left and parts:
                break
            parts.append(part)
            left -= len(part)
        more = whole - len(parts)
        return start + "".join(parts) + (f" {ELLIPSIS} {more} more>" if more else ">")


def _bytes_text(value: bytes, room: int, *, cut: bool = False) -> str:
    """Return bytes as Python writes them; with an ellipsis where they are cut, here or before."""
    shown = repr(value[:room])
    cut = cut or len(shown) > room
    return f"{shown[: max(room - 2, 3)].rstrip(shown[-1])}{ELLIPSIS}{shown[-1]}" if cut else shown


def _long_int_text(fields: dict[str, Any]) -> str:
    digits, bits = fields.get("hex"), fields.get("bits")
    size = f"{bits} bits" if type(bits) is int and bits.bit_length() < 64 else "? bits"
    if not isinstance(digits, str):
        return f"<int of {size}>"
    sign = "-" if digits.startswith("-") else ""
    return f"{sign}0x{escape(digits.lstrip('-'))[:40]}{ELLIPSIS}({size})"


def _int_text(value: int, room: int) -> str:
    if value.bit_length() > 4096:
        return f"<int of {value.bit_length()} bits>"
    text = str(value)
    return text if len(text) <= max(room, 20) else f"{text[:12]}{ELLIPSIS}"


def _closed(parts: list[str], length: int, brackets: str) -> str:
    inner = ", ".join(parts)
    if length > len(parts):
        more = f"{ELLIPSIS} {length - len(parts)} more"
        inner = f"{inner}, {more}" if parts else more
    elif brackets == "()" and len(parts) == 1:
        inner += ","
    return brackets[0] + inner + brackets[1]


def _bare(value: Any, room: int) -> str:
    text = value if isinstance(value, str) else str(value)
    return escape(text if len(text) <= room else text[: max(room - 1, 1)] + ELLIPSIS)


_DISPLAY = _Style(quoted)
_PYTHON = _Style(repr)
