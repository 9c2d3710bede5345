"""TOML as policies and saved probes are written: the standard library's reader, and where there is none (3.10) a strict one.

The strict one reads tables, bare keys, one-line strings, integers, floats, booleans and arrays. What else TOML has it
refuses by its line, as it does whatever is malformed: it never gives a text another meaning than TOML does.
"""

from __future__ import annotations

import re
from importlib import import_module
from typing import Any, Final

MAX_DEPTH: Final = 20
"""Arrays inside arrays."""

_KEY = re.compile(r"[A-Za-z0-9_-]+")
_SPACE = re.compile(r"[ \t]*")
_BETWEEN = re.compile(r"(?:[ \t]|#[^\n]*|\n)*")
_INTEGER = re.compile(r"[+-]?(?:0|[1-9](?:_?[0-9])*)")
_FLOAT = re.compile(
    r"[+-]?(?:0|[1-9](?:_?[0-9])*)(?:\.[0-9](?:_?[0-9])*(?:[eE][+-]?[0-9](?:_?[0-9])*)?|[eE][+-]?[0-9](?:_?[0-9])*)"
)
_WORD = re.compile(r"[^ \t\n#,\]]+")
_NO_COMMENT = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_MAX_DIGITS = 18
_ESCAPES = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r", '"': '"', "\\": "\\"}
_OF_TOMLLIB = re.compile(r"(.*) \(at (?:line (\d+), column \d+|end of document)\)", re.DOTALL)


class TomlError(ValueError):
    """A text is no TOML, or none that is understood here; the message names the line."""


def loads(text: str) -> dict[str, Any]:
    """Return the table that a text holds; raise `TomlError`."""
    try:
        tomllib: Any = import_module("tomllib")
    except ImportError:  # 3.10
        return strict(text)
    try:
        return dict(tomllib.loads(text))
    except (ValueError, RecursionError) as error:
        found = _OF_TOMLLIB.fullmatch(str(error))
        if found is None:
            raise TomlError(str(error) or type(error).__name__) from None
        where = f"line {found[2]}" if found[2] else f"line {text.count(chr(10)) + 1}"
        raise TomlError(f"{where}: {found[1][:1].lower()}{found[1][1:]}") from None


