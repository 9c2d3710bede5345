"""Captured values as conditions read them: objects with attributes again instead of marks.

What was not captured whole cannot be compared, lest a condition holds or fails by what is missing: it is an object of a
type whose name says so, which stands in the reason why the condition failed.
"""

from __future__ import annotations

from typing import Any

from tracepatch_shared.values import Mark

_KEYS = (type(None), bool, int, str, bytes)


class Captured:
    """An object as far as it was captured: its fields."""


def _missing(name: str) -> type:
    return type(name, (), {"__module__": "builtins", "__slots__": ()})


_CUT = _missing("a value that was cut (--capture keeps more)")
_REDACTED = _missing("a redacted value")
_OTHER = _missing("a value that is shown only by its type")


def thawed(value: Any) -> Any:
    """Return the value of a condition for one that was captured; as deep as capture went."""
    kind = type(value)
    if kind is list:
        return [thawed(item) for item in value]
    if kind is dict:
        return {key: thawed(item) for key, item in value.items()}
    return _of(value) if kind is Mark else value


def _of(mark: Mark) -> Any:
    kind, fields = mark.kind, mark.fields
    if kind == "object":
        if "value" in fields:
            return thawed(fields["value"])
        found = Captured()
        found.__dict__.update({name: thawed(item) for name, item in (fields.get("fields") or {}).items()})
        return found
    if kind == "value":
        return _number(fields["text"]) if fields.get("type") == "decimal.Decimal" else fields["text"]
    if kind == "float":
        return float(fields["text"])
    if kind == "redacted":
        return _REDACTED()
    items = fields.get("items")
    if items is not None and fields.get("length", len(items)) == len(items):
        if kind == "tuple":
            return tuple(thawed(item) for item in items)
        if kind in ("list", "set", "frozenset"):
            return [thawed(item) for item in items]
        if kind == "dict" and all(type(key) in _KEYS for key, _ in items):
            return {key: thawed(item) for key, item in items}
    return _CUT() if "length" in fields or kind == "int" else _OTHER()


def _number(text: str) -> Any:
    try:
        return float(text)
    except ValueError:
        return text