def strict(text: str) -> dict[str, Any]:
    """Return the same without the standard library's reader, of the part of TOML that is read here."""
    return _Reader(text).table()


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text.replace("\r\n", "\n")
        self._at = 0
        self._tables: dict[tuple[str, ...], dict[str, Any]] = {(): {}}
        self._opened: set[tuple[str, ...]] = set()
        """Tables with a header of their own; others were made for what stands below them."""

    def table(self) -> dict[str, Any]:
        bad = _NO_COMMENT.search(self._text)
        if bad is not None:
            self._at = bad.start()
            raise self._wrong("a control character cannot stand here")
        path: tuple[str, ...] = ()
        while self._at < len(self._text):
            self._skip(_SPACE)
            if self._next() == "[":
                path = self._header()
            elif self._next() not in ("#", "\n", ""):
                self._pair(path)
            self._line_ends()
        return self._tables[()]

    def _header(self) -> tuple[str, ...]:
        self._at += 1
        if self._next() == "[":
            raise self._wrong("arrays of tables, [[...]], are not read here")
        path: tuple[str, ...] = ()
        while True:
            self._skip(_SPACE)
            path = (*path, self._key())
            self._skip(_SPACE)
            if self._next() != ".":
                break
            self._at += 1
            self._open(path)
        if self._next() != "]":
            raise self._wrong("a table's header is closed by ]")
        self._at += 1
        self._open(path)
        if path in self._opened:
            raise self._wrong(f"the table [{'.'.join(path)}] stands here a second time")
        self._opened.add(path)
        return path

    def _open(self, path: tuple[str, ...]) -> None:
        if path not in self._tables:
            above = self._tables[path[:-1]]
            if path[-1] in above:
                raise self._wrong(f"{'.'.join(path)} has a value already, so it is no table")
            self._tables[path] = above[path[-1]] = {}

    def _pair(self, path: tuple[str, ...]) -> None:
        key = self._key()
        self._skip(_SPACE)
        if self._next() == ".":
            raise self._wrong("dotted keys are not read here: write a header, as in [limits]")
        if self._next() != "=":
            raise self._wrong(f"{key} is followed by no =")
        self._at += 1
        self._skip(_SPACE)
        if key in self._tables[path]:
            raise self._wrong(f"{key} stands here a second time")
        self._tables[path][key] = self._value(0)

    def _key(self) -> str:
        if self._next() in ("'", '"'):
            raise self._wrong("keys in quotes are not read here: write them without")
        return self._match(_KEY, "a key of letters, digits, - and _ belongs here")

    def _value(self, depth: int) -> Any:
        first = self._next()
        if first == '"':
            return self._basic()
        if first == "'":
            return self._literal()
        if first == "[":
            return self._array(depth)
        if first == "{":
            raise self._wrong("tables in braces are not read here: write a header, as in [limits]")
        began = self._at
        word = self._match(_WORD, "a value belongs here")
        if word in ("true", "false"):
            return word == "true"
        if len(word) <= _MAX_DIGITS and _INTEGER.fullmatch(word):
            return int(word.replace("_", ""))
        if _FLOAT.fullmatch(word):
            return float(word.replace("_", ""))
        self._at = began
        raise self._wrong(f"{word[:40]} is none of the values that are read here: text stands in quotes")

    def _array(self, depth: int) -> list[Any]:
        if depth >= MAX_DEPTH:
            raise self._wrong("too many arrays inside each other")
        self._at += 1
        found: list[Any] = []
        while True:
            self._skip(_BETWEEN)
            if self._next() == "]":
                break
            found.append(self._value(depth + 1))
            self._skip(_BETWEEN)
            if self._next() == "]":
                break
            if self._next() != ",":
                raise self._wrong("the values of an array are parted by commas and closed by ]")
            self._at += 1
        self._at += 1
        return found

    def _basic(self) -> str:
        if self._text.startswith('"""', self._at):
            raise self._wrong('texts in """ are not read here')
        self._at += 1
        pieces: list[str] = []
        while (character := self._next()) != '"':
            if character in ("", "\n"):
                raise self._wrong('a text is closed by " in its line')
            self._at += 1
            pieces.append(self._escaped() if character == "\\" else character)
        self._at += 1
        return "".join(pieces)

    def _escaped(self) -> str:
        letter = self._next()
        self._at += 1
        if letter in _ESCAPES:
            return _ESCAPES[letter]
        digits = {"u": 4, "U": 8}.get(letter, 0)
        spelled = self._text[self._at : self._at + digits]
        if not digits or not re.fullmatch(f"[0-9A-Fa-f]{{{digits}}}", spelled):
            raise self._wrong(r"after \ stands one of b t n f r \ " + '" u U')
        number = int(spelled, 16)
        if number > 0x10FFFF or 0xD800 <= number <= 0xDFFF:
            raise self._wrong("there is no such character")
        self._at += digits
        return chr(number)

    def _literal(self) -> str:
        if self._text.startswith("'''", self._at):
            raise self._wrong("texts in ''' are not read here")
        end = self._text.find("'", self._at + 1)
        found = self._text[self._at + 1 : end]
        if end < 0 or "\n" in found:
            raise self._wrong("a text is closed by ' in its line")
        self._at = end + 1
        return found

    # ---- the text -----------------------------------------------------------------------------------------------

    def _next(self) -> str:
        return self._text[self._at : self._at + 1]

    def _skip(self, pattern: re.Pattern[str]) -> None:
        found = pattern.match(self._text, self._at)
        assert found is not None
        self._at = found.end()

    def _match(self, pattern: re.Pattern[str], otherwise: str) -> str:
        found = pattern.match(self._text, self._at)
        if found is None:
            raise self._wrong(otherwise)
        self._at = found.end()
        return found[0]

    def _line_ends(self) -> None:
        self._skip(_SPACE)
        if self._next() == "#":
            end = self._text.find("\n", self._at)
            self._at = len(self._text) if end < 0 else end
        if self._next() not in ("\n", ""):
            raise self._wrong("the line goes on after its value")
        self._at += 1

    def _wrong(self, why: str) -> TomlError:
        return TomlError(f"line {self._text.count(chr(10), 0, self._at) + 1}: {why}")
